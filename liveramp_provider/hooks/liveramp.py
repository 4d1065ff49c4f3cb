"""A ``liveramp`` connection, turned into the way to its server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from liveramp_provider.core.errors import ConnectionConfigError, LiveRampError

if TYPE_CHECKING:
    from liveramp_provider.core.transports.sftp import SftpEndpoint, SftpTransport

_SSH_PORT = 22
_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts"


class LiveRampHook(BaseHook):
    """Host, port, login, password and the extras ``private_key``, ``key_file``, ``private_key_passphrase``,
    ``host_key`` and ``known_hosts`` mean what they mean in an SFTP connection; the SFTP provider's hook reads them.

    The session is opened by :mod:`liveramp_provider.core.transports.sftp`, and always verifies the host key.

    :param liveramp_conn_id: Airflow connection of type ``liveramp`` (or ``sftp``).
    """

    conn_name_attr = "liveramp_conn_id"
    default_conn_name = "liveramp_default"
    conn_type = "liveramp"
    hook_name = "LiveRamp"

    def __init__(self, liveramp_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.liveramp_conn_id = liveramp_conn_id

    def transport(self) -> SftpTransport:
        """The way to the connection's server.

        :raises ConnectionConfigError: The connection is missing, incomplete or unsafe.
        """
        from liveramp_provider.core.transports.sftp import SftpTransport

        return SftpTransport(self.endpoint())

    def test_connection(self) -> tuple[bool, str]:
        """Log in, verify the host key, look at the login's start folder; changes nothing.

        Whether the folder to deliver to exists is the audience file's matter: preflight looks.

        :returns: Whether that worked, and a sentence for a person: Airflow's *Test* button shows it.
        """
        try:
            endpoint = self.endpoint()
            self.transport().check(".")
        except LiveRampError as error:
            # Airflow tests a copy of the connection under a random name.
            return False, str(error).replace(f"connection {self.liveramp_conn_id}", "this connection")
        return True, (
            f"Logged in to {endpoint.host}:{endpoint.port} as {endpoint.username}, and SFTP answers. "
            f"{_trusted_by(endpoint)} Nothing was changed."
        )

    def endpoint(self) -> SftpEndpoint:
        """Server, login and trusted host key of the connection.

        :raises ConnectionConfigError: As in :meth:`transport`.
        """
        from paramiko import SSHException

        from liveramp_provider.core.transports.sftp import SftpEndpoint
        from liveramp_provider.hooks.sftp_settings import SftpSettings

        name = self.liveramp_conn_id
        try:
            extra = SftpSettings.get_connection(name).extra_dejson
            settings = SftpSettings(ssh_conn_id=name)
        except AirflowNotFoundException:
            raise ConnectionConfigError(f"there is no connection {name}. Add it under Admin → Connections.") from None
        except (AirflowException, SSHException, ValueError) as error:
            raise ConnectionConfigError(f"connection {name}: {error}") from None
        if settings.no_host_key_check or settings.allow_host_key_change:
            raise ConnectionConfigError(
                f"connection {name} switches the host key check off. People's data is sent to verified servers only: "
                "remove no_host_key_check and allow_host_key_change, and add host_key."
            )
        host_key = settings.host_key
        return SftpEndpoint(
            host=settings.remote_host,
            port=settings.port or _SSH_PORT,
            username=settings.username or "",
            password=(settings.password or "").strip(),
            private_key=_private_key(extra.get("private_key"), settings.key_file, name),
            passphrase=extra.get("private_key_passphrase") or extra.get("passphrase") or "",
            host_keys=(f"{host_key.get_name()} {host_key.get_base64()}",) if host_key else (),
            known_hosts="" if host_key else _known_hosts(extra.get("known_hosts"), name),
        )


def _trusted_by(endpoint: SftpEndpoint) -> str:
    from asyncssh import import_public_key

    if not endpoint.host_keys:
        return f"The host key is one of {endpoint.known_hosts}."
    return f"The host key is the pinned one ({import_public_key(endpoint.host_keys[0]).get_fingerprint()})."


def _private_key(text: str | None, key_file: str | None, conn_id: str) -> str:
    if text or not key_file:
        return text or ""
    try:
        return Path(key_file).expanduser().read_text()
    except OSError as error:
        raise ConnectionConfigError(f"connection {conn_id}: key_file cannot be read: {error.strerror}.") from None


def _known_hosts(configured: str | None, conn_id: str) -> str:
    path = Path(configured or _DEFAULT_KNOWN_HOSTS).expanduser()
    if not path.is_file():
        raise ConnectionConfigError(
            f"connection {conn_id} pins no host key. Add the extra host_key, as `ssh-keyscan -p PORT HOST` prints it, "
            "after comparing its fingerprint with LiveRamp."
        )
    return str(path)
