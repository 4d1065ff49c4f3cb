"""Deliver by SFTP: a temporary name, every write and the close checked, then one rename to the final name.

Receivers may take a file the moment it has its final name, so that name is neither opened nor looked at on the way;
a lost answer to the rename is settled by renaming again: when the temporary name is gone, the first one worked.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from liveramp_provider.core.errors import (
    ConnectionConfigError,
    CredentialsError,
    HostKeyError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

# asyncssh reports every packet's progress; a task log should hold what a person asks.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

_Result = TypeVar("_Result")

CONNECT_TIMEOUT_S = 30
OPERATION_TIMEOUT_S = 60
KEEPALIVE_S = 15

# A chunk must get through within one operation's time: 70 kB/s is the slowest line that is not given up.
_CHUNK_BYTES = 4 * 1024 * 1024
_EXCLUSIVE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
# AES-GCM runs in hardware; asyncssh's first choice costs twice the time.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpEndpoint:
    """A server, who logs in, and the key the server must show.

    :param host_keys: Trusted public keys as ``<type> <base64>``; empty when `known_hosts` is given.
    :param known_hosts: Path of a ``known_hosts`` file; empty when `host_keys` are given.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    private_key: str = field(repr=False)
    passphrase: str = field(repr=False)
    host_keys: tuple[str, ...]
    known_hosts: str


@dataclass(frozen=True, slots=True)
class SftpTransport:
    """Sends to one server."""

    endpoint: SftpEndpoint

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        asyncio.run(self._check(folder))

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        try:
            asyncio.run(self._send(file, claim))
        except BaseException:
            # Whoever tries next need not wait for the lease; if that is somebody already, they keep it.
            with suppress(LiveRampError):
                claim.release()
            raise

    async def _check(self, folder: str) -> None:
        async with self._session() as (client, _):
            with self._translated(folder):
                # Some servers let one write but not look; then the upload will tell.
                with suppress(asyncssh.SFTPPermissionDenied):
                    kind = (await _within(client.stat(folder))).type
                    if kind != asyncssh.FILEXFER_TYPE_DIRECTORY:
                        raise RemoteFolderError(f"{folder} at {self._where} is no folder. Correct the audience file.")

    async def _send(self, file: Path, claim: Claim) -> None:
        async with self._session() as (client, host_key):
            with self._translated(claim.delivery.folder):
                if claim.delivery.state in (State.SEALED, State.UPLOADING):
                    await self._upload(client, file, claim, host_key)
                await self._rename(client, claim)

    async def _upload(self, client: asyncssh.SFTPClient, file: Path, claim: Claim, host_key: str) -> None:
        if claim.delivery.temp_name:
            await _remove(client, _temporary(claim))
        # No routing rule of LiveRamp can match this name, and the ledger knows it before it exists.
        claim.advance(State.UPLOADING, temp_name=f".{secrets.token_hex(16)}.tmp")
        try:
            evidence = await self._write(client, file, claim)
        except (asyncssh.Error, OSError, TimeoutError, LiveRampError, asyncio.CancelledError):
            await _remove(client, _temporary(claim))
            raise
        claim.advance(State.VERIFIED, evidence=evidence, host_key=host_key)

    async def _write(self, client: asyncssh.SFTPClient, file: Path, claim: Claim) -> str:
        """Write all bytes under the temporary name; returns how well that is proven."""
        due = claim.delivery.size_bytes
        remote = await _within(client.open(_temporary(claim), _EXCLUSIVE, encoding=None))
        try:
            with file.open("rb") as local:
                while chunk := local.read(_CHUNK_BYTES):
                    await _within(remote.write(chunk))
                    claim.renew()
            size = await _size(remote)
        finally:
            await _within(remote.close())
        if size is not None and size != due:
            raise TransportError(f"{self._where} keeps {size:,} of {due:,} bytes. It is sent again.")
        return "E4" if size is None else "E3"

    async def _rename(self, client: asyncssh.SFTPClient, claim: Claim) -> None:
        """Give the upload its final name, also where an earlier try may have done so already."""
        earlier_try_may_have = claim.delivery.state is State.INTENT
        claim.advance(State.INTENT)
        final = f"{claim.delivery.folder}/{claim.delivery.name}"
        try:
            # The plain rename, since it does not replace a file that is there; posix-rename would.
            await _within(client.rename(_temporary(claim), final))
        except asyncssh.SFTPOpUnsupported:
            await _within(client.posix_rename(_temporary(claim), final))
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            if not earlier_try_may_have:
                raise claim.doubt("the upload vanished before its rename, and nobody can know") from None
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            if await _within(client.exists(final)):
                raise claim.doubt("there is another file of that name, and nobody can know") from None
            raise
        claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[asyncssh.SFTPClient, str]]:
        """A client, and the fingerprint of the key the server showed."""
        endpoint = self.endpoint
        with self._translated("/"):
            connection = await asyncssh.connect(
                endpoint.host,
                endpoint.port,
                username=endpoint.username,
                password=endpoint.password or None,
                client_keys=self._client_keys(),
                known_hosts=self._trusted(),
                agent_path=None,
                config=[],
                encryption_algs=_CIPHERS,
                connect_timeout=CONNECT_TIMEOUT_S,
                login_timeout=CONNECT_TIMEOUT_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=3,
            )
        try:
            with self._translated("/"):
                client = await _within(connection.start_sftp_client())
            host_key = connection.get_server_host_key()
            yield client, host_key.get_fingerprint() if host_key else ""
        finally:
            connection.abort()

    def _client_keys(self) -> list[asyncssh.SSHKey]:
        if not self.endpoint.private_key:
            return []
        try:
            return [asyncssh.import_private_key(self.endpoint.private_key, self.endpoint.passphrase or None)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise ConnectionConfigError(
                "the connection's private_key cannot be read. Paste the whole PEM text, and its passphrase if any."
            ) from None

    def _trusted(self) -> str | tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        if not self.endpoint.host_keys:
            return self.endpoint.known_hosts
        try:
            return [asyncssh.import_public_key(key) for key in self.endpoint.host_keys], [], []
        except asyncssh.KeyImportError:
            raise ConnectionConfigError(
                "the connection's host_key is no public key. Write it as `ssh-keyscan` prints it: <type> <base64>."
            ) from None

    @property
    def _where(self) -> str:
        return f"{self.endpoint.host}:{self.endpoint.port}"

    @contextmanager
    def _translated(self, folder: str) -> Iterator[None]:
        """Foreign errors become ours here and nowhere else; the most specific first."""
        try:
            yield
        except asyncssh.HostKeyNotVerifiable:
            raise HostKeyError(
                f"{self._where} shows a host key that is not the pinned one; nothing was sent. "
                "Ask LiveRamp for the new key, compare it, and change the connection's host_key."
            ) from None
        except asyncssh.PermissionDenied:
            raise CredentialsError(
                f"{self._where} refused the login of {self.endpoint.username}. Correct the connection."
            ) from None
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise RemoteFolderError(f"{folder} at {self._where} does not exist. Ask LiveRamp to make it.") from None
        except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect):
            raise RemoteFolderError(f"{self._where} does not let us write to {folder}. Ask LiveRamp why.") from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise TransportError(f"{self._where}: {type(error).__name__}. It is tried again.") from None


async def _within(operation: Awaitable[_Result]) -> _Result:
    """The operation's result, or an error when it takes too long: a dead peer must not hold a worker."""
    async with asyncio.timeout(OPERATION_TIMEOUT_S):
        return await operation


async def _remove(client: asyncssh.SFTPClient, path: str) -> None:
    """Remove a leftover; on a server that refuses, or a line that is dead, it stays, named in the ledger."""
    with suppress(asyncssh.Error, OSError, TimeoutError):
        await _within(client.remove(path))


async def _size(remote: asyncssh.SFTPClientFile) -> int | None:
    """Size by the open handle; ``None`` where the server will not say."""
    try:
        return (await _within(remote.stat())).size
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
        return None


def _temporary(claim: Claim) -> str:
    return f"{claim.delivery.folder}/{claim.delivery.temp_name}"
