"""Events in Segment's form as JSON, one text a row: identify, track, page, screen and group.

Pure functions on Ibis expressions: who is sent them, and by which wire, is not known here. A trait without a value is
left out of a payload, as Segment does; so is a number that JSON cannot write. Sources: Segment's pages "Spec: Common
Fields", "Spec: Identify", "Spec: Track", "Spec: Page", "Spec: Screen", "Spec: Group" and "Engage audiences".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir

#: What Segment calls the two changes of a membership.
ENTERED, EXITED = "Audience Entered", "Audience Exited"


class Message(StrEnum):
    """A call of Segment's API."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all payloads of one delivery have in common.

    :param audience_key: The audience's name in snake case; it names the membership.
    :param timestamp: When the membership held, ISO 8601 in UTC: the same in every try.
    :param delivery: Identity of the delivery; with it and the member, a repeated event has the same ``messageId``.
    :param name: Of a page or screen.
    :param group_id: Of a group.
    :param traits: What else is told of a member: name in the payload: column of the rows.
    """

    message: Message
    audience_key: str
    timestamp: str
    delivery: str
    name: str = ""
    group_id: str = ""
    traits: Mapping[str, str] = field(default_factory=dict)


@ibis.udf.scalar.builtin(name="to_json")  # type: ignore[untyped-decorator]  # Ibis has no types
def _to_json(value) -> dt.json:  # type: ignore[no-untyped-def]  # of any type, which Ibis says by saying none
    """JSON of a value of any type."""


@ibis.udf.scalar.builtin(name="json_merge_patch")  # type: ignore[untyped-decorator]  # as above
def _json_merge_patch(target: dt.json, patch: dt.json) -> dt.json:
    """RFC 7396: a key whose value is null goes."""


def payload(rows: ir.Table, event: Event, *, member: ir.BooleanValue) -> ir.StringValue:
    """The JSON of the event of each row.

    :param rows: With the text column ``member_id`` and the columns of `event`'s traits.
    :param member: Whether who a row is about is in the audience, or has left it.
    """
    common = {
        "type": ibis.literal(event.message.value),
        "messageId": message_id(rows.member_id, event, member=member),
        "userId": rows.member_id,
        "timestamp": ibis.literal(event.timestamp),
    }
    return _json(common | _own(rows, event, member=member))


def message_id(member_id: ir.StringValue, event: Event, *, member: ir.BooleanValue) -> ir.StringValue:
    """The same for the same member in the same delivery, and for nothing else; it does not tell who that is."""
    prefix = ibis.literal(f"v1|{event.delivery}|{event.message.value}|")
    sign = member.ifelse(ibis.literal("in|"), ibis.literal("out|"))
    # Member ids come last: whatever is in one cannot be taken for what stands before it.
    return (prefix + sign + member_id).hexdigest("sha256")


def _own(rows: ir.Table, event: Event, *, member: ir.BooleanValue) -> dict[str, ir.Value]:
    """The keys that only this kind of message has."""
    traits = {name: _sayable(rows[column]) for name, column in event.traits.items()}
    belongs = {event.audience_key: member}
    match event.message:
        case Message.IDENTIFY:
            return {"traits": ibis.struct(traits | belongs)}
        case Message.TRACK:
            key = {"audience_key": ibis.literal(event.audience_key)}
            named = member.ifelse(ibis.literal(ENTERED), ibis.literal(EXITED))
            return {"event": named, "properties": ibis.struct(traits | key | belongs)}
        case Message.PAGE | Message.SCREEN:
            return {"name": ibis.literal(event.name), "properties": ibis.struct(traits | belongs)}
        case Message.GROUP:
            return {"groupId": ibis.literal(event.group_id), "traits": ibis.struct(traits | belongs)}


def _sayable(value: ir.Value) -> ir.Value:
    """`value`, or null where JSON has no word for it."""
    if value.type().is_floating():
        return (value.isnan() | value.isinf()).ifelse(ibis.null(value.type()), value)
    return value


def _json(fields: Mapping[str, ir.Value]) -> ir.StringValue:
    whole = _to_json(ibis.struct(dict(fields)))
    return _json_merge_patch(ibis.literal("{}").cast(dt.json), whole).cast(dt.string)
