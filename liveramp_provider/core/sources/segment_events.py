"""Segment's event log: who had entered an audience and not left it at the end of a day, or everybody's newest traits.

Both are one fold. An event says something of a person: that they are in the audience or not, or what their traits are.
In the order of ``timestamp``, then ``messageId``, the newest word on each thing holds. Copies of an event share their
``messageId`` and count once, at their earliest time: Segment works the time of an event that is sent again out anew.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
import ibis.expr.datatypes as dt

from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.identifiers import clean
from liveramp_provider.core.rows import count_where, staged, totals
from liveramp_provider.core.sources.columns import check_columns
from liveramp_provider.core.sources.files import check_capitals
from liveramp_provider.core.sources.json_lines import json_columns, json_extract_string, json_type, text_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import SegmentEventsSource
    from liveramp_provider.core.sources.files import FoundFiles

log = logging.getLogger(__name__)

#: The column of whom an event is about: its ``userId``, or its ``anonymousId`` where that is missing or blank.
USER = "userId"

_FIELDS = ("type", "event", USER, "anonymousId", "messageId", "timestamp", "traits", "properties")
_ENTERED, _EXITED = "Audience Entered", "Audience Exited"
# Segment writes a person's traits into the properties of these; those of any other Track event say what happened.
_EVENTS_WITH_TRAITS = (_ENTERED, _EXITED, "Trait Computed")
# Date, time and offset. A year before 1900 is how some libraries write that there is no time.
_TIMESTAMP = (
    r"^(19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)$"
)
_MOMENT = dt.Timestamp(timezone="UTC")
_KEYS_SHOWN = 10
_ORDER = ("user", "message", "moment")

# What an event says of a thing is JSON: `null` takes back what was said before, and SQL's null says nothing.
_TAKEN_BACK = "null"
_IN, _OUT, _UNCLEAR = "true", "false", "unclear"
_ANSWERS = {"true": _IN, '"true"': _IN, "false": _OUT, '"false"': _OUT, _TAKEN_BACK: _OUT}


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]  # Ibis has no types
def json_extract(value: dt.JSON, paths: list[str]) -> list[dt.JSON]:  # type: ignore[empty-body]  # the engine has it
    """What is found at each path; null where there is nothing."""


@ibis.udf.agg.builtin  # type: ignore[untyped-decorator]
def arg_max(value: str, by: int) -> str:  # type: ignore[empty-body]
    """Of the values that are not null, the one with the greatest `by`."""


def read_segment_events(
    source: SegmentEventsSource,
    files: FoundFiles,
    engine: Backend,
    *,
    columns: Sequence[str],
    until: datetime,
    scratch: Path,
    label: str,
) -> tuple[ir.Table, str]:
    """What the log says of people up to a moment; later events change nothing.

    Of an audience: a row a member, and one without a user for every event about nobody. Without an audience: a row a
    user, with the newest value of each column as text; lists of text where anybody's is a list.

    :param columns: ``userId`` and, without an audience, names of traits. ``address.city`` is a field of ``address``,
        except where a trait is called just that.
    :param until: The first moment that does not count any more.
    :returns: The rows, and the time of the newest event that counts, in ISO 8601 and UTC; empty where none does.
    :raises SourceError: A line is no JSON object, or the events are of other audiences.
    :raises DataError: Events cannot be put in order, or say what cannot be read.
    """
    traits = [column for column in dict.fromkeys(columns) if column != USER]
    lines = _lines(files, engine)
    if source.audience_key:
        check_columns([USER], columns, label=label)
        said = _membership(lines, source.audience_key)
    else:
        check_capitals([USER, *traits], traits, label=label)
        said = _traits(lines, traits)
    events = _landed(said, engine, scratch / f"events of {label}.parquet", files=files, label=label)
    newest_at = _check_order(events, engine, until=until, label=label)
    newest = staged(engine, _newest(events, until=until), scratch / f"newest of {label}.parquet")
    if not source.audience_key:
        return _trait_columns(newest, traits, engine, label=label), newest_at
    if not newest_at:
        _check_key(source.audience_key, events, lines, engine, label=label)
    return _members(newest, source.audience_key, engine, label=label), newest_at


def _lines(files: FoundFiles, engine: Backend) -> ir.Table:
    """Every line: of what kind, of whom, when, and all that it says."""
    lines = json_columns(files.paths, engine, _FIELDS)
    at = json_extract_string(lines.timestamp, "$")
    return lines.select(
        kind=json_extract_string(lines.type, "$"),
        event=json_extract_string(lines.event, "$"),
        user=clean(_id(lines[USER])).coalesce(clean(_id(lines.anonymousId))),
        message=clean(_id(lines.messageId)),
        moment=at.re_search(_TIMESTAMP).ifelse(at.try_cast(_MOMENT), ibis.null(_MOMENT)),
        traits=lines.traits,
        properties=lines.properties,
        audience=json_extract_string(lines.properties, "/audience_key"),
    )


def _id(value: ir.JSONValue) -> ir.StringValue:
    """A text or number as people write it; nothing else is an id."""
    return json_type(value).isin(("VARCHAR", "UBIGINT", "BIGINT", "DOUBLE")).ifelse(text_of(value), ibis.null("string"))


def _membership(lines: ir.Table, key: str) -> ir.Table:
    """The events that say whether their user is in the audience."""
    lines = lines.mutate(trait=json_extract(lines.traits, [_pointer(key)])[0].cast("string"))
    moved = (lines.kind == "track") & (lines.audience == key)
    answer = ibis.cases(*((lines.trait == written, meant) for written, meant in _ANSWERS.items()), else_=_UNCLEAR)
    said = ibis.cases(
        (moved & (lines.event == _ENTERED), _IN),
        (moved & (lines.event == _EXITED), _OUT),
        ((lines.kind == "identify") & lines.trait.notnull(), answer),
    )
    events = lines.select(*_ORDER, **{_thing(0): said})
    return events.filter(events[_thing(0)].notnull())


def _traits(lines: ir.Table, names: Sequence[str]) -> ir.Table:
    """The events that say what traits their user has: each as JSON, and null where nothing is said of it."""
    with_traits = (lines.kind == "track") & lines.event.isin(_EVENTS_WITH_TRAITS)
    told = lines.select(
        *_ORDER, told=ibis.cases((lines.kind == "identify", lines.traits), (with_traits, lines.properties))
    )
    # All at once, because the engine parses the object anew for every call.
    paths = list(dict.fromkeys(path for name in names for path in _places(name)))
    found = told.filter(told.told.notnull()).select(*_ORDER, found=json_extract(told.told, paths))
    at = {path: found.found[index].cast("string") for index, path in enumerate(paths)}
    said = {_thing(number): _trait(*(at[path] for path in _places(name))) for number, name in enumerate(names)}
    events = found.select(*_ORDER, **said)
    return events.filter(count_where(events[thing].notnull() for thing in said) > 0)


def _places(name: str) -> tuple[str, str, str]:
    """Where a trait may stand: under just that name, or as a part of what the beginning of its name names."""
    parts = name.split(".")
    return _pointer(name), _pointer(parts[0]), _pointer(*parts)


def _trait(exact: ir.StringValue, whole: ir.StringValue, part: ir.StringValue) -> ir.StringValue:
    # A newer address takes the place of the older one, all of it: no city of one beside a street of another.
    return exact.coalesce(whole.notnull().ifelse(part.coalesce(_TAKEN_BACK), ibis.null("string")))


def _pointer(*keys: str) -> str:
    """A JSON pointer (RFC 6901): it finds any name, whatever signs are in it."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _thing(number: int) -> str:
    """Column of what events say of one thing: the membership, or a trait."""
    return f"said {number}"


def _landed(events: ir.Table, engine: Backend, target: Path, *, files: FoundFiles, label: str) -> ir.Table:
    """The events in a file of their own, and nothing else of the log."""
    try:
        return staged(engine, events, target)
    except duckdb.InvalidInputException as error:
        told = str(error)
    # Outside the handler: the engine's message quotes the line and must not be this error's context.
    name = next((f"{Path(path).name}: " for path in files.paths if f'"{path}"' in told), "")
    raise SourceError(f"{label}: {name}a line is no JSON object. Check that the file is complete and JSON Lines.")


def _check_order(events: ir.Table, engine: Backend, *, until: datetime, label: str) -> str:
    """The time of the newest event before `until`; empty where there is none.

    :raises DataError: Some events cannot be put in order.
    """
    # One without a time may have been before.
    past = events.filter(events.moment.isnull() | (events.moment < until))
    no_id, no_time = past.message.isnull(), past.moment.isnull()
    counts = totals(engine, past, rows="events", no_id=no_id, no_time=no_time, lost=no_id | no_time)
    if counts["lost"]:
        raise DataError(
            f"{label}: {counts['lost']:,} of {counts['events']:,} events cannot be put in order: {counts['no_id']:,} "
            f"have no messageId, {counts['no_time']:,} no timestamp with date, time and offset. Correct the log."
        )
    newest = engine.to_pyarrow(past.moment.max()).as_py()
    return newest.isoformat() if newest else ""


def _newest(events: ir.Table, *, until: datetime) -> ir.Table:
    """The newest word on each thing, in a row a user; events about nobody have a row each."""
    said = [column for column in events.columns if column not in _ORDER]
    # Should copies differ, what they say decides: the same log always gives the same rows.
    copy = ibis.row_number().over(group_by=["user", "message"], order_by=["moment", *said])
    copies = events.filter(events.moment < until).mutate(copy=copy)
    once = copies.filter(copies.copy == 0)
    ordered = once.mutate(place=ibis.row_number().over(group_by="user", order_by=["moment", "message"]))
    newest = ordered.select(
        "user", "place", **{column: arg_max(ordered[column], ordered.place).over(group_by="user") for column in said}
    )
    return newest.filter((newest.place == 0) | newest.user.isnull()).drop("place")


def _members(newest: ir.Table, key: str, engine: Backend, *, label: str) -> ir.Table:
    """Who is in the audience, and events about nobody."""
    nobody, said = newest.user.isnull(), newest[_thing(0)]
    counts = totals(engine, newest, rows="users", unclear=said == _UNCLEAR)
    if counts["unclear"]:
        raise DataError(
            f"{label}: of {counts['unclear']:,} users the newest traits.{key} is neither true nor false. Correct the "
            "events, or the audience_key if that is no audience but another trait."
        )
    return newest.filter(nobody | (said == _IN)).select(newest.user.name(USER))


def _check_key(key: str, events: ir.Table, lines: ir.Table, engine: Backend, *, label: str) -> None:
    """An audience without events may be new, but it may also be misspelt: then there are others.

    :raises SourceError: No event at all is about the audience, and some are about others; they are named.
    """
    if totals(engine, events, rows="events")["events"]:
        return
    moves = lines.filter((lines.kind == "track") & lines.event.isin((_ENTERED, _EXITED)) & lines.audience.notnull())
    keys = moves.select(key=moves.audience).distinct()
    others = engine.to_pyarrow(keys.order_by("key").limit(_KEYS_SHOWN + 1))["key"].to_pylist()
    if others:
        more = " and more" if len(others) > _KEYS_SHOWN else ""
        raise SourceError(
            f"{label}: no event is about the audience {key}. There are events about {', '.join(others[:_KEYS_SHOWN])}"
            f"{more}. Correct audience_key in the audience file."
        )


def _trait_columns(newest: ir.Table, names: Sequence[str], engine: Backend, *, label: str) -> ir.Table:
    """The traits under their names, as text or lists of text.

    :raises DataError: One is an object, which is neither.
    """
    users = newest.filter(newest.user.notnull())
    values = {name: users[_thing(number)].nullif(_TAKEN_BACK).cast("json") for number, name in enumerate(names)}
    counts = totals(
        engine,
        users,
        rows="users",
        **{f"given {name}": value.notnull() for name, value in values.items()},
        **{f"lists {name}": json_type(value) == "ARRAY" for name, value in values.items()},
        **{f"objects {name}": _holds_objects(value) for name, value in values.items()},
    )
    for name in names:
        if objects := counts[f"objects {name}"]:
            raise DataError(
                f"{label}: {name} is an object for {objects:,} of {counts['users']:,} users; a trait is text, a number "
                f"or a list of them. Select its fields one by one, as {name}.<field>."
            )
    if missing := [name for name in names if not counts[f"given {name}"]]:
        log.warning(f"{label}: no event up to the day gives a user any {', '.join(missing)}")
    texts = {name: texts_of(value) if counts[f"lists {name}"] else text_of(value) for name, value in values.items()}
    return users.select(users.user.name(USER), **texts)


def _holds_objects(value: ir.JSONValue) -> ir.BooleanValue:
    kinds = value.try_cast("array<json>").map(json_type)
    return (json_type(value) == "OBJECT") | kinds.contains("OBJECT") | kinds.contains("ARRAY")
