"""A ``liveintent`` connection, turned into the way to LiveIntent's audience API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from liveramp_provider.core.errors import ConnectionConfigError, LiveRampError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from liveramp_provider.core.transports.liveintent_api import LiveIntentApi

_HOST = "https://audiences.liveintent.com"
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class LiveIntentHook(BaseHook):
    """The password is the token; the host is the API's address, by default LiveIntent's own.

    :param liveintent_conn_id: Airflow connection of type ``liveintent``.
    """

    conn_name_attr = "liveintent_conn_id"
    default_conn_name = "liveintent_default"
    conn_type = "liveintent"
    hook_name = "LiveIntent"

    def __init__(self, liveintent_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.liveintent_conn_id = liveintent_conn_id

    def api(self) -> LiveIntentApi:
        """The API as this connection reaches it.

        :raises ConnectionConfigError: The connection is missing, has no token, or is not encrypted.
        """
        try:
            connection = self.get_connection(self.liveintent_conn_id)
        except AirflowNotFoundException:
            raise self._missing() from None
        return self._api_of(connection)

    async def async_api(self) -> LiveIntentApi:
        """The same, for a trigger.

        :raises ConnectionConfigError: As in :meth:`api`.
        """
        try:
            connection = await self.aget_connection(self.liveintent_conn_id)
        except AirflowNotFoundException:
            raise self._missing() from None
        return self._api_of(connection)

    def test_connection(self) -> tuple[bool, str]:
        """List the audiences; changes nothing.

        :returns: Whether that worked, and a sentence for a person: Airflow's *Test* button shows it.
        """
        try:
            api = self.api()
            count = sum(1 for _ in api.audiences())
        except LiveRampError as error:
            # Airflow tests a copy of the connection under a random name.
            return False, str(error).replace(f"connection {self.liveintent_conn_id}", "this connection")
        return True, f"{api.url} takes the token and lists {count:,} audiences. Nothing was changed."

    def _missing(self) -> ConnectionConfigError:
        return ConnectionConfigError(
            f"there is no connection {self.liveintent_conn_id}. Add it under Admin → Connections."
        )

    def _api_of(self, connection: Connection | Any) -> LiveIntentApi:
        from liveramp_provider.core.transports.liveintent_api import LiveIntentApi

        name = self.liveintent_conn_id
        if connection.conn_type != self.conn_type:
            raise ConnectionConfigError(
                f"connection {name} is of type {connection.conn_type}, and LiveIntent needs one of type liveintent."
            )
        token = (connection.password or "").strip()
        if not token:
            raise ConnectionConfigError(f"connection {name} has no token. LiveIntent issues one; write it as Token.")
        return LiveIntentApi(url=encrypted_address(connection.host or _HOST, connection=name), token=token)


def encrypted_address(written: str, *, connection: str) -> str:
    """The address of an API, with its scheme and without a slash at the end.

    :raises ConnectionConfigError: It is not encrypted, and not of this machine.
    """
    url = written.rstrip("/")
    url = url if "://" in url else f"https://{url}"
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in _THIS_MACHINE:
        raise ConnectionConfigError(f"connection {connection}: {url} is not encrypted. Write an address of https.")
    return url
