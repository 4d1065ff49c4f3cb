"""A ``liveintent_events`` connection, turned into the endpoint that takes messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from liveramp_provider.core.errors import ConnectionConfigError, LiveRampError
from liveramp_provider.hooks.liveintent import encrypted_address

if TYPE_CHECKING:
    from liveramp_provider.core.transports.events import EventsEndpoint

# RFC 9110, "token".
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = ("content-type", "content-length", "host", "idempotency-key")


class LiveIntentEventsHook(BaseHook):
    """The host is the endpoint, the login the App ID, the password the API key.

    How LiveIntent wants the two is not public, so the extras ``api_key_header`` and ``app_id_header`` name the headers.

    :param liveintent_events_conn_id: Airflow connection of type ``liveintent_events``.
    """

    conn_name_attr = "liveintent_events_conn_id"
    default_conn_name = "liveintent_events_default"
    conn_type = "liveintent_events"
    hook_name = "LiveIntent events"

    def __init__(self, liveintent_events_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.liveintent_events_conn_id = liveintent_events_conn_id

    def endpoint(self) -> EventsEndpoint:
        """The endpoint as this connection reaches it.

        :raises ConnectionConfigError: The connection is missing, incomplete or not encrypted.
        """
        from liveramp_provider.core.transports.events import EventsEndpoint

        name = self.liveintent_events_conn_id
        try:
            connection = self.get_connection(name)
        except AirflowNotFoundException:
            raise ConnectionConfigError(f"there is no connection {name}. Add it under Admin → Connections.") from None
        if connection.conn_type != self.conn_type:
            raise ConnectionConfigError(
                f"connection {name} is of type {connection.conn_type}, and messages need one of type {self.conn_type}."
            )
        extra = connection.extra_dejson
        given = {
            "endpoint": connection.host,
            "App ID": connection.login,
            "API key": connection.password,
            "API key header": extra.get("api_key_header"),
            "App ID header": extra.get("app_id_header"),
        }
        values = {field: str(value or "").strip() for field, value in given.items()}
        missing = [field for field, value in values.items() if not value]
        if missing:
            raise ConnectionConfigError(
                f"connection {name} has no {', '.join(missing)}. LiveIntent publishes none of it: ask there."
            )
        api_key, app_id = values["API key header"], values["App ID header"]
        self._check_headers(api_key, app_id)
        self._check_keys(values["API key"], values["App ID"])
        return EventsEndpoint(
            url=self._address(values["endpoint"]),
            headers=((api_key, values["API key"]), (app_id, values["App ID"])),
        )

    def test_connection(self) -> tuple[bool, str]:
        """Look whether all that is needed is there; nothing is sent, because each call there speaks of a person.

        :returns: Whether it is, and a sentence for a person: Airflow's *Test* button shows it.
        """
        try:
            endpoint = self.endpoint()
        except LiveRampError as error:
            # Airflow tests a copy of the connection under a random name.
            return False, str(error).replace(f"connection {self.liveintent_events_conn_id}", "this connection")
        return True, f"All that {endpoint.url} needs is there. Whether it takes the keys, only a message can tell."

    def _address(self, written: str) -> str:
        url = encrypted_address(written, connection=self.liveintent_events_conn_id)
        parts = urlsplit(url)
        if parts.query or "@" in parts.netloc:
            raise ConnectionConfigError(
                f"connection {self.liveintent_events_conn_id}: the endpoint holds a query or a password, which logs "
                "would show. Write the address alone."
            )
        return url

    def _check_headers(self, api_key: str, app_id: str) -> None:
        name = self.liveintent_events_conn_id
        for header in (api_key, app_id):
            if not _HEADER.fullmatch(header) or header.lower() in _OWN_HEADERS:
                raise ConnectionConfigError(f"connection {name}: {header!r} is no header that can carry a key.")
        if api_key.lower() == app_id.lower():
            raise ConnectionConfigError(f"connection {name}: API key and App ID would go in the same header.")

    def _check_keys(self, *keys: str) -> None:
        if not all(key.isascii() and key.isprintable() for key in keys):
            raise ConnectionConfigError(
                f"connection {self.liveintent_events_conn_id}: API key and App ID may hold printable ASCII only."
            )
