"""Deliver by SFTP: a temporary name, every write and the close checked, then one rename to the final name.

Receivers may take a file the moment it has its final name, so whether it arrived is never asked of that name. A lost
answer to the rename is settled by renaming again: when the temporary name is gone, the first one worked.
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
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.progress import step
from liveramp_provider.core.transports import freed_on_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

log = logging.getLogger(__name__)

# asyncssh reports every packet's progress; a task log should hold what a person asks.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

_Result = TypeVar("_Result")

CONNECT_TIMEOUT_S = 30
OPERATION_TIMEOUT_S = 60
KEEPALIVE_S = 15

# A chunk must get through within one operation's time: 70 kB/s is the slowest line that is not given up.
_CHUNK_BYTES = 4 * 1024 * 1024
_EXCLUSIVE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_REFUSED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPOpUnsupported)
# AES-GCM runs in hardware; asyncssh's first choice costs twice the time.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# After the pinned kinds the others are offered, too: a server without a pinned one then shows a key, which is refused
# by name, where it would otherwise hang up without a word.
_HOST_KEY_KINDS = "+ssh-ed25519,ecdsa-sha2-*,rsa-sha2-*"


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
        with freed_on_failure(claim):
            asyncio.run(self._send(file, claim))

    async def _check(self, folder: str) -> None:
        async with self._session(folder) as (client, _):
            # Some servers let one write but not look; then the upload will tell.
            with suppress(asyncssh.SFTPPermissionDenied):
                kind = (await _within(client.stat(folder))).type
                if kind != asyncssh.FILEXFER_TYPE_DIRECTORY:
                    raise RemoteFolderError(f"{folder} at {self._where} is no folder. Correct the audience file.")

    async def _send(self, file: Path, claim: Claim) -> None:
        async with self._session(claim.delivery.folder) as (client, host_key):
            if claim.delivery.state in (State.SEALED, State.UPLOADING):
                await self._upload(client, file, claim, host_key)
            await self._rename(client, claim)

    async def _upload(self, client: asyncssh.SFTPClient, file: Path, claim: Claim, host_key: str) -> None:
        if claim.delivery.temp_path:
            await _remove(client, claim.delivery.temp_path)
        # No routing rule of LiveRamp can match this name, and the ledger knows it before it exists.
        temporary = f"{claim.delivery.folder}/.{secrets.token_hex(16)}.tmp"
        claim.advance(State.UPLOADING, temp_path=temporary)
        try:
            evidence = await self._write(client, file, claim)
        except BaseException:
            await _remove(client, temporary)
            raise
        claim.advance(State.VERIFIED, evidence=evidence, host_key=host_key)

    async def _write(self, client: asyncssh.SFTPClient, file: Path, claim: Claim) -> str:
        """Write all bytes under the temporary name; returns how well that is proven."""
        due = claim.delivery.size_bytes
        remote = await _within(client.open(claim.delivery.temp_path, _EXCLUSIVE, encoding=None))
        try:
            with (
                step(f"deliver: uploading {claim.delivery.name}", unit="bytes", total=due) as progress,
                file.open("rb") as local,
            ):
                while chunk := local.read(_CHUNK_BYTES):
                    await _within(remote.write(chunk))
                    progress.add(len(chunk))
                    claim.renew()
            size = await _size(remote)
        finally:
            await _within(remote.close())
        if size is not None and size != due:
            raise TransportError(f"{self._where} keeps {size:,} of {due:,} bytes. A task sends it again.")
        return "E4" if size is None else "E3"

    async def _rename(self, client: asyncssh.SFTPClient, claim: Claim) -> None:
        """Give the upload its final name, also where an earlier try may have done so already."""
        earlier_try_may_have = claim.delivery.state is State.INTENT
        claim.advance(State.INTENT)
        temporary, final = claim.delivery.temp_path, f"{claim.delivery.folder}/{claim.delivery.name}"
        try:
            await _move(client, temporary, final)
        except _MISSING:
            if not earlier_try_may_have:
                raise claim.doubt("the upload vanished before its rename, and nobody can know") from None
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            if not await _within(client.exists(final)):
                raise
            # The file of that name is ours if an earlier try's rename came through meanwhile: then the upload is gone.
            if not earlier_try_may_have or await _within(client.exists(temporary)):
                raise claim.doubt("there is another file of that name, and nobody can know") from None
        except _REFUSED:
            # A plain no: should the upload vanish from now on, then it was not by a rename of ours.
            if not earlier_try_may_have:
                claim.advance(State.VERIFIED)
            raise
        claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))

    @asynccontextmanager
    async def _session(self, folder: str) -> AsyncIterator[tuple[asyncssh.SFTPClient, str]]:
        """A client, and the fingerprint of the key the server showed; what goes wrong meanwhile concerns `folder`."""
        endpoint = self.endpoint
        with self._translated(folder):
            connection = await asyncssh.connect(
                endpoint.host,
                endpoint.port,
                username=endpoint.username,
                password=endpoint.password or None,
                client_keys=self._client_keys(),
                known_hosts=self._trusted(),
                agent_path=None,
                config=None,
                encryption_algs=_CIPHERS,
                server_host_key_algs=_HOST_KEY_KINDS,
                connect_timeout=CONNECT_TIMEOUT_S,
                login_timeout=CONNECT_TIMEOUT_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=3,
            )
            try:
                client = await _within(connection.start_sftp_client())
                host_key = connection.get_server_host_key()
                yield client, host_key.get_fingerprint() if host_key else ""
            finally:
                connection.abort()

    def _client_keys(self) -> list[asyncssh.SSHKey] | None:
        if not self.endpoint.private_key:
            # An empty list would offer the keys that lie in the worker's ~/.ssh.
            return None
        try:
            return [asyncssh.import_private_key(self.endpoint.private_key, self.endpoint.passphrase or None)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise ConnectionConfigError(
                "the connection's private_key cannot be read. Paste the whole PEM text, and its passphrase if any."
            ) from None

    def _trusted(self) -> asyncssh.SSHKnownHosts | tuple[list[asyncssh.SSHKey], ...]:
        if not self.endpoint.host_keys:
            try:
                return asyncssh.read_known_hosts(self.endpoint.known_hosts)
            except (OSError, ValueError):
                raise ConnectionConfigError(
                    f"{self.endpoint.known_hosts} is no known_hosts file. Correct the connection's known_hosts."
                ) from None
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
                "Ask LiveRamp for the new key, compare it, and change the connection's host_key or known_hosts."
            ) from None
        except asyncssh.PermissionDenied:
            raise CredentialsError(
                f"{self._where} refused the login of {self.endpoint.username}. Correct the connection."
            ) from None
        except _MISSING:
            raise RemoteFolderError(f"{folder} at {self._where} does not exist. Ask LiveRamp to make it.") from None
        except _REFUSED:
            raise RemoteFolderError(
                f"{self._where} does not let us write and rename in {folder}. Ask LiveRamp why."
            ) from None
        except (asyncssh.Error, OSError) as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise TransportError(f"{self._where}: {reason}. A task tries it again.") from None


async def _within(operation: Awaitable[_Result]) -> _Result:
    """The operation's result, or an error when it takes too long: a dead peer must not hold a worker."""
    async with asyncio.timeout(OPERATION_TIMEOUT_S):
        return await operation


async def _remove(client: asyncssh.SFTPClient, path: str) -> None:
    """Remove a leftover; on a server that refuses, or a line that is dead, it stays and the log names it."""
    try:
        await _within(client.remove(path))
    except _MISSING:
        pass
    except (asyncssh.Error, OSError) as error:
        log.warning("deliver: %s may still lie at the server and could not be removed: %s", path, type(error).__name__)


async def _size(remote: asyncssh.SFTPClientFile) -> int | None:
    """Size by the open handle; ``None`` where the server will not say."""
    try:
        return (await _within(remote.stat())).size
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
        return None


async def _move(client: asyncssh.SFTPClient, old: str, new: str) -> None:
    """Rename without replacing a file that is there."""
    try:
        await _within(client.rename(old, new))
    except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied):
        # posix-rename replaces, so it is looked first.
        with suppress(*_MISSING):
            await _within(client.lstat(new))
            raise asyncssh.SFTPFileAlreadyExists(new) from None
        await _within(client.posix_rename(old, new))
