"""One SFTP session: logged in to a server whose key is known, with a limit to every wait, and errors that are ours."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from liveramp_provider.core.errors import (
    ConnectionConfigError,
    CredentialsError,
    HostKeyError,
    RemoteFolderError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

log = logging.getLogger(__name__)

# asyncssh reports every packet's progress; a task log should hold what a person asks.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

_Result = TypeVar("_Result")

MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
REFUSED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPOpUnsupported)
#: A server says no more than "failure", by the protocol version that all of them speak, where a file is there already.
TAKEN = (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists)

# AES-GCM runs in hardware; asyncssh's first choice costs twice the time.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
# After the pinned kinds the others are offered, too: a server without a pinned one then shows a key, which is refused
# by name, where it would otherwise hang up without a word.
_HOST_KEY_KINDS = "+ssh-ed25519,ecdsa-sha2-*,rsa-sha2-*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a server that says nothing is waited for, in seconds.

    :param connect_s: For the connection, and once more for the login.
    :param operation_s: For one operation, and for every 4 MiB of a file: 70 kB/s is the slowest line not given up.
    """

    connect_s: float = 30
    operation_s: float = 60
    keepalive_s: float = 15


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

    @property
    def where(self) -> str:
        """The server, for people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is done at one server.

    :param host_key: Fingerprint of the key the server showed.
    """

    connection: asyncssh.SSHClientConnection
    client: asyncssh.SFTPClient
    where: str
    host_key: str
    operation_s: float

    async def within(self, operation: Awaitable[_Result]) -> _Result:
        """The operation's result, or an error when it takes too long: a dead peer must not hold a worker.

        After that the line is dead, so that what follows does not wait once more.
        """
        try:
            async with asyncio.timeout(self.operation_s):
                return await operation
        except TimeoutError:
            self.connection.abort()
            raise TransportError(
                f"{self.where} said nothing for {self.operation_s:g} seconds. A task tries it again."
            ) from None

    async def remove(self, path: str) -> bool:
        """Remove a leftover; on a server that refuses, or a line that is dead, it stays and the log names it.

        :returns: Whether it was there and is gone.
        """
        try:
            await self.within(self.client.remove(path))
        except MISSING:
            return False
        except (asyncssh.Error, OSError, TransportError) as error:
            log.warning(
                "deliver: %s may still lie at the server and could not be removed: %s", path, type(error).__name__
            )
            return False
        return True

    async def is_there(self, path: str) -> bool:
        """Whether a file of that name is there; no, where the server does not let us look."""
        return await self.within(self.client.exists(path))


@asynccontextmanager
async def session(endpoint: SftpEndpoint, folder: str, deadlines: Deadlines) -> AsyncIterator[Session]:
    """A session; what goes wrong meanwhile concerns `folder`."""
    with _translated(endpoint, folder):
        connection = await asyncssh.connect(
            endpoint.host,
            endpoint.port,
            username=endpoint.username,
            password=endpoint.password or None,
            client_keys=_client_keys(endpoint),
            known_hosts=_trusted(endpoint),
            agent_path=None,
            config=None,
            encryption_algs=_CIPHERS,
            server_host_key_algs=_HOST_KEY_KINDS,
            connect_timeout=deadlines.connect_s,
            login_timeout=deadlines.connect_s,
            keepalive_interval=deadlines.keepalive_s,
            keepalive_count_max=3,
        )
        try:
            async with asyncio.timeout(deadlines.operation_s):
                client = await connection.start_sftp_client()
            host_key = connection.get_server_host_key()
            yield Session(
                connection=connection,
                client=client,
                where=endpoint.where,
                host_key=host_key.get_fingerprint() if host_key else "",
                operation_s=deadlines.operation_s,
            )
        finally:
            connection.abort()


def _client_keys(endpoint: SftpEndpoint) -> list[asyncssh.SSHKey] | None:
    if not endpoint.private_key:
        # An empty list would offer the keys that lie in the worker's ~/.ssh.
        return None
    try:
        return [asyncssh.import_private_key(endpoint.private_key, endpoint.passphrase or None)]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise ConnectionConfigError(
            "the connection's private_key cannot be read. Paste the whole PEM text, and its passphrase if any."
        ) from None


def _trusted(endpoint: SftpEndpoint) -> asyncssh.SSHKnownHosts | tuple[list[asyncssh.SSHKey], ...]:
    if not endpoint.host_keys:
        try:
            return asyncssh.read_known_hosts(endpoint.known_hosts)
        except (OSError, ValueError):
            raise ConnectionConfigError(
                f"{endpoint.known_hosts} is no known_hosts file. Correct the connection's known_hosts."
            ) from None
    try:
        return [asyncssh.import_public_key(key) for key in endpoint.host_keys], [], []
    except asyncssh.KeyImportError:
        raise ConnectionConfigError(
            "the connection's host_key is no public key. Write it as `ssh-keyscan` prints it: <type> <base64>."
        ) from None


@contextmanager
def _translated(endpoint: SftpEndpoint, folder: str) -> Iterator[None]:
    """Foreign errors become ours here; the most specific first."""
    where = endpoint.where
    try:
        yield
    except asyncssh.HostKeyNotVerifiable:
        raise HostKeyError(
            f"{where} shows a host key that is not the pinned one; nothing was sent. "
            "Ask LiveRamp for the new key, compare it, and change the connection's host_key or known_hosts."
        ) from None
    except asyncssh.PermissionDenied:
        raise CredentialsError(f"{where} refused the login of {endpoint.username}. Correct the connection.") from None
    except MISSING:
        raise RemoteFolderError(f"{folder} at {where} does not exist. Ask LiveRamp to make it.") from None
    except REFUSED:
        raise RemoteFolderError(f"{where} does not let us write in {folder}. Ask LiveRamp why.") from None
    except (asyncssh.Error, OSError) as error:
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise TransportError(f"{where}: {reason}. A task tries it again.") from None
