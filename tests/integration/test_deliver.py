"""The last verb against a real OpenSSH server: once, from wherever an earlier try stopped, or not at all."""

from __future__ import annotations

import multiprocessing
import random
import re
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import (
    DeliveryBusyError,
    DeliveryInDoubtError,
    LedgerError,
    LiveRampError,
    SealBrokenError,
    SmallAudienceError,
    TransportError,
)
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.core.pipeline.deliver import deliver
from tests.deliveries import DAY, NAME, PausedFile, destination, listing, sealed_file, way_to
from tests.servers import OpenSshServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from liveramp_provider.core.artifacts import Receipt, SealedFile
    from liveramp_provider.core.ledger import Claim, Delivery
    from liveramp_provider.core.transports.sftp import SftpTransport

CONTENT = random.Random(7).randbytes(300_000)
TORSO = CONTENT[:100_000]


@dataclass
class Delivering:
    """One sealed file, one ledger, one folder; as many tries as a test likes."""

    file: SealedFile
    ledger_file: Path
    folder: Path
    transport: SftpTransport

    @property
    def ledger(self) -> Ledger:
        return Ledger.in_file(self.ledger_file)

    def deliver(self, file: SealedFile | None = None, *, holder: str = "run 1", folder: Path | None = None) -> Receipt:
        return deliver(
            file or self.file,
            destination(folder or self.folder),
            transport=self.transport,
            ledger=self.ledger,
            holder=holder,
        )

    def claim(self, *way: State, holder: str = "run 1") -> Claim:
        """A claim that has come the way through these states, its upload named ``.upload.tmp``."""
        claim = self.ledger.claim(self.file, folder=str(self.folder), holder=holder)
        for state in way:
            claim.advance(state, temp_path=f"{self.folder}/.upload.tmp")
        return claim

    def recorded(self) -> Delivery:
        with sqlite3.connect(self.ledger_file) as database:
            (key,) = database.execute("select delivery_id from liveramp_deliveries").fetchone()
        database.close()
        found = self.ledger.find(key)
        assert found is not None
        return found


@pytest.fixture
def delivering(server: OpenSshServer, folder: Path, tmp_path: Path) -> Delivering:
    """A sealed file that is to come to the server's folder."""
    return Delivering(
        sealed_file(tmp_path / "sealed", CONTENT), tmp_path / "ledger" / "ledger.sqlite", folder, way_to(server)
    )


def test_receipt(delivering: Delivering) -> None:
    """The receipt says what was sent, where to, how large, with which digests, and how well that is proven."""
    receipt = delivering.deliver()
    file, recorded = delivering.file, delivering.recorded()
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert (receipt.name, receipt.folder, receipt.day) == (NAME, str(delivering.folder), DAY)
    assert (receipt.rows, receipt.members, receipt.size_bytes) == (30, 30, len(CONTENT))
    assert (receipt.sha256, receipt.csv_sha256, receipt.evidence) == (file.sha256, file.csv_sha256, "E3")
    assert (receipt.committed_at, receipt.delivery_id) == (recorded.committed_at, recorded.delivery_id)
    assert receipt.sent_now


def test_rerun_sends_nothing(delivering: Delivering, server: OpenSshServer) -> None:
    """A rerun gives the old receipt without so much as a connection, whatever has become of the staged file."""
    first = delivering.deliver()
    before, connections = (delivering.folder / NAME).stat(), server.log.count("Connection from")
    rebuilt = sealed_file(delivering.file.path, b"rebuilt", members=99)
    small, broken = replace(rebuilt, members=3), delivering.file
    for file in (rebuilt, small, broken):
        assert delivering.deliver(file, holder="run 2") == replace(first, sent_now=False)
    assert (delivering.folder / NAME).stat() == before
    assert server.log.count("Connection from") == connections


def test_rerun_after_the_receiver_took_the_file(delivering: Delivering) -> None:
    """A file that the receiver has taken away is not sent again."""
    delivering.deliver()
    (delivering.folder / NAME).unlink()
    assert not delivering.deliver().sent_now
    assert listing(delivering.folder) == {}


@pytest.mark.parametrize(
    ("way", "there"),
    [
        pytest.param([], {}, id="sealed"),
        pytest.param([State.UPLOADING], {}, id="uploading, nothing there yet"),
        pytest.param([State.UPLOADING], {".upload.tmp": TORSO}, id="uploading, torso"),
        pytest.param([State.UPLOADING], {".upload.tmp": CONTENT}, id="uploading, all there but not verified"),
        pytest.param([State.UPLOADING, State.VERIFIED], {".upload.tmp": CONTENT}, id="verified"),
        pytest.param([State.UPLOADING, State.VERIFIED, State.INTENT], {".upload.tmp": CONTENT}, id="before the rename"),
        pytest.param([State.UPLOADING, State.VERIFIED, State.INTENT], {NAME: CONTENT}, id="after the rename"),
    ],
)
@pytest.mark.parametrize("options", [(), ("-P", "rename")], ids=["all allowed", "posix-rename only"])
def test_recovery(
    options: tuple[str, ...], way: list[State], there: dict[str, bytes], delivering: Delivering, tmp_path: Path
) -> None:
    """Wherever the dead try stopped, the next one ends with one complete file, nothing beside it, and COMMITTED."""
    delivering.claim(*way)
    for name, content in there.items():
        (delivering.folder / name).write_bytes(content)
    with OpenSshServer(tmp_path / "server", sftp_options=options) as server:
        delivering.transport = way_to(server)
        receipt = delivering.deliver()
    assert receipt.sent_now
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


def test_recovery_after_the_receiver_took_the_file(delivering: Delivering) -> None:
    """A file that was taken away before the answer to its rename came was delivered, and is not sent again."""
    delivering.claim(State.UPLOADING, State.VERIFIED, State.INTENT)
    assert delivering.deliver().sha256 == delivering.file.sha256
    assert listing(delivering.folder) == {}


def test_verified_upload_that_vanished(delivering: Delivering) -> None:
    """An upload that vanished although nobody had begun to rename it is a matter for a person."""
    delivering.claim(State.UPLOADING, State.VERIFIED)
    with pytest.raises(DeliveryInDoubtError, match="vanished before its rename"):
        delivering.deliver()
    assert delivering.recorded().state is State.IN_DOUBT
    with pytest.raises(DeliveryInDoubtError):
        delivering.deliver()
    assert listing(delivering.folder) == {}


def test_torso_in_a_former_folder(delivering: Delivering, server: OpenSshServer) -> None:
    """After the audience file has got another folder, the torso in the former one is cleared away."""
    delivering.claim(State.UPLOADING)
    (delivering.folder / ".upload.tmp").write_bytes(TORSO)
    moved = server.root / f"{delivering.folder.name}-moved"
    moved.mkdir()
    delivering.deliver(folder=moved)
    assert (listing(delivering.folder), listing(moved)) == ({}, {NAME: CONTENT})


@pytest.mark.parametrize(
    ("way", "newest_counts"),
    [([State.UPLOADING], True), ([State.UPLOADING, State.VERIFIED], False)],
    ids=["before it was verified", "after"],
)
def test_file_rebuilt_between_tries(way: list[State], newest_counts: bool, delivering: Delivering) -> None:
    """A rebuilt file is sent and recorded if nothing lies complete at the receiver yet; else the earlier one is."""
    delivering.claim(*way)
    (delivering.folder / ".upload.tmp").write_bytes(CONTENT)
    rebuilt = sealed_file(delivering.file.path.with_name("rebuilt"), b"rebuilt", rows=40, members=40)
    receipt = delivering.deliver(rebuilt)
    expected = rebuilt if newest_counts else delivering.file
    assert (receipt.sha256, receipt.rows, receipt.size_bytes) == (expected.sha256, expected.rows, expected.size_bytes)
    assert listing(delivering.folder) == {NAME: b"rebuilt" if newest_counts else CONTENT}


@pytest.mark.parametrize("way", [[], [State.UPLOADING], [State.UPLOADING, State.VERIFIED]], ids=str)
def test_old_holder_resumes(way: list[State], delivering: Delivering) -> None:
    """An old holder that goes on after another has delivered fails, and changes nothing at the receiver."""
    old = delivering.claim(*way)
    if way:
        (delivering.folder / ".upload.tmp").write_bytes(CONTENT)
    delivering.deliver()
    with pytest.raises(LedgerError, match="took this delivery over"):
        delivering.transport.send(delivering.file.path, old)
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


@pytest.mark.parametrize("new_one_is_done", [False, True])
def test_old_holder_resumes_beside_the_new_one(new_one_is_done: bool, delivering: Delivering, tmp_path: Path) -> None:
    """An old holder that goes on while or after the new one sends neither commits nor touches the new one's upload."""
    old = delivering.claim()
    with (
        ThreadPoolExecutor() as pool,
        PausedFile(tmp_path / "held", CONTENT) as held,
        PausedFile(tmp_path / "late", CONTENT) as late,
    ):
        first = pool.submit(delivering.transport.send, held.path, old)
        wait_until(lambda: upload_of(old).exists(), "the old holder's upload")
        new = delivering.claim()
        second = pool.submit(delivering.transport.send, late.path, new)
        wait_until(lambda: upload_of(new) != upload_of(old) and upload_of(new).exists(), "the new one's")
        if new_one_is_done:
            late.flow()
            second.result()
        held.flow()
        with pytest.raises(LedgerError, match="took this delivery over"):
            first.result()
        if not new_one_is_done:
            assert list(delivering.folder.iterdir()) == [upload_of(new)]
            late.flow()
            second.result()
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


def test_busy(delivering: Delivering, server: OpenSshServer) -> None:
    """While another run is at it, nothing is sent: the error says who, and passes by itself."""
    delivering.claim(holder="dag/run 1/deliver")
    log = len(server.log)
    with pytest.raises(DeliveryBusyError, match="dag/run 1/deliver"):
        delivering.deliver(holder="dag/run 2/deliver")
    assert listing(delivering.folder) == {}
    assert server.log[log:] == ""


def upload_of(claim: Claim) -> Path:
    return Path(claim.delivery.temp_path or "/nowhere")


def attempt(delivering: Delivering, holder: str) -> str:
    """What became of one try: an error's name, ``sent`` or ``found``."""
    try:
        return "sent" if delivering.deliver(holder=holder).sent_now else "found"
    except LiveRampError as error:
        return type(error).__name__


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_four_runs_at_once(pool: type[Executor], delivering: Delivering) -> None:
    """Of four runs that start at once, one sends; the others are told to wait, or get its receipt."""
    options = {"mp_context": multiprocessing.get_context("spawn")} if pool is ProcessPoolExecutor else {}
    with pool(4, **options) as workers:
        outcomes = list(workers.map(attempt, [delivering] * 4, [f"run {number}" for number in range(4)]))
    assert outcomes.count("sent") == 1
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError"}
    assert listing(delivering.folder) == {NAME: CONTENT}


@pytest.mark.parametrize("again", range(5))
def test_four_tries_of_one_task_at_once(again: int, delivering: Delivering) -> None:
    """Tries of one task take over from each other at once, and still no more than one file arrives."""
    with ThreadPoolExecutor(4) as workers:
        outcomes = list(workers.map(attempt, [delivering] * 4, ["run 1"] * 4))
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError", "LedgerError"}
    delivering.deliver()
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


def test_small_audience(delivering: Delivering, server: OpenSshServer) -> None:
    """Too few members: nothing is sent, and the message says how many there are and that the receiver holds none."""
    small = replace(delivering.file, members=24)
    log = len(server.log)
    with pytest.raises(SmallAudienceError) as caught:
        delivering.deliver(small)
    assert str(caught.value) == (
        f"{NAME}: 24 unique members, and a file needs 25; it was not sent. LiveRamp holds nothing of it yet."
    )
    assert listing(delivering.folder) == {}
    assert server.log[log:] == ""


def test_small_audience_after_a_large_one(delivering: Delivering) -> None:
    """Too few members after an earlier delivery: the message says what LiveRamp goes on using."""
    delivering.deliver(replace(delivering.file, day=date(2026, 11, 19), name="earlier.csv", members=1234))
    with pytest.raises(SmallAudienceError, match="still holds the 1,234 members delivered for 2026-11-19"):
        delivering.deliver(replace(delivering.file, members=0))
    assert list(listing(delivering.folder)) == ["earlier.csv"]


def test_smallest_audience(delivering: Delivering) -> None:
    """Exactly the minimum is enough."""
    assert delivering.deliver(replace(delivering.file, members=25)).members == 25


@pytest.mark.parametrize("change", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"], ids=["empty", "shorter", "one byte"])
def test_broken_seal(change: bytes, delivering: Delivering, server: OpenSshServer) -> None:
    """Bytes that are not the sealed ones go nowhere."""
    delivering.file.path.write_bytes(change)
    log = len(server.log)
    with pytest.raises(SealBrokenError, match=f"{re.escape(NAME)}: the staged bytes are not those"):
        delivering.deliver()
    assert server.log[log:] == ""


def test_lost_file(delivering: Delivering) -> None:
    """A staged file that is gone is an error that says what to clear."""
    delivering.file.path.unlink()
    with pytest.raises(SealBrokenError, match=r"cannot be read \(No such file or directory\)\. Delete the folder"):
        delivering.deliver()


@pytest.mark.parametrize("ruin", [lambda path: path.write_bytes(b"?" * 5000), lambda path: path.mkdir()])
def test_no_ledger_no_delivery(ruin: Callable[[Path], object], delivering: Delivering, server: OpenSshServer) -> None:
    """With a ledger that cannot be read, nothing is sent."""
    delivering.ledger_file.parent.mkdir()
    ruin(delivering.ledger_file)
    log = len(server.log)
    with pytest.raises(LedgerError):
        delivering.deliver()
    assert listing(delivering.folder) == {}
    assert server.log[log:] == ""


def test_ledger_lost_during_an_upload(delivering: Delivering, tmp_path: Path) -> None:
    """When the ledger fails half-way, the upload stops before its final name and takes its torso along."""
    claim = delivering.claim()
    with ThreadPoolExecutor() as pool, PausedFile(tmp_path / "paused", CONTENT) as paused:
        sending = pool.submit(delivering.transport.send, paused.path, claim)
        wait_until(lambda: upload_of(claim).exists(), "the upload to begin")
        delivering.ledger_file.write_bytes(b"?" * 5000)
        paused.flow()
        with pytest.raises(LedgerError, match="Nothing is sent without it"):
            sending.result()
    assert listing(delivering.folder) == {}


def test_errors_hold_no_member(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """What a failed and a good try log and say has names and counts, and no byte of the file."""
    caplog.set_level("DEBUG")
    file = sealed_file(delivering.file.path, b"M1,jane.doe@example.com\n" * 30)
    good, delivering.transport = delivering.transport, way_to_nowhere(delivering.transport)
    with pytest.raises(TransportError) as caught:
        delivering.deliver(file)
    delivering.transport = good
    delivering.deliver(file)
    assert any(message.startswith(f"deliver: {NAME}, 30 rows, 720 bytes, E3 (") for message in caplog.messages)
    assert "jane.doe" not in caplog.text + str(caught.value)


def way_to_nowhere(transport: SftpTransport) -> SftpTransport:
    return replace(transport, endpoint=replace(transport.endpoint, port=1))
