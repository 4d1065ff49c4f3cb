"""The bytes of a file on their way by SFTP: what is written when, and what is said of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from liveramp_provider.core import progress
from liveramp_provider.core.errors import RemoteFullError, TransportError
from liveramp_provider.core.ledger import Claim, Ledger
from liveramp_provider.core.transports import sftp_bytes
from liveramp_provider.core.transports.sftp_bytes import write_all
from liveramp_provider.core.transports.sftp_session import Session
from tests.deliveries import NAME, sealed_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

CONTENT = bytes(range(250)) * 10
WHERE = "sftp.example:22"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 2,500 bytes has three chunks."""
    monkeypatch.setattr(sftp_bytes, "_CHUNK_BYTES", 1000)


@dataclass
class Remote:
    """An open file of asyncssh, at a server that stores `room` bytes and tells `size`."""

    room: int = 10_000
    size: int | Exception | None = 2_500
    before_each: Callable[[], Awaitable[None]] | None = None
    pieces: list[bytes] = field(default_factory=list)

    async def write(self, piece: bytes) -> None:
        if self.before_each is not None:
            await self.before_each()
        if sum(map(len, self.pieces)) + len(piece) > self.room:
            raise asyncssh.SFTPFailure("no room")
        self.pieces.append(piece)

    async def stat(self) -> asyncssh.SFTPAttrs:
        if isinstance(self.size, Exception):
            raise self.size
        return asyncssh.SFTPAttrs(size=self.size)


@dataclass
class Upload:
    """A sealed file and its claim."""

    file: Path
    claim: Claim

    def to(self, remote: Any) -> int | None:
        no: Any = None
        session = Session(connection=no, client=no, where=WHERE, host_key="", operation_s=60)
        return asyncio.run(write_all(session, remote, self.file, self.claim))


@pytest.fixture
def upload(tmp_path: Path, ledger_file: Path) -> Upload:
    return upload_of(CONTENT, tmp_path, ledger_file)


def upload_of(content: bytes, tmp_path: Path, ledger_file: Path) -> Upload:
    file = sealed_file(tmp_path / "sealed", content)
    ledger = Ledger.in_file(ledger_file)
    return Upload(file.path, ledger.claim(file, folder="/drop", holder="run 1"))


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(1, [1]), (2, [1, 1]), (1000, [999, 1]), (1001, [1000, 1]), (2500, [1000, 1000, 499, 1])],
)
def test_the_last_byte_goes_by_itself(size: int, lengths: list[int], tmp_path: Path, ledger_file: Path) -> None:
    """All others are acknowledged before it is sent, so a file of full size has no hole."""
    remote = Remote(size=size)
    assert upload_of(CONTENT[:size], tmp_path, ledger_file).to(remote) == size
    assert [len(piece) for piece in remote.pieces] == lengths
    assert b"".join(remote.pieces) == CONTENT[:size]


def test_a_server_without_room(upload: Upload) -> None:
    """How far it came is said, and whom to ask."""
    with pytest.raises(RemoteFullError) as full:
        upload.to(Remote(room=2_000))
    assert str(full.value) == (
        f"{WHERE} stores no more after 2,000 of 2,500 bytes: its disk, or our share of it, is full most likely. A task "
        "tries it again; if it stays, ask LiveRamp for room."
    )


def test_another_size(upload: Upload) -> None:
    """A file of another size than was sent is no success."""
    with pytest.raises(TransportError) as short:
        upload.to(Remote(size=2_499))
    assert str(short.value) == f"{WHERE} keeps 2,499 of 2,500 bytes. A task sends it again."


@pytest.mark.parametrize(
    "untold",
    [None, asyncssh.SFTPPermissionDenied("no"), asyncssh.SFTPOpUnsupported("no"), asyncssh.SFTPFailure("no")],
    ids=lambda untold: type(untold).__name__,
)
def test_a_size_that_is_not_told(untold: Exception | None, upload: Upload) -> None:
    """It is not known then, which is no error."""
    assert upload.to(Remote(size=untold)) is None


def test_the_lease_is_kept(upload: Upload) -> None:
    """The ledger hears after every chunk that the work goes on."""
    leases = []

    async def look() -> None:
        leases.append(upload.claim.delivery.lease_until)

    upload.to(Remote(before_each=look))
    leases.append(upload.claim.delivery.lease_until)
    first, second, third, last_byte, end = leases
    assert first < second < third == last_byte < end


def test_how_far_it_is(upload: Upload, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A large file says meanwhile how many bytes have arrived, of how many."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.01)
    caplog.set_level("INFO")
    due = ["0 of 2,500", "1,000 of 2,500", "2,000 of 2,500", "2,499 of 2,500"]

    async def wait_for_a_line() -> None:
        line = re.compile(rf"deliver: uploading {re.escape(NAME)}: [^,]+, {due.pop(0)} bytes")
        async with asyncio.timeout(10):
            while not (caplog.messages and line.match(caplog.messages[-1])):
                await asyncio.sleep(0.01)

    upload.to(Remote(before_each=wait_for_a_line))
    assert due == []
