"""Delivery under the final name, where nothing can be renamed: once, or a doubt that is said; never a torso as done."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh
import pytest

from liveramp_provider.core.errors import (
    DeliveryInDoubtError,
    LedgerError,
    RemoteFolderError,
    RemoteFullError,
    TransportError,
)
from liveramp_provider.core.ledger import Outcome, State, resolve
from liveramp_provider.testing.sftp import Fault, FaultySftp, Pickup
from tests.deliveries import NAME, QUICK, Delivering, PausedFile, listing, sealed_file, way_to
from tests.servers import OpenSshServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deliveries import SftpTransport

CONTENT = random.Random(5).randbytes(300_000)
WHOLE = ((NAME, CONTENT),)


def direct(server: FaultySftp | OpenSshServer, *, resend: bool = False) -> SftpTransport:
    return replace(way_to(server), direct=True, resend=resend)


@pytest.fixture
def sftp(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultySftp]:
    """Of class D, or what the test's parameter says."""
    with FaultySftp(tmp_path / "sftp", pickup=getattr(request, "param", Pickup.D)) as running:
        yield running


def every(*pickups: Pickup) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sftp", pickups, indirect=True, ids=[pickup.name for pickup in pickups])


D_AND_E = every(Pickup.D, Pickup.E)


@pytest.fixture
def delivering(sftp: FaultySftp, tmp_path: Path) -> Delivering:
    """A sealed file that is to come to the faulty server."""
    file = sealed_file(tmp_path / "sealed", CONTENT)
    return Delivering(file, tmp_path / "ledger" / "ledger.sqlite", sftp.folder, direct(sftp))


@D_AND_E
def test_written_under_its_name(delivering: Delivering, sftp: FaultySftp) -> None:
    """Where nothing is renamed, the file arrives whole, once, and the evidence says how weak that is (E5)."""
    receipt = delivering.deliver()
    sftp.poll()
    assert (receipt.evidence, sftp.taken, sftp.leftovers) == ("E5", WHOLE, ())
    fingerprint = asyncssh.import_public_key(sftp.host_key).get_fingerprint()
    assert (delivering.recorded().temp_path, delivering.recorded().host_key) == ("", fingerprint)
    assert not delivering.deliver().sent_now
    assert delivering.recorded().state is State.COMMITTED


@every(Pickup.A)
@pytest.mark.usefixtures("far_zone")
def test_when_it_arrived(delivering: Delivering, sftp: FaultySftp) -> None:
    """The time of a receipt is a moment, also where it was only seen later that the file is there."""
    begun = datetime.now(UTC)
    assert begun <= delivering.deliver().committed_at <= datetime.now(UTC)
    delivering.file = replace(delivering.file, slot="D", name="d.csv")
    sftp.misbehave(Fault.LOSE_CLOSE_REPLY)
    with pytest.raises(TransportError):
        delivering.deliver()
    seen = delivering.deliver()
    assert seen.evidence == "S"
    assert begun <= seen.committed_at <= datetime.now(UTC)


@D_AND_E
@pytest.mark.parametrize("at", [1, 32_768, 150_000, 300_000])
def test_broken_line(at: int, delivering: Delivering, sftp: FaultySftp) -> None:
    """A line that breaks while the file is written ends in doubt, and not a byte is sent again."""
    sftp.misbehave(Fault.DROP_AT, at=at)
    assert delivering.tried() == "DeliveryInDoubtError"
    sftp.poll()
    assert (sftp.taken, sftp.calls["open"]) == (((NAME, CONTENT[:at]),), 1)
    assert delivering.tried() == "DeliveryInDoubtError"


@D_AND_E
@pytest.mark.parametrize(
    "fault",
    [
        Fault.FAIL_CLOSE,
        Fault.LOSE_CLOSE_REPLY,
        Fault.LOSE_OPEN,
        Fault.STALL_OPEN,
        Fault.STALL_WRITE,
        Fault.STALL_CLOSE,
    ],
)
def test_nobody_can_know(fault: Fault, delivering: Delivering, sftp: FaultySftp) -> None:
    """Wherever an answer is missing, and nothing is there to see, a person has to look; nothing is sent twice."""
    delivering.transport = replace(direct(sftp), deadlines=QUICK)
    sftp.misbehave(fault, at=100_000)
    assert delivering.tried() == "DeliveryInDoubtError"
    sftp.poll()
    assert delivering.recorded().state is State.IN_DOUBT
    assert (len(sftp.taken) <= 1, sftp.calls["open"]) == (True, 1)


@D_AND_E
@pytest.mark.parametrize(
    ("fault", "at", "error"),
    [
        (Fault.FAIL_WRITE, 1, RemoteFullError),
        (Fault.FAIL_WRITE, 2, RemoteFullError),
        (Fault.QUOTA, 100_000, RemoteFullError),
        (Fault.QUOTA, 299_999, RemoteFullError),
    ],
)
def test_plain_no(fault: Fault, at: int, error: type[Exception], delivering: Delivering, sftp: FaultySftp) -> None:
    """What the server plainly refuses is taken back before anybody can have it, and the next try delivers."""
    sftp.misbehave(fault, at=at)
    with pytest.raises(error):
        delivering.deliver()
    sftp.poll()
    assert (sftp.taken, listing(sftp.drop), delivering.recorded().state) == ((), {}, State.SEALED)
    assert delivering.tried() == "E5"
    sftp.poll()
    assert sftp.taken == WHOLE


def test_stored_in_part(delivering: Delivering, sftp: FaultySftp) -> None:
    """A server that keeps less than it says is found out before the file is closed."""
    sftp.misbehave(Fault.SHORT, at=299_999)
    with pytest.raises(TransportError, match="keeps 299,999 of 300,000 bytes"):
        delivering.deliver()
    assert (sftp.taken, delivering.deliver().evidence) == ((), "E5")
    assert sftp.taken == WHOLE


def test_torso_that_stays(delivering: Delivering, sftp: FaultySftp) -> None:
    """Where the torso cannot be removed, it may be taken when it is closed: a doubt."""
    sftp.misbehave(Fault.NO_REMOVE)
    sftp.misbehave(Fault.QUOTA, at=100_000)
    assert delivering.tried() == "DeliveryInDoubtError"
    assert sftp.taken == ((NAME, CONTENT[:100_000]),)


@every(Pickup.A)
@pytest.mark.parametrize("fault", [Fault.LOSE_CLOSE_REPLY, Fault.STALL_CLOSE])
def test_seen_in_full_size(fault: Fault, delivering: Delivering, sftp: FaultySftp) -> None:
    """Where the file may be looked at, one that is there in full size has arrived, and the evidence says how (S)."""
    delivering.transport = replace(direct(sftp), deadlines=QUICK)
    sftp.misbehave(fault)
    assert delivering.tried() == "S"
    sftp.poll()
    assert (sftp.taken, sftp.calls["open"]) == (WHOLE, 1)


@every(Pickup.A)
def test_seen_in_part(delivering: Delivering, sftp: FaultySftp) -> None:
    """One byte less is no arrival; a person decides, and once the torso is away, it is sent."""
    sftp.misbehave(Fault.DROP_AT, at=299_999)
    assert delivering.tried() == "DeliveryInDoubtError"
    assert listing(sftp.drop) == {NAME: CONTENT[:299_999]}
    (sftp.drop / NAME).unlink()
    resolve(delivering.ledger, delivering.recorded().delivery_id, Outcome.NOT_DELIVERED, why="torso", who="anna")
    assert delivering.tried() == "E5"


@every(Pickup.A)
def test_full_size_means_whole(delivering: Delivering, sftp: FaultySftp) -> None:
    """The last byte goes by itself when all others are acknowledged: full size means no hole."""
    sftp.misbehave(Fault.NO_REMOVE)
    sftp.misbehave(Fault.FAIL_WRITE, at=2)
    assert delivering.tried() == "DeliveryInDoubtError"
    assert listing(sftp.drop) == {NAME: CONTENT[:-1]}


@D_AND_E
@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (Fault.DROP_AT, [100_000, 300_000]),
        (Fault.LOSE_CLOSE_REPLY, [300_000, 300_000]),
        (Fault.FAIL_CLOSE, None),
    ],
)
def test_resend(
    fault: Fault, arrived: list[int] | None, delivering: Delivering, sftp: FaultySftp, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked for it gets the same bytes once more, at least once in full, and the log says that it may be twice."""
    delivering.transport = direct(sftp, resend=True)
    sftp.misbehave(fault, at=100_000)
    assert delivering.tried() == "E5"
    sftp.poll()
    assert sftp.taken[-1] == (NAME, CONTENT)
    assert arrived is None or [len(content) for _, content in sftp.taken] == arrived
    warning = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"][-1]
    assert warning.endswith("; the audience file says on_doubt: resend, so the same bytes are sent once more")


def test_resend_only_the_same(delivering: Delivering, sftp: FaultySftp) -> None:
    """Under a name that may have arrived nothing else is sent, whoever asked for sending again."""
    delivering.transport = direct(sftp, resend=True)
    sftp.misbehave(Fault.LOSE_CLOSE_REPLY)
    with pytest.raises(TransportError):
        delivering.deliver()
    rebuilt = sealed_file(delivering.file.path.with_name("rebuilt"), b"rebuilt")
    with pytest.raises(DeliveryInDoubtError, match=f"{NAME}: the file was built anew after .* nobody can know whether"):
        delivering.deliver(rebuilt)
    assert sftp.taken == WHOLE


@every(Pickup.A)
@pytest.mark.parametrize("resend", [False, True])
def test_somebody_elses_file(resend: bool, delivering: Delivering, sftp: FaultySftp) -> None:
    """A file of that name is not replaced."""
    delivering.transport = direct(sftp, resend=resend)
    (sftp.drop / NAME).write_bytes(b"somebody's")
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        delivering.deliver()
    assert listing(sftp.drop) == {NAME: b"somebody's"}


def test_missing_folder(delivering: Delivering, sftp: FaultySftp) -> None:
    """A folder that is not there is said, and is no doubt."""
    with pytest.raises(RemoteFolderError, match="does not exist"):
        delivering.deliver(folder="/uploads/nowhere")
    assert delivering.recorded().state is State.SEALED


def test_refused_when_sent_again(delivering: Delivering, sftp: FaultySftp) -> None:
    """A no to sending again says nothing of the try before: that one may have arrived, and the ledger keeps to it."""
    delivering.claim(State.WRITING)
    (sftp.drop / NAME).mkdir()
    delivering.transport = direct(sftp, resend=True)
    assert delivering.tried() == "TransportError"
    assert delivering.recorded().state is State.WRITING


def test_refused_rename_names_the_way_out(delivering: Delivering, sftp: FaultySftp) -> None:
    """Where nothing is renamed, that is said with what can be chosen; chosen, it delivers and leaves nothing behind."""
    chosen, delivering.transport = delivering.transport, way_to(sftp)
    for _ in range(2):
        with pytest.raises(RemoteFolderError, match=r"does not let us rename.*\. Ask .* `upload: direct` .* less\.$"):
            delivering.deliver()
    assert (sftp.taken, len(sftp.leftovers)) == ((), 1)
    delivering.transport = chosen
    assert delivering.deliver().evidence == "E5"
    assert (sftp.taken, sftp.leftovers) == (WHOLE, ())


@D_AND_E
def test_refused_rename_and_a_new_file(delivering: Delivering, sftp: FaultySftp) -> None:
    """A file built anew after its upload could not be renamed is recorded as what it is, and sent."""
    chosen, delivering.transport = delivering.transport, way_to(sftp)
    with pytest.raises(RemoteFolderError):
        delivering.deliver()
    delivering.transport = chosen
    delivering.file = sealed_file(delivering.file.path.with_name("rebuilt"), b"rebuilt")
    assert delivering.tried() == "E5"
    sftp.poll()
    assert (sftp.taken, delivering.recorded().sha256) == (((NAME, b"rebuilt"),), delivering.file.sha256)


@every(Pickup.A)
def test_begun_directly_ends_directly(delivering: Delivering, sftp: FaultySftp) -> None:
    """What may lie under its final name is not uploaded beside it when the audience file is changed meanwhile."""
    sftp.misbehave(Fault.LOSE_CLOSE_REPLY)
    with pytest.raises(TransportError):
        delivering.deliver()
    delivering.transport = way_to(sftp)
    assert delivering.deliver().evidence == "S"
    assert (listing(sftp.drop), sftp.calls["open"]) == ({NAME: CONTENT}, 1)


@every(Pickup.B)
def test_begun_by_rename_ends_by_rename(delivering: Delivering, sftp: FaultySftp) -> None:
    """What may have been renamed is not written once more when the audience file is changed meanwhile."""
    chosen, delivering.transport = delivering.transport, way_to(sftp)
    sftp.misbehave(Fault.DROP_AFTER_RENAME)
    with pytest.raises(TransportError):
        delivering.deliver()
    delivering.transport = chosen
    assert delivering.deliver().evidence == "E3"
    assert (sftp.taken, sftp.calls["open"]) == (WHOLE, 1)


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("way", [[State.WRITING], [State.WRITING, State.CLOSING]], ids=str)
@pytest.mark.parametrize("there", [None, CONTENT[:-1], CONTENT], ids=["nothing", "torso", "whole"])
@every(Pickup.A)
def test_recovery(
    there: bytes | None, way: list[State], resend: bool, delivering: Delivering, sftp: FaultySftp
) -> None:
    """After a worker was killed, what is there whole has arrived; else: a doubt, or sent again where asked."""
    delivering.claim(*way)
    if there is not None:
        (sftp.drop / NAME).write_bytes(there)
    delivering.transport = direct(sftp, resend=resend)
    known = "E5" if resend else "DeliveryInDoubtError"
    assert delivering.tried() == ("S" if there == CONTENT else known)
    left = {} if there is None else {NAME: there}
    assert listing(sftp.drop) == (left if known != "E5" else {NAME: CONTENT})


@pytest.mark.parametrize("way", [[], [State.WRITING], [State.WRITING, State.CLOSING]], ids=str)
def test_old_holder_resumes(way: list[State], delivering: Delivering, sftp: FaultySftp) -> None:
    """An old holder that goes on after another has taken over writes nothing and removes nothing."""
    old = delivering.claim(*way)
    with_it = delivering.tried()
    before = sftp.calls["open"], sftp.calls["remove"], sftp.taken
    with pytest.raises(LedgerError, match="took this delivery over"):
        delivering.transport.send(delivering.file.path, old)
    assert with_it == ("DeliveryInDoubtError" if way else "E5")
    assert (sftp.calls["open"], sftp.calls["remove"], sftp.taken) == before


@every(Pickup.A)
def test_old_holder_removes_nothing(delivering: Delivering, sftp: FaultySftp, tmp_path: Path) -> None:
    """An old holder whose write fails after another has delivered leaves alone what lies under the name by now."""
    delivering.transport = direct(sftp, resend=True)
    old = delivering.claim()
    with ThreadPoolExecutor() as pool, PausedFile(tmp_path / "held", CONTENT) as held:
        first = pool.submit(delivering.transport.send, held.path, old)
        wait_until(lambda: (sftp.drop / NAME).exists(), "the old holder to begin")
        assert delivering.deliver().evidence == "E5"
        sftp.misbehave(Fault.FAIL_WRITE, at=1)
        held.flow()
        with pytest.raises(RemoteFullError):
            first.result()
    assert listing(sftp.drop) == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


@every(Pickup.B)
def test_refused_after_a_rename_that_was_not(delivering: Delivering, sftp: FaultySftp) -> None:
    """An upload that is still there was not renamed by the try whose answer was lost: it may be given up for direct."""
    chosen, delivering.transport = delivering.transport, way_to(sftp)
    for fault, error in ((Fault.DROP_BEFORE_RENAME, TransportError), (Fault.RENAME_REFUSED, RemoteFolderError)):
        sftp.misbehave(fault)
        with pytest.raises(error):
            delivering.deliver()
    delivering.transport = chosen
    assert delivering.deliver().evidence == "E5"
    assert (sftp.taken, sftp.leftovers) == (WHOLE, ())


@every(Pickup.C)
def test_refused_after_a_rename_that_nobody_can_see(delivering: Delivering, sftp: FaultySftp) -> None:
    """Where nothing is told of files, a refused rename leaves open whether the one before it came through."""
    delivering.transport = way_to(sftp)
    for fault, error in ((Fault.DROP_BEFORE_RENAME, TransportError), (Fault.RENAME_REFUSED, RemoteFolderError)):
        sftp.misbehave(fault)
        with pytest.raises(error):
            delivering.deliver()
    assert delivering.recorded().state is State.INTENT
    assert delivering.deliver().evidence == "E4"
    assert (sftp.taken, sftp.leftovers) == (WHOLE, ())


@pytest.mark.parametrize("options", [("-P", "rename,posix-rename"), ("-P", "rename,posix-rename,stat,lstat,fstat")])
def test_openssh(options: tuple[str, ...], delivering: Delivering, tmp_path: Path) -> None:
    """The same against a real server that renames nothing, whether it lets one look or not."""
    with OpenSshServer(tmp_path / "openssh", sftp_options=options) as server:
        delivering.transport, delivering.path = direct(server), str(server.root)
        assert delivering.deliver().evidence == "E5"
        assert listing(server.root) == {NAME: CONTENT}
