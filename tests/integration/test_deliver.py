"""The last verb against a real OpenSSH server: once, from wherever an earlier try stopped, or not at all.

What holds whatever the way to the receiver is in ``test_delivery_contract.py``.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import DeliveryInDoubtError, LedgerError
from liveramp_provider.core.ledger import State
from tests.deliveries import NAME, Delivering, PausedFile, listing, sealed_file, way_to
from tests.servers import OpenSshServer, wait_until

if TYPE_CHECKING:
    from liveramp_provider.core.ledger import Claim

CONTENT = random.Random(7).randbytes(300_000)
TORSO = CONTENT[:100_000]


@pytest.fixture
def delivering(server: OpenSshServer, folder: Path, tmp_path: Path) -> Delivering:
    """A sealed file that is to come to the server's folder."""
    return Delivering(
        sealed_file(tmp_path / "sealed", CONTENT), tmp_path / "ledger" / "ledger.sqlite", str(folder), way_to(server)
    )


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
    with pytest.raises(DeliveryInDoubtError, match=f"/{NAME}: the upload vanished before its rename, and"):
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


def upload_of(claim: Claim) -> Path:
    return Path(claim.delivery.temp_path or "/nowhere")


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
