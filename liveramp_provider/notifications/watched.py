"""What a notifier has to know of an audience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.channels import Channel  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFile:
    """A file that is due.

    :param receiver: Whom people know it by.
    :param look_at: Where they see what came there.
    """

    destination: str
    slot: str
    receiver: str
    look_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An audience as a notifier sees it; small and plain, since it travels to the triggerer as JSON.

    :param files: Every file that is due.
    """

    audience: str
    name: str
    timezone: str
    files: tuple[WatchedFile, ...]
    channels: tuple[Channel, ...]

    @classmethod
    def of(cls, audience: Audience) -> Watched:
        """What notices about `audience` need."""
        return cls(
            audience=audience.id,
            name=audience.name,
            timezone=audience.schedule.timezone,
            files=tuple(
                WatchedFile(destination=there.id, slot=file.slot, receiver=there.receiver, look_at=there.look_at)
                for there in audience.destinations
                for file in there.files
            ),
            channels=audience.notify,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; :meth:`of_json` reads them back."""
        from pydantic import TypeAdapter

        values: dict[str, Any] = TypeAdapter(Watched).dump_python(self, mode="json")
        return values

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Watched:
        """The audience that :meth:`as_json` wrote."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(values)
