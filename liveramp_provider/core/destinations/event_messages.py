"""What a message in the form of Segment's events says of a member, as JSON: identify, track, page, screen and group.

Sources: Segment's pages "Spec: Common Fields", "Spec: Identify", "Spec: Track", "Spec: Page", "Spec: Screen", "Spec:
Group", "Engage audiences", and "HTTP API" for the size of a message. What has no value is left out, as Segment does: a
``null`` would take back what the receiver was told by others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as dt

from liveramp_provider.core.destinations.event_file import ENTERED, MESSAGE, Message
from liveramp_provider.core.identifiers import as_text, clean
from liveramp_provider.core.rows import HIDDEN_KEY, Rows, count_where, staged, totals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destinations.event_file import EventFile

#: Segment takes 32 KB a message; a kilobyte may mean 1,000 bytes.
MAX_MESSAGE_BYTES = 32_000

_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
_INFINITE = "infinite numbers"


@ibis.udf.scalar.builtin(name="to_json")  # type: ignore[untyped-decorator]  # Ibis has no types
def _to_json(value) -> dt.json:  # type: ignore[no-untyped-def]  # of any type, which Ibis says by saying none
    """JSON of a value of any type."""


@ibis.udf.scalar.builtin(name="json_merge_patch")  # type: ignore[untyped-decorator]  # as above
def _json_merge_patch(target: dt.json, patch: dt.json) -> dt.json:
    """RFC 7396: a key whose value is null goes."""


@ibis.udf.scalar.builtin(name="strlen")  # type: ignore[untyped-decorator]  # as above
def _bytes(text: str) -> int:  # type: ignore[empty-body]  # the engine has the body
    """How many bytes a text has in UTF-8."""


def event_rows(file: EventFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the messages out; `profiles` is in key order, and so are they.

    A message that is larger than Segment takes is left out and counted.
    """
    traits = [profiles[trait] for _, trait in file.traits]
    said = profiles.select(
        profiles.member_id.name(HIDDEN_KEY),
        message(file, profiles).name(MESSAGE),
        count_where(_is_infinite(trait) for trait in traits).name(_INFINITE),
    )
    table = staged(engine, said, scratch / f"rows-{file.slot}.parquet")
    fits = _bytes(table[MESSAGE]) <= MAX_MESSAGE_BYTES
    kept = table.filter(fits)
    counts = totals(engine, table, rows="members", message_size=~fits)
    blanked = totals(engine, kept, rows="rows", infinite_number=kept[_INFINITE])
    rows = blanked.pop("rows")
    return Rows(
        table=kept.drop(_INFINITE), count=rows, members=rows, waterfall={**counts, "rows": rows}, blanked=blanked
    )


def message(file: EventFile, profiles: ir.Table) -> ir.StringValue:
    """The JSON text of each member's message, its keys in a fixed order.

    :param file: As of a day.
    :param profiles: With the text column ``member_id`` and the traits of `file`.
    """
    common = {
        "type": ibis.literal(file.message.value),
        "messageId": message_id(file, profiles.member_id),
        "userId": profiles.member_id,
        "timestamp": ibis.literal(file.timestamp),
    }
    return _json(common | _own(file, profiles))


def message_id(file: EventFile, member_id: ir.StringValue) -> ir.StringValue:
    """The same for the same member in the same edition, and for nothing else; it does not tell who that is."""
    # Member ids come last: whatever is in one cannot be taken for what stands before it.
    return (ibis.literal(f"{file.edition}|{file.message.value}|") + member_id).hexdigest("sha256")


def _own(file: EventFile, profiles: ir.Table) -> dict[str, ir.Value]:
    """The keys that only this kind of message has; of all but identify, the membership is in the context.

    A group's own traits are not its members', and neither are a page's properties: what is said of a user there has its
    place in ``context.traits``.
    """
    traits = {name: _sayable(profiles[trait]) for name, trait in file.traits}
    belongs = {file.audience_key: ibis.literal(True)}
    match file.message:
        case Message.IDENTIFY:
            return {"traits": ibis.struct(traits | belongs)}
        case Message.TRACK:
            key = {"audience_key": ibis.literal(file.audience_key)}
            return {
                "event": ibis.literal(ENTERED),
                "properties": ibis.struct(traits | key | belongs),
                "context": _context(belongs),
            }
        case Message.PAGE | Message.SCREEN:
            return {"name": ibis.literal(file.page_name), "context": _context(traits | belongs)}
        case Message.GROUP:
            return {"groupId": ibis.literal(file.audience_key), "context": _context(traits | belongs)}


def _context(traits: Mapping[str, ir.Value]) -> ir.StructValue:
    return ibis.struct({"traits": ibis.struct(dict(traits))})


def _is_infinite(value: ir.Value) -> ir.BooleanValue:
    return value.isinf().fill_null(False) if value.type().is_floating() else ibis.literal(False)


def _sayable(value: ir.Value) -> ir.Value:
    """`value` as JSON has it, or null where that has no word for it.

    Numbers and truth stay what they are, moments are ISO 8601 in UTC, everything else is text as it was read; blank
    words are nothing.
    """
    kind = value.type()
    if kind.is_boolean() or kind.is_integer():
        return value
    if kind.is_floating():
        return (value.isnan() | value.isinf()).ifelse(ibis.null(dt.json), as_text(value).cast(dt.json))
    if kind.is_decimal():
        return as_text(value).cast(dt.json)
    if kind.is_timestamp():
        return value.strftime(_MOMENT)
    text = as_text(value)
    return clean(text).isnull().ifelse(ibis.null(dt.string), text)


def _json(fields: Mapping[str, ir.Value]) -> ir.StringValue:
    whole = _to_json(ibis.struct(dict(fields)))
    return _json_merge_patch(ibis.literal("{}").cast(dt.json), whole).cast(dt.string)
