"""Delivery by rename to servers that fail in every way: exactly one whole file, or none and an error that says why."""

from __future__ import annotations

import random
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import (
    CredentialsError,
    DeliveryInDoubtError,
    LiveRampError,
    RemoteFolderError,
    RemoteFullError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports.sftp import Deadlines
from liveramp_provider.testing.sftp import LOOKED, Fault, FaultySftp, Pickup
from tests.deliveries import NAME, QUICK, Delivering, listing, sealed_file, way_to
from tests.servers import OpenSshServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
CONTENT = random.Random(6).randbytes(300_000)
WHOLE = ((NAME, CONTENT),)
RENAMING = (Pickup.A, Pickup.B, Pickup.C)


def every(*pickups: Pickup) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sftp", pickups, indirect=True, ids=[pickup.name for pickup in pickups])


@pytest.fixture
def sftp(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultySftp]:
    """Of class B, or what the test's parameter says."""
    with FaultySftp(tmp_path / "sftp", pickup=getattr(request, "param", Pickup.B)) as running:
        yield running


def delivering_to(path: str, transport: Any, tmp_path: Path, content: bytes = CONTENT) -> Delivering:
    """A sealed file that is to come there."""
    return Delivering(sealed_file(tmp_path / "sealed", content), tmp_path / "ledger" / "ledger.sqlite", path, transport)


@pytest.fixture
def delivering(sftp: FaultySftp, tmp_path: Path) -> Delivering:
    """A sealed file that is to come to the faulty server."""
    return delivering_to(sftp.folder, way_to(sftp), tmp_path)


def until_it_works(delivering: Delivering, tries: int = 3) -> list[str]:
    """The errors of the first tries, and the evidence of the last one."""
    met = []
    for _ in range(tries):
        try:
            return [*met, delivering.deliver().evidence]
        except LiveRampError as error:
            met.append(type(error).__name__)
    return met


def once(sftp: FaultySftp, delivering: Delivering) -> None:
    """The receiver got one whole file, nothing lies beside it, the ledger knows, and a rerun sends nothing."""
    sftp.poll()
    assert (sftp.taken, sftp.leftovers) == (WHOLE, ())
    assert delivering.recorded().state is State.COMMITTED
    assert not delivering.deliver().sent_now


ONE_FAULT = [
    *[(Fault.DROP_AT, at, "TransportError") for at in (1, 32_767, 32_768, 32_769, 150_000, 300_000)],
    *[(Fault.FAIL_WRITE, number, "RemoteFullError") for number in (1, 2)],
    (Fault.QUOTA, 100_000, "RemoteFullError"),
    (Fault.FAIL_CLOSE, 0, "TransportError"),
    (Fault.LOSE_CLOSE_REPLY, 0, "TransportError"),
    (Fault.RENAME_REFUSED, 0, "RemoteFolderError"),
    (Fault.DROP_BEFORE_RENAME, 0, "TransportError"),
    (Fault.DROP_AFTER_RENAME, 0, "TransportError"),
]


@every(*RENAMING)
@pytest.mark.parametrize(("fault", "at", "told"), ONE_FAULT, ids=[f"{row[0].name} {row[1]}" for row in ONE_FAULT])
def test_one_fault(fault: Fault, at: int, told: str, sftp: FaultySftp, delivering: Delivering) -> None:
    """One fault costs one try; before and after, the receiver has nothing but one whole file."""
    sftp.misbehave(fault, at=at)
    assert until_it_works(delivering) == [told, "E3" if sftp.pickup.tells else "E4"]
    once(sftp, delivering)


@every(Pickup.B, Pickup.C)
def test_the_final_name_is_not_asked_for(sftp: FaultySftp, delivering: Delivering) -> None:
    """A receiver that takes the file at once sees no look at its name; where it tells no sizes, the evidence is E4."""
    assert delivering.deliver().evidence == ("E3" if sftp.pickup.tells else "E4")
    assert (sftp.calls[LOOKED], sftp.calls["rename"], sftp.calls["posix_rename"]) == (0, 1, 0)
    once(sftp, delivering)


def test_refusal_after_a_lost_answer(sftp: FaultySftp, delivering: Delivering) -> None:
    """A rename that was done and is refused when it is asked for again was done all the same."""
    sftp.misbehave(Fault.DROP_AFTER_RENAME)
    with pytest.raises(TransportError):
        delivering.deliver()
    sftp.misbehave(Fault.RENAME_REFUSED)
    assert until_it_works(delivering) == ["RemoteFolderError", "E3"]
    once(sftp, delivering)


STALLS = (Fault.STALL_OPEN, Fault.STALL_WRITE, Fault.STALL_CLOSE, Fault.STALL_RENAME, Fault.STALL_AFTER_RENAME)


@every(*RENAMING)
@pytest.mark.parametrize("fault", STALLS, ids=lambda fault: fault.name)
def test_silence(fault: Fault, sftp: FaultySftp, delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """A server that falls silent while its line is alive is given up, and waited for once; the next try delivers."""
    delivering.transport = replace(way_to(sftp), deadlines=QUICK)
    sftp.misbehave(fault, at=100_000)
    with pytest.raises(TransportError, match=re.escape(f"{sftp.host}:{sftp.port} said nothing for 1 seconds")):
        delivering.deliver()
    assert "could not be removed: TransportError" not in caplog.text  # would be a second wait
    delivering.transport = way_to(sftp)
    delivering.deliver()
    once(sftp, delivering)


@pytest.mark.parametrize("number", range(1, 5))
def test_every_write_may_fail(number: int, sftp: FaultySftp, tmp_path: Path) -> None:
    """Whichever write of a large file fails, nothing of it is left, and the next try delivers."""
    content = random.Random(1).randbytes(9 * MIB)
    delivering = delivering_to(sftp.folder, way_to(sftp), tmp_path, content)
    sftp.misbehave(Fault.FAIL_WRITE, at=number)
    with pytest.raises(RemoteFullError, match=r"stores no more after [0-9,]+ of 9,437,184 bytes: .* for room\.$"):
        delivering.deliver()
    assert (sftp.taken, sftp.leftovers) == ((), ())
    delivering.deliver()
    assert sftp.taken == ((NAME, content),)


@pytest.mark.parametrize("at", [0, 1, 299_999])
def test_stored_in_part(at: int, sftp: FaultySftp, delivering: Delivering) -> None:
    """A server that says it stored all and did not is found out before the file has a final name."""
    sftp.misbehave(Fault.SHORT, at=at)
    with pytest.raises(TransportError, match=f"keeps {at:,} of 300,000 bytes"):
        delivering.deliver()
    assert (sftp.taken, sftp.leftovers) == ((), ())
    delivering.deliver()
    once(sftp, delivering)


def test_slow(sftp: FaultySftp, delivering: Delivering) -> None:
    """A line that would take hours is given up."""
    delivering.transport = replace(way_to(sftp), deadlines=QUICK)
    sftp.misbehave(Fault.SLOW, at=1_000)
    with pytest.raises(TransportError, match="said nothing for 1 seconds"):
        delivering.deliver()
    sftp.poll()
    assert sftp.taken == ()


def test_rename_that_fails_once(sftp: FaultySftp, delivering: Delivering) -> None:
    """A rename that fails is tried again by itself, with the upload that is there already."""
    sftp.misbehave(Fault.RENAME_FAILS)
    assert until_it_works(delivering) == ["TransportError", "E3"]
    assert sftp.calls["open"] == 1
    once(sftp, delivering)


@pytest.mark.parametrize("fault", [Fault.STAT_DENIED, Fault.FSTAT_DENIED, Fault.NO_SIZE], ids=lambda fault: fault.name)
def test_what_is_not_told(fault: Fault, sftp: FaultySftp, delivering: Delivering) -> None:
    """What the server does not tell does not stop a delivery, and is not claimed to be known."""
    sftp.misbehave(fault)
    delivering.transport.check(sftp.folder)
    assert delivering.deliver().evidence == ("E3" if fault is Fault.STAT_DENIED else "E4")
    once(sftp, delivering)


@pytest.mark.parametrize("fault", [Fault.NO_PLAIN_RENAME, Fault.NO_POSIX_RENAME], ids=lambda fault: fault.name)
def test_one_kind_of_rename(fault: Fault, sftp: FaultySftp, delivering: Delivering) -> None:
    """Either kind of rename is enough, and neither replaces somebody else's file."""
    sftp.misbehave(fault)
    (sftp.drop / NAME).write_bytes(b"somebody's")
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        delivering.deliver()
    assert (sftp.drop / NAME).read_bytes() == b"somebody's"
    (sftp.drop / NAME).unlink()
    delivering.file = replace(delivering.file, revision=1, slot="D")
    delivering.deliver()
    assert sftp.taken == WHOLE


def test_removal_refused(sftp: FaultySftp, delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing may be removed, the torso stays under a name that nobody takes, the log names it."""
    sftp.misbehave(Fault.NO_REMOVE)
    sftp.misbehave(Fault.QUOTA, at=100_000)
    assert until_it_works(delivering) == ["RemoteFullError", "E3"]
    (torso,) = sftp.leftovers
    assert f"{sftp.folder}/{torso} may still lie at the server" in caplog.text
    assert sftp.taken == WHOLE


def test_wrong_password_is_not_tried_again(sftp: FaultySftp, delivering: Delivering) -> None:
    """A login that is refused is a fault of the connection, which no retry mends."""
    delivering.transport = way_to(sftp, password="guess")
    with pytest.raises(CredentialsError):
        delivering.deliver()
    assert sftp.calls == {}


def test_no_such_host(sftp: FaultySftp, delivering: Delivering) -> None:
    """A name that cannot be looked up now may be found later."""
    delivering.transport = way_to(sftp, host="liveramp.invalid")
    with pytest.raises(TransportError, match=r"liveramp\.invalid"):
        delivering.deliver()


def test_peer_that_never_greets(sftp: FaultySftp, delivering: Delivering) -> None:
    """A port that takes the connection and says nothing is given up."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        deadlines = Deadlines(connect_s=0.5, operation_s=0.5)
        delivering.transport = replace(way_to(sftp, port=mute.getsockname()[1]), deadlines=deadlines)
        with pytest.raises(TransportError):
            delivering.deliver()
    assert delivering.recorded().state is State.SEALED


@pytest.mark.parametrize(
    "options",
    [{"max_pktsize": 4096}, {"window": 4096}, {"max_pktsize": 1024, "window": 4096}, {"rekey_bytes": 100_000}],
    ids=str,
)
def test_narrow_servers(options: dict[str, int], tmp_path: Path) -> None:
    """Small packets, little room for what is under way, new keys in mid-file: it arrives as it is."""
    content = random.Random(2).randbytes(2 * MIB)
    with FaultySftp(tmp_path / "sftp", **options) as sftp:
        delivering = delivering_to(sftp.folder, way_to(sftp), tmp_path, content)
        assert delivering.deliver().evidence == "E3"
        assert sftp.taken == ((NAME, content),)


def test_new_keys_at_openssh(tmp_path: Path) -> None:
    """A server that wants new keys every megabyte gets the file as it is."""
    content = random.Random(3).randbytes(20 * MIB)
    with OpenSshServer(tmp_path / "openssh", config=["RekeyLimit 1M"]) as server:
        delivering = delivering_to(str(server.root), way_to(server), tmp_path, content)
        assert delivering.deliver().evidence == "E3"
        assert listing(server.root) == {NAME: content}
        assert server.log.count("rekey in progress") + server.log.count("set_newkeys") > 10


@pytest.mark.parametrize("direct", [False, True])
def test_openssh_without_room(direct: bool, tmp_path: Path) -> None:
    """A real server that cannot store more says so, and neither a final nor a temporary name is left."""
    content = random.Random(4).randbytes(3 * MIB)
    with OpenSshServer(tmp_path / "openssh", largest_file_bytes=2 * MIB) as server:
        transport = replace(way_to(server), direct=direct)
        delivering = delivering_to(str(server.root), transport, tmp_path, content)
        with pytest.raises(RemoteFullError, match="stores no more"):
            delivering.deliver()
        assert (listing(server.root), delivering.recorded().committed_at) == ({}, None)


def test_refused_rename_is_said(sftp: FaultySftp, delivering: Delivering) -> None:
    """Where every rename is refused, the error names the folder, what to ask for, and what else can be agreed on."""
    sftp.misbehave(Fault.RENAME_REFUSED, times=3)
    for _ in range(3):
        with pytest.raises(RemoteFolderError, match=r"rename in /uploads/drop.*Ask LiveRamp.*`upload: direct`"):
            delivering.deliver()
    delivering.deliver()
    assert sftp.calls["open"] == 1
    once(sftp, delivering)
