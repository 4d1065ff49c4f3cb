"""What stand-ins for APIs share: a fake behind an HTTP server, which gets no encrypted files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar

from liveramp_provider.testing.events import FakeEventsEndpoint
from liveramp_provider.testing.liveintent import FakeLiveIntent

if TYPE_CHECKING:
    from liveramp_provider.testing.keys import PgpKeys

FakeT = TypeVar("FakeT", FakeLiveIntent, FakeEventsEndpoint)


class ApiStandIn(Generic[FakeT]):
    """Serves `fake` inside a ``with`` block."""

    keys: PgpKeys | None = None

    def __init__(self, fake: FakeT) -> None:
        self.fake: FakeT = fake

    def __enter__(self) -> Self:
        """Start the server."""
        self.fake.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.fake.__exit__(None, None, None)

    def connection_json(self) -> str:
        """The way to it, as an Airflow connection."""
        return self.fake.connection_json()
