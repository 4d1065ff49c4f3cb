"""Both ways by SFTP, step by step, against a server in memory: every answer it may give, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from liveramp_provider.core.errors import (
    DeliveryInDoubtError,
    LiveRampError,
    RemoteFolderError,
    RemoteFullError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports.sftp_direct import send_directly
from liveramp_provider.core.transports.sftp_rename import send_by_rename
from liveramp_provider.core.transports.sftp_session import Session
from tests.deliveries import NAME, Delivering, sealed_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

CONTENT = b"sealed bytes"
FINAL = f"/drop/{NAME}"
UPLOAD = "/drop/.upload.tmp"
VERIFIED = (State.UPLOADING, State.VERIFIED)
RENAMING = (*VERIFIED, State.INTENT)

no = asyncssh.SFTPPermissionDenied("no")
unknown = asyncssh.SFTPOpUnsupported("no such call")
failure = asyncssh.SFTPFailure("failure")
gone = asyncssh.SFTPConnectionLost("gone")


@dataclass
class Server:
    """A client of asyncssh whose server is this: its files, and the errors with which it answers calls."""

    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, call: str) -> Callable[..., Any]:
        return partial(self._called, call)

    async def _called(self, call: str, *arguments: Any, **_: Any) -> Any:
        self.calls.append(call)
        if call in self.answers:
            raise self.answers[call]
        return getattr(self, f"_{call}")(*arguments)

    def _open(self, path: str, flags: int) -> Server.File:
        if path in self.files and flags & asyncssh.FXF_EXCL:
            raise failure
        if path not in self.files or flags & asyncssh.FXF_TRUNC:
            self.files[path] = b""
        return self.File(self, path)

    def _remove(self, path: str) -> None:
        if self.files.pop(path, None) is None:
            raise asyncssh.SFTPNoSuchFile(path)

    def _stat(self, path: str) -> asyncssh.SFTPAttrs:
        if path not in self.files:
            raise asyncssh.SFTPNoSuchFile(path)
        return asyncssh.SFTPAttrs(size=len(self.files[path]))

    _lstat = _stat

    def _exists(self, path: str) -> bool:
        return path in self.files

    def _rename(self, old: str, new: str) -> None:
        if new in self.files:
            raise failure
        self._posix_rename(old, new)

    def _posix_rename(self, old: str, new: str) -> None:
        if old not in self.files:
            raise asyncssh.SFTPNoSuchFile(old)
        self.files[new] = self.files.pop(old)

    @dataclass
    class File:
        """An open file at it."""

        server: Server
        path: str

        async def write(self, piece: bytes) -> None:
            if "write" in self.server.answers:
                raise self.server.answers["write"]
            self.server.files[self.path] += piece

        async def stat(self) -> asyncssh.SFTPAttrs:
            return asyncssh.SFTPAttrs(size=len(self.server.files[self.path]))

        async def close(self) -> None:
            if "close" in self.server.answers:
                raise self.server.answers["close"]


@dataclass
class Sending:
    """A delivery that is on its way to the server."""

    delivering: Delivering
    server: Server

    def claim(self, *way: State) -> Claim:
        return self.delivering.claim(*way)

    def send(self, claim: Claim, *, directly: bool = False, resend: bool = False) -> None:
        connection: Any = None
        client: Any = self.server
        session = Session(connection=connection, client=client, where="host:22", host_key="SHA256:key", operation_s=60)
        file = self.delivering.file.path
        asyncio.run(
            send_directly(session, file, claim, resend=resend) if directly else send_by_rename(session, file, claim)
        )


@pytest.fixture
def sending(tmp_path: Path, ledger_file: Path) -> Sending:
    nothing: Any = None
    file = sealed_file(tmp_path / "sealed", CONTENT)
    return Sending(Delivering(file, ledger_file, "/drop", nothing), Server())


def test_by_rename(sending: Sending) -> None:
    """One name for the upload, then the final name; what an earlier try left is removed first."""
    claim, before = sending.claim(State.UPLOADING), datetime.now(UTC)
    sending.server.files[UPLOAD] = b"sea"
    sending.send(claim)
    done = claim.delivery
    assert sending.server.files == {FINAL: CONTENT}
    assert sending.server.calls == ["remove", "open", "rename"]
    assert (done.state, done.evidence, done.host_key) == (State.COMMITTED, "E3", "SHA256:key")
    assert done.committed_at is not None
    assert before <= done.committed_at <= datetime.now(UTC)


@pytest.mark.parametrize("at_close", [asyncssh.SFTPFailure("x"), OSError(), TransportError("x")], ids=repr)
def test_what_went_wrong_first_counts(at_close: Exception, sending: Sending) -> None:
    """An upload that broke off is removed, and the error is that of the write, whatever the close then says."""
    sending.server.answers |= {"write": failure, "close": at_close}
    claim = sending.claim()
    with pytest.raises(RemoteFullError):
        sending.send(claim)
    assert (sending.server.files, claim.delivery.state) == ({}, State.UPLOADING)


@dataclass
class Case:
    """What lies at the server, how it answers, and what has to come out."""

    way: tuple[State, ...]
    there: tuple[str, ...]
    answers: dict[str, Exception]
    error: type[Exception] | None
    state: State
    words: str = ""

    def put_in_place(self, server: Server) -> None:
        server.files |= dict.fromkeys(self.there, CONTENT)
        server.answers |= self.answers

    def hold(self, sending: Sending, claim: Claim, **how: bool) -> None:
        if self.error is None:
            sending.send(claim, **how)
        else:
            with pytest.raises(self.error) as met:
                sending.send(claim, **how)
            assert self.words in str(met.value)
        assert claim.delivery.state is self.state


VANISHED = ": the upload vanished before its rename, and nobody can know"
ANOTHER = ": there is another file of that name, and nobody can know"
REFUSED = (
    "host:22 does not let us rename in /drop, so the file has no final name yet. Ask LiveRamp to allow it. Where that "
    "cannot be, agree with LiveRamp on `upload: direct` in the audience file, which promises less."
)
RENAMES = [
    Case(VERIFIED, (UPLOAD,), {}, None, State.COMMITTED),
    Case(RENAMING, (UPLOAD,), {}, None, State.COMMITTED),
    Case(RENAMING, (), {}, None, State.COMMITTED),
    Case(VERIFIED, (), {}, DeliveryInDoubtError, State.IN_DOUBT, VANISHED),
    Case(VERIFIED, (UPLOAD, FINAL), {}, DeliveryInDoubtError, State.IN_DOUBT, ANOTHER),
    Case(RENAMING, (UPLOAD, FINAL), {}, DeliveryInDoubtError, State.IN_DOUBT, ANOTHER),
    Case(RENAMING, (FINAL,), {"rename": failure}, None, State.COMMITTED),
    Case(VERIFIED, (FINAL,), {"rename": failure}, DeliveryInDoubtError, State.IN_DOUBT, ANOTHER),
    Case(VERIFIED, (UPLOAD,), {"rename": failure}, asyncssh.SFTPFailure, State.INTENT),
    Case(RENAMING, (UPLOAD,), {"rename": failure}, asyncssh.SFTPFailure, State.INTENT),
    Case(VERIFIED, (UPLOAD,), {"rename": no}, None, State.COMMITTED),
    Case(VERIFIED, (UPLOAD,), {"rename": unknown}, None, State.COMMITTED),
    Case(VERIFIED, (UPLOAD, FINAL), {"rename": no}, DeliveryInDoubtError, State.IN_DOUBT, ANOTHER),
    Case(VERIFIED, (UPLOAD,), {"rename": no, "posix_rename": no}, RemoteFolderError, State.VERIFIED, REFUSED),
    Case(RENAMING, (UPLOAD,), {"rename": no, "posix_rename": no}, RemoteFolderError, State.VERIFIED, REFUSED),
    Case(RENAMING, (), {"rename": no, "posix_rename": no}, RemoteFolderError, State.INTENT, REFUSED),
    Case(VERIFIED, (), {"rename": no, "posix_rename": no}, RemoteFolderError, State.VERIFIED, REFUSED),
    Case(RENAMING, (UPLOAD,), {"rename": gone}, asyncssh.SFTPConnectionLost, State.INTENT),
]


@pytest.mark.parametrize("case", RENAMES)
def test_every_answer_to_a_rename(case: Case, sending: Sending) -> None:
    """It is delivered, in doubt, or not done, according to what an earlier try may have done; nothing is replaced."""
    claim = sending.claim(*case.way)
    case.put_in_place(sending.server)
    case.hold(sending, claim)
    if case.error is None:
        assert set(sending.server.files) == ({FINAL} if case.there else set())


def test_directly(sending: Sending) -> None:
    """The file is written under its final name; the ledger knows before that it may be there."""
    claim, before = sending.claim(), datetime.now(UTC)
    sending.send(claim, directly=True)
    done = claim.delivery
    assert (sending.server.files, sending.server.calls) == ({FINAL: CONTENT}, ["open"])
    assert (done.state, done.evidence, done.host_key, done.temp_path) == (State.COMMITTED, "E5", "SHA256:key", "")
    assert done.committed_at is not None
    assert before <= done.committed_at <= datetime.now(UTC)


BROKE_OFF = ": an earlier try broke off while it wrote under this name, and nobody can know"
OPENING = [
    Case((), (FINAL,), {}, DeliveryInDoubtError, State.IN_DOUBT, ANOTHER),
    Case((), (), {"open": failure}, asyncssh.SFTPFailure, State.SEALED),
    Case((), (FINAL,), {"open": no}, asyncssh.SFTPPermissionDenied, State.SEALED),
    Case((), (), {"open": gone}, asyncssh.SFTPConnectionLost, State.WRITING),
    Case((), (), {"write": failure}, RemoteFullError, State.SEALED),
    Case((), (), {"write": failure, "remove": no}, RemoteFullError, State.WRITING),
    Case((), (), {"close": failure}, asyncssh.SFTPFailure, State.CLOSING),
    Case((State.WRITING,), (), {}, DeliveryInDoubtError, State.IN_DOUBT, BROKE_OFF),
    Case((State.WRITING,), (FINAL,), {}, None, State.COMMITTED),
    Case((State.WRITING, State.CLOSING), (FINAL,), {}, None, State.COMMITTED),
    Case((State.WRITING,), (FINAL,), {"stat": no}, DeliveryInDoubtError, State.IN_DOUBT, BROKE_OFF),
    Case((State.WRITING,), (FINAL,), {"stat": failure}, DeliveryInDoubtError, State.IN_DOUBT, BROKE_OFF),
]


@pytest.mark.parametrize("case", OPENING)
def test_every_answer_to_a_direct_write(case: Case, sending: Sending) -> None:
    """What may have been taken is in doubt unless it is there whole; a plain no leaves nothing."""
    claim = sending.claim(*case.way)
    case.put_in_place(sending.server)
    case.hold(sending, claim, directly=True)
    if case.way and case.error is None:
        assert (claim.delivery.evidence, "open" in sending.server.calls) == ("S", False)
    if case.state is State.SEALED and case.answers.get("write"):
        assert sending.server.files == {}


RESENDING = [
    Case((State.WRITING,), (), {}, None, State.COMMITTED),
    Case((State.WRITING, State.CLOSING), (), {}, None, State.COMMITTED),
    Case((State.WRITING,), (), {"open": failure}, asyncssh.SFTPFailure, State.WRITING),
    Case((State.WRITING,), (), {"write": failure}, RemoteFullError, State.WRITING),
]


@pytest.mark.parametrize("case", RESENDING)
def test_sending_again_what_may_have_been_taken(case: Case, sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """Over the torso, with a warning; whatever goes wrong then, an earlier try may still have arrived."""
    claim = sending.claim(*case.way)
    sending.server.files[FINAL] = b"a torso of another size"
    case.put_in_place(sending.server)
    case.hold(sending, claim, directly=True, resend=True)
    if case.error is None:
        assert sending.server.files == {FINAL: CONTENT}
        assert claim.delivery.evidence == "E5"
    assert caplog.messages[0] == (
        f"deliver: {FINAL} may be at LiveRamp already, whole or in part; the audience file says on_doubt: resend, so "
        "the same bytes are sent once more"
    )


def test_other_bytes_are_not_sent_again(sending: Sending) -> None:
    """What may have been taken is sent again as it was, or not at all."""
    claim = sending.claim(State.WRITING)
    sending.delivering.file.path.write_bytes(b"other bytes!")
    with pytest.raises(
        DeliveryInDoubtError, match=": the file was built anew after an earlier try had begun, and nobo"
    ):
        sending.send(claim, directly=True, resend=True)
    assert sending.server.files == {}


@pytest.mark.parametrize(("content", "error"), [(CONTENT, None), (b"other bytes!", TransportError)])
def test_from_one_way_to_the_other(content: bytes, error: type[LiveRampError] | None, sending: Sending) -> None:
    """An upload that waited for its rename is removed; a file built anew meanwhile goes with the next try."""
    claim = sending.claim(*VERIFIED)
    sending.server.files[UPLOAD] = CONTENT
    sending.delivering.file.path.write_bytes(content)
    if error is None:
        sending.send(claim, directly=True)
        assert sending.server.files == {FINAL: CONTENT}
        return
    with pytest.raises(error) as met:
        sending.send(claim, directly=True)
    assert str(met.value) == f"{NAME} was built anew after it was uploaded. A task tries it again."
    assert (sending.server.files, claim.delivery.state) == ({}, State.SEALED)
