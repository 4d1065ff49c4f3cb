"""Stand-in for an endpoint that takes messages: the fake one, which keeps what it got."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from liveramp_provider.core.naming import delivered_name
from liveramp_provider.testing.events import FakeEventsEndpoint
from liveramp_provider.testing.stand_ins.api import ApiStandIn
from liveramp_provider.testing.stand_ins.held import Held

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination


class EventsStandIn(ApiStandIn[FakeEventsEndpoint]):
    """One endpoint. It gets messages and no files: what came of a file, the day of the messages tells."""

    def __init__(self, home: Path, audience: Audience) -> None:
        self._audience = audience
        super().__init__(FakeEventsEndpoint(home=home))

    @property
    def greeting(self) -> str:
        """Where it is."""
        return f"A fake endpoint for messages listens at {self.fake.url}"

    def arrivals(self) -> tuple[str, ...]:
        """What has come, a sentence each."""
        came = Counter((message["type"], self._day(message)) for message in self.fake.messages)
        return tuple(f"The endpoint got {count:,} {kind} messages of {day}" for (kind, day), count in came.items())

    def held(self, destination: Destination, file: DeliveryFile, name: str) -> Held | None:
        """The messages of the file of that name."""
        came = [
            message
            for message in self.fake.messages
            if (message["type"].upper(), self._name(destination, message)) == (file.slot, name)
        ]
        if not came:
            return None
        refusal = f"{self.fake.repeated:,} messages came once more" if self.fake.repeated else ""
        return Held(
            times=1,
            sha256="",
            rows=len(came),
            header=(),
            refusal=refusal,
            shown={"messages": len(self.fake.messages), "newest file": f"taken: {len(came):,} messages"},
        )

    def _day(self, message: dict[str, Any]) -> str:
        zone = ZoneInfo(self._audience.schedule.timezone)
        return datetime.fromisoformat(message["timestamp"]).astimezone(zone).date().isoformat()

    def _name(self, destination: Destination, message: dict[str, Any]) -> str:
        day = datetime.fromisoformat(self._day(message)).date()
        return delivered_name(destination, audience_id=self._audience.id, slot=message["type"].upper(), day=day)
