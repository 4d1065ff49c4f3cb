"""Slowly changing tables: of every key the row that held at the end of the day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.identifiers import as_text, clean
from liveramp_provider.core.moments import moment_of
from liveramp_provider.core.rows import staged, totals

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from liveramp_provider.core.audience import AsOf
    from liveramp_provider.core.sources import Reader

# No trait can be called like these columns: a trait's name has no space.
_FROM, _TO = "valid from", "valid to"
_RANK = "rank by valid from"


def validity_columns(as_of: AsOf | None) -> tuple[str, ...]:
    """The source's columns that say when a row holds."""
    return () if as_of is None else tuple(name for name in (as_of.valid_from, as_of.valid_to) if name)


def validity(rows: ir.Table, as_of: AsOf | None) -> dict[str, ir.Value]:
    """What :func:`rows_of_day` needs of a source's rows beside ``member_id``, under names that no trait can have."""
    return dict(zip((_FROM, _TO), (rows[name] for name in validity_columns(as_of)), strict=False))


def rows_of_day(rows: ir.Table, as_of: AsOf, *, reader: Reader, label: str) -> ir.Table:
    """The rows that held at the end of the day: of every member the newest, unless it has ended.

    A moment without a zone is meant in UTC. A date is the beginning of that day in the audience's zone. Several rows of
    a member that begin together are all given, as far as they hold; rows without a member are taken each by itself.

    :param rows: With ``member_id`` and the columns of :func:`validity`.
    :raises SourceError: One of the columns is of a type that holds no dates.
    :raises DataError: Dates are missing or cannot be read.
    """
    names = dict(zip((_FROM, _TO), validity_columns(as_of), strict=False))
    for mark, name in names.items():
        _check_type(rows[mark], name, label)
    moments = {mark: _moment(rows[mark], reader) for mark in names}
    unreadable = {mark: moments[mark].isnull() & clean(as_text(rows[mark])).notnull() for mark in names}
    unreadable[_FROM] = moments[_FROM].isnull()
    marked = rows.mutate(**moments, **{_unreadable(mark): fault for mark, fault in unreadable.items()})
    history = staged(reader.engine, marked, reader.scratch / f"history of {label}.parquet")
    _check_readable(history, names, reader, label)

    end = ibis.literal(reader.day_end)
    begun = history.filter(history[_FROM] < end)
    rank = ibis.rank().over(group_by="member_id", order_by=ibis.desc(_FROM))
    ranked = begun.mutate(**{_RANK: rank})
    newest = ranked.filter((ranked[_RANK] == 0) | ranked.member_id.isnull())
    held = newest.filter(newest[_TO].isnull() | (newest[_TO] >= end)) if _TO in names else newest
    return held.drop(_RANK, *names, *map(_unreadable, names))


def _unreadable(mark: str) -> str:
    return f"unreadable {mark}"


def _check_type(column: ir.Value, name: str, label: str) -> None:
    kind = column.type()
    if not (kind.is_date() or kind.is_timestamp() or kind.is_string()):
        raise SourceError(
            f"{label}: column {name} is of type {kind}, which says no day. CAST it to a date or a timestamp."
        )


def _moment(column: ir.Value, reader: Reader) -> ir.TimestampValue:
    moment = moment_of(column)
    midnight = datetime.combine(reader.day + timedelta(days=1), time(), UTC)
    # As of this day's end: an hour more or less at other times of the year tells no two days apart.
    in_zone = moment + ibis.interval(seconds=int((reader.day_end - midnight).total_seconds()))
    if column.type().is_string():
        return column.contains(":").ifelse(moment, in_zone)
    return in_zone if column.type().is_date() else moment


def _check_readable(history: ir.Table, names: dict[str, str], reader: Reader, label: str) -> None:
    counted = totals(reader.engine, history, rows="rows", **{mark: history[_unreadable(mark)] for mark in names})
    told = [f"{counted[mark]:,} in {name}" for mark, name in names.items() if counted[mark]]
    if told:
        raise DataError(
            f"{label}: rows whose date is missing or cannot be read: {', '.join(told)}. Write dates as YYYY-MM-DD and "
            f"moments in ISO 8601; only {names.get(_TO, 'an end')} may be blank."
        )
