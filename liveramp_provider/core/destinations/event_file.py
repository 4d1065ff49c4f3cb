"""Files of messages in the form of Segment's events, one JSON text a line: their keys, and what they hold.

What a message says is in :mod:`liveramp_provider.core.destinations.event_messages`; how files are sent, the kinds say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from liveramp_provider.core.destination import DeliveryFile, FileRules, Layout, SegmentColumn, TraitColumn
from liveramp_provider.core.destinations.liveramp import MEMBER_ID, identifier_of_trait
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.types import TraitName
from liveramp_provider.core.snake_case import snake_case

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destination import Column, Detail, Identifier
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.rows import Rows

#: What Segment calls it when somebody comes into an audience.
ENTERED = "Audience Entered"
#: The only column of such a file.
MESSAGE = "message"
#: One message a line, as it is.
RULES = FileRules(forms={}, matched_by=(), limits=None, layout=Layout(quoting="none", header=False))

_INSTANT = timedelta(milliseconds=1)
# What Segment itself writes beside the traits of a Track event.
_AUDIENCE_KEY = "audience_key"


class Message(StrEnum):
    """A call of Segment's API."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"

    @property
    def traits_stand_in(self) -> str:
        """The part of the message that carries the chosen traits."""
        return {Message.IDENTIFY: "traits", Message.TRACK: "properties"}.get(self, "context.traits")


class EventKeysSpec(Spec):
    """The keys that receivers of messages share."""

    audience_key: TraitName | None = Field(
        default=None,
        description="What the messages call the audience; default: the audience's name in snake_case.",
        examples=["high_value_customers"],
    )
    traits: dict[TraitName, TraitName] = Field(
        default_factory=dict,
        description="Name in the message: our trait. Without this key no traits are sent.",
        examples=[{"email": "email", "firstName": "first_name"}],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFile(DeliveryFile):
    """A file of messages, one a member, in byte order of the member ids.

    :param columns: What a message says, by its place in there; the file itself has one column.
    :param audience_key: What the messages call the audience; it names the membership.
    :param traits: Name in the message, and our trait.
    :param page_name: Of a page or screen; else empty.
    :param timezone: In which a day ends.
    :param sender: Destination and audience: other senders' messages never have the same id.
    :param timestamp: When the membership held, ISO 8601 in UTC; empty as long as the file is of no day.
    :param edition: Sender, day and revision: whatever is said in it of a member once more has the same ``messageId``.
    """

    message: Message
    audience_key: str
    traits: tuple[tuple[str, str], ...]
    page_name: str
    timezone: str
    sender: str
    timestamp: str = ""
    edition: str = ""

    @property
    def headers(self) -> tuple[str, ...]:
        """One name whatever is in a message: a changed choice of traits is no other form of file."""
        return (MESSAGE,)

    @property
    def matching(self) -> tuple[tuple[str, Identifier | Detail], ...]:
        """The traits that a person can be known by, as our name or that in the message says."""
        found = ((trait, identifier_of_trait(trait) or identifier_of_trait(name)) for name, trait in self.traits)
        return tuple((trait, identifier) for trait, identifier in found if identifier is not None)

    def of_day(self, day: date, *, revision: int) -> Self:
        """The file with the last moment of `day`, so that whoever sorts messages by day finds them in that one."""
        midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(self.timezone))
        moment = (midnight.astimezone(UTC) - _INSTANT).isoformat(timespec="milliseconds")
        return replace(
            self, timestamp=moment.replace("+00:00", "Z"), edition=f"v1|{self.sender}|{day.isoformat()}|{revision}"
        )

    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One a member."""
        from liveramp_provider.core.destinations.event_messages import event_rows

        return event_rows(self, profiles, engine=engine, scratch=scratch)


def event_file(spec: EventKeysSpec, message: Message, reading: Reading, *, page_name: str = "") -> EventFile:
    """The file that `spec` describes; all that is wrong with it is reported."""
    key = spec.audience_key or snake_case(reading.name)
    if not key:
        reading.report(("audience_key",), "is missing, and the audience's name has no snake_case", "Write one.")
    _check_traits(spec, reading, key=key, message=message)
    traits = tuple(sorted(spec.traits.items()))
    return EventFile(
        slot=message.value.upper(),
        key_header="",
        columns=_columns(message, key, traits),
        rules=RULES,
        message=message,
        audience_key=key,
        traits=traits,
        page_name=page_name,
        timezone=reading.timezone,
        sender=f"{reading.destination}|{reading.audience}",
    )


def _check_traits(spec: EventKeysSpec, reading: Reading, *, key: str, message: Message) -> None:
    report = reading.at("traits")
    reserved = {key.lower(), *([_AUDIENCE_KEY] if message is Message.TRACK else [])}
    seen: set[str] = set()
    for name, trait in spec.traits.items():
        if name.lower() in reserved:
            report((name,), "is what messages say of the audience itself", "Choose another name on the left.")
        elif name.lower() in seen:
            report((name,), "stands twice, in other capitals", "Names in a message differ by more than that.")
        seen.add(name.lower())
        if trait in (reading.audience, key):
            report((name,), f"{trait} is the audience's own key, which is no trait", "Name another trait.")
        elif reading.traits is not None and trait not in reading.traits:
            known = ", ".join(sorted(reading.traits)) or "none"
            report((name,), f"no source gives a trait {trait}", f"Known traits: {known}.")


def _columns(message: Message, key: str, traits: tuple[tuple[str, str], ...]) -> tuple[Column, ...]:
    """What a message says, for people."""
    where = message.traits_stand_in
    membership = "traits" if message is Message.IDENTIFY else "context.traits"
    return (
        TraitColumn(header="userId", trait=MEMBER_ID),
        *(TraitColumn(header=f"{where}.{name}", trait=trait) for name, trait in traits),
        SegmentColumn(header=f"{membership}.{key}", value="true"),
    )
