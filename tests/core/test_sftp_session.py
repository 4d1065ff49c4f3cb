"""A session by SFTP: every wait has an end, and every error says what to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from liveramp_provider.core.errors import (
    ConnectionConfigError,
    CredentialsError,
    HostKeyError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.transports import sftp_session
from liveramp_provider.core.transports.sftp_session import Session, SftpEndpoint

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = SftpEndpoint(
    host="sftp.example",
    port=22,
    username="us",
    password="",
    private_key="",
    passphrase="",
    host_keys=(),
    known_hosts="",
)
WHERE = "sftp.example:22"


@dataclass
class Server:
    """A connection and client of asyncssh that answers every call with this: nothing, an error, or silence."""

    answer: Exception | None = None
    silent: bool = False
    aborted: int = 0

    async def remove(self, path: str) -> None:
        if self.silent:
            await asyncio.sleep(60)
        if self.answer is not None:
            raise self.answer

    def abort(self) -> None:
        self.aborted += 1


def session_with(server: Any, operation_s: float = 60) -> Session:
    return Session(connection=server, client=server, where=WHERE, host_key="", operation_s=operation_s)


@pytest.mark.parametrize(
    ("answer", "removed", "said"),
    [
        (None, True, []),
        (asyncssh.SFTPNoSuchFile("x"), False, []),
        (asyncssh.SFTPNoSuchPath("x"), False, []),
        (asyncssh.SFTPPermissionDenied("x"), False, ["SFTPPermissionDenied"]),
        (ConnectionResetError(), False, ["ConnectionResetError"]),
        (TransportError("x"), False, ["TransportError"]),
    ],
)
def test_removing(answer: Exception | None, removed: bool, said: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """A leftover is removed, or was gone already, or the log names it; nothing is raised."""
    assert asyncio.run(session_with(Server(answer)).remove("/drop/.x.tmp")) is removed
    assert caplog.messages == [
        f"deliver: /drop/.x.tmp may still lie at the server and could not be removed: {name}" for name in said
    ]


def test_a_server_that_says_nothing() -> None:
    """It is waited for as long as is said, and then the line is dead, so that nobody waits once more."""
    server = Server(silent=True)
    at_server = session_with(server, 0.05)
    with pytest.raises(TransportError) as silence:
        asyncio.run(at_server.within(server.remove("x")))
    assert str(silence.value) == f"{WHERE} said nothing for 0.05 seconds. A task tries it again."
    assert server.aborted == 1


def test_nobody_is_cut_off_in_time() -> None:
    """An answer that comes in time leaves the line alone."""
    server = Server()
    asyncio.run(session_with(server).within(server.remove("x")))
    assert server.aborted == 0


@pytest.fixture(scope="module")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def test_keys_to_log_in_with(key: asyncssh.SSHKey) -> None:
    """The connection's own key and no other; with its passphrase, if it has one."""
    assert sftp_session._client_keys(ENDPOINT) is None
    for passphrase in ("", "open"):
        text = key.export_private_key("pkcs8-pem", passphrase or None).decode()
        read = sftp_session._client_keys(replace(ENDPOINT, private_key=text, passphrase=passphrase))
        assert read is not None
        assert [one.get_fingerprint() for one in read] == [key.get_fingerprint()]


@pytest.mark.parametrize("passphrase", ["", "guess"])
def test_a_key_that_cannot_be_read(passphrase: str, key: asyncssh.SSHKey) -> None:
    """A wrong passphrase, and what is no key, are faults of the connection; neither is quoted."""
    locked = key.export_private_key("pkcs8-pem", "open").decode()
    for text in (locked, "no key"):
        with pytest.raises(ConnectionConfigError) as unread:
            sftp_session._client_keys(replace(ENDPOINT, private_key=text, passphrase=passphrase))
        assert str(unread.value) == (
            "the connection's private_key cannot be read. Paste the whole PEM text, and its passphrase if any."
        )


def test_keys_to_trust(key: asyncssh.SSHKey, tmp_path: Path) -> None:
    """Those that are pinned, or those of a file; what is neither is a fault of the connection."""
    public = key.export_public_key().decode().strip()
    trusted = sftp_session._trusted(replace(ENDPOINT, host_keys=(public,)))
    assert [[one.get_fingerprint() for one in kind] for kind in trusted] == [[key.get_fingerprint()], [], []]  # type: ignore[union-attr]
    known = tmp_path / "known_hosts"
    known.write_text(f"sftp.example {public}\n")
    found = sftp_session._trusted(replace(ENDPOINT, known_hosts=str(known)))
    assert isinstance(found, asyncssh.SSHKnownHosts)
    assert len(found.match("sftp.example", "", None)[0]) == 1
    with pytest.raises(ConnectionConfigError) as missing:
        sftp_session._trusted(replace(ENDPOINT, known_hosts="/nowhere"))
    assert str(missing.value) == "/nowhere is no known_hosts file. Correct the connection's known_hosts."
    with pytest.raises(ConnectionConfigError) as wrong:
        sftp_session._trusted(replace(ENDPOINT, host_keys=("no key",)))
    assert str(wrong.value) == (
        "the connection's host_key is no public key. Write it as `ssh-keyscan` prints it: <type> <base64>."
    )


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            asyncssh.HostKeyNotVerifiable("x"),
            HostKeyError,
            f"{WHERE} shows a host key that is not the pinned one; nothing was sent. Ask LiveRamp for the new key, "
            "compare it, and change the connection's host_key or known_hosts.",
        ),
        (asyncssh.PermissionDenied("x"), CredentialsError, f"{WHERE} refused the login of us. Correct the connection."),
        (
            asyncssh.SFTPNoSuchFile("x"),
            RemoteFolderError,
            f"/drop at {WHERE} does not exist. Ask LiveRamp to make it.",
        ),
        (
            asyncssh.SFTPPermissionDenied("x"),
            RemoteFolderError,
            f"{WHERE} does not let us write in /drop. Ask LiveRamp why.",
        ),
        (asyncssh.ConnectionLost("cut"), TransportError, f"{WHERE}: ConnectionLost: cut. A task tries it again."),
        (ConnectionRefusedError(), TransportError, f"{WHERE}: ConnectionRefusedError. A task tries it again."),
    ],
)
def test_every_error_is_ours(error: Exception, kind: type[LiveRampError], words: str) -> None:
    """What asyncssh or the system says becomes an error with a way out."""
    with pytest.raises(kind) as met, sftp_session._translated(ENDPOINT, "/drop"):
        raise error
    assert str(met.value) == words
