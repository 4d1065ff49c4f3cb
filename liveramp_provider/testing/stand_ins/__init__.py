"""Stand-ins for every receiver of an audience, on this machine: whom ``make demo`` and ``make up`` deliver to."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Self

from liveramp_provider.core.destinations.liveintent import LiveIntent
from liveramp_provider.testing.stand_ins.events import EventsStandIn
from liveramp_provider.testing.stand_ins.files import S3StandIn, SftpStandIn
from liveramp_provider.testing.stand_ins.held import Held, mismatches
from liveramp_provider.testing.stand_ins.liveintent import LiveIntentStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.testing.keys import PgpKeys

__all__ = ["Held", "NobodyStandsInError", "StandIn", "StandIns", "mismatches"]


class NobodyStandsInError(Exception):
    """This machine cannot play a receiver of the audience."""


class StandIn(Protocol):
    """Plays everything that one connection leads to; what it got it keeps in its folder."""

    @property
    def keys(self) -> PgpKeys | None:
        """To encrypt to; ``None``: its files are not encrypted."""

    def __enter__(self) -> Self:
        """Start it."""

    def __exit__(self, *_: object) -> None:
        """End it."""

    @property
    def greeting(self) -> str:
        """Who it is and where."""

    def connection_json(self) -> str:
        """The way to it, as an Airflow connection. It contains the password."""

    def arrivals(self) -> tuple[str, ...]:
        """What has ever come, a sentence each."""

    def held(self, destination: Destination, file: DeliveryFile, name: str) -> Held | None:
        """The newest file of that name, as it lies there; ``None``: it never came."""


class StandIns:
    """One stand-in for each connection that the destinations name; a context manager, which serves inside the block.

    :param home: Folder for what they keep.
    :raises NobodyStandsInError: There is none for a destination.
    """

    def __init__(self, home: Path, audience: Audience) -> None:
        self._by_connection: dict[str, StandIn] = {}
        self._serving = ExitStack()
        for conn_id in dict.fromkeys(there.conn_id for there in audience.destinations):
            there = [one for one in audience.destinations if one.conn_id == conn_id]
            try:
                self._by_connection[conn_id] = _stand_in(home / conn_id, audience, there)
            except ValueError as error:
                raise NobodyStandsInError(f"{audience.path.name}: connection {conn_id}: {error}") from None

    def __enter__(self) -> Self:
        """Start all of them."""
        with ExitStack() as stack:
            for stand_in in self:
                stack.enter_context(stand_in)
            self._serving = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def __iter__(self) -> Iterator[StandIn]:
        return iter(self._by_connection.values())

    def of(self, destination: Destination) -> StandIn:
        """Who plays that receiver."""
        return self._by_connection[destination.conn_id]

    def environment(self) -> dict[str, str]:
        """The connections, as Airflow reads them."""
        return {
            f"AIRFLOW_CONN_{conn_id.upper()}": stand_in.connection_json()
            for conn_id, stand_in in self._by_connection.items()
        }

    def arrivals(self) -> tuple[str, ...]:
        """What has ever come to any of them, a sentence each."""
        return tuple(sentence for stand_in in self for sentence in stand_in.arrivals())


def _stand_in(home: Path, audience: Audience, destinations: Sequence[Destination]) -> StandIn:
    accounts = [there for there in destinations if isinstance(there, LiveIntent)]
    if len(accounts) == len(destinations):
        return LiveIntentStandIn(home, accounts)
    if all(there.by_messages for there in destinations):
        return EventsStandIn(home, audience)
    if any(there.by_api for there in destinations):
        receivers = ", ".join(there.receiver for there in destinations if there.by_api)
        raise ValueError(f"nothing on this machine plays {receivers}.")
    if all(there.on_s3 for there in destinations):
        return S3StandIn(home, destinations)
    if any(there.on_s3 for there in destinations):
        raise ValueError("it leads to SFTP and to S3.")
    return SftpStandIn(home, audience, destinations)
