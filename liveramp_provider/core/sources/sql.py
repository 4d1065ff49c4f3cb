"""Rows of a query: bound parameters, streamed batch by batch into a Parquet file, memory flat."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError
from liveramp_provider.core.progress import count
from liveramp_provider.core.sources.columns import check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import SqlSource

BATCH_ROWS = 50_000

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {"snapshot_date": sa.Date(), "audience": sa.String()}
# What has a text form that everybody would write; a bool is an int, a datetime a date.
_PLAIN = str | int | float | Decimal | date | time | UUID
# Scale differs from row to row in some warehouses; this leaves room on both sides of the point.
_DECIMAL_DIGITS, _DECIMAL_SCALE = 38, 9
# Kinds of columns, and the types of value that each holds unchanged. Left to itself, Arrow would put 2.5 as 2 into a
# column that began with whole numbers, and a moment as its day into a column of dates.
_TAKES: dict[type, frozenset[type]] = {
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({float, int}),
    Decimal: frozenset({Decimal, int}),
    date: frozenset({date}),
    datetime: frozenset({datetime}),
    time: frozenset({time}),
}


class _Kind(NamedTuple):
    """What a column holds, and the types of value it takes."""

    type: pa.DataType
    takes: frozenset[type]


_TEXT = _Kind(pa.string(), frozenset({str}))


def land_query(
    source: SqlSource,
    engine: sa.Engine,
    *,
    parameters: Mapping[str, date | str],
    columns: Sequence[str],
    target: Path,
    label: str,
) -> None:
    """Copy the named columns of the query's rows into the Parquet file `target`.

    :raises SourceError: The warehouse refuses the query, or the result lacks a column.
    :raises SourceUnavailableError: The warehouse cannot be reached or broke off; retry.
    :raises DataError: A column holds values of different kinds.
    """
    statement = sa.text(source.query)
    used = [name for name in parameters if name in statement.compile().params]
    statement = statement.bindparams(*(sa.bindparam(name, parameters[name], _TYPES[name]) for name in used))
    names = list(dict.fromkeys(columns))
    answered = False
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=BATCH_ROWS) as connection:
            result = connection.execute(statement)
            answered = True
            check_columns(list(result.keys()), names, label=label)
            _write(result.columns(*names), columns=names, target=target, label=label)
        return
    except sa.exc.SQLAlchemyError as error:
        failure = _translated(error, label=f"{label}: {source.conn_id}", answered=answered)
    # Outside the handler: the driver's message quotes values and must not be this error's context either.
    raise failure


def _translated(error: sa.exc.SQLAlchemyError, *, label: str, answered: bool) -> SourceError | SourceUnavailableError:
    if isinstance(error, sa.exc.ResourceClosedError):
        return SourceError(f"{label}: the query gives no rows. Write one SELECT.")
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    # SQLite calls a missing table an operational error too, as it does a disk that is gone.
    refused = getattr(cause, "sqlite_errorname", "") == "SQLITE_ERROR" and not answered
    if isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError) and not refused:
        return SourceUnavailableError(f"{label} failed ({type(cause).__name__}). A task tries it again.")
    return SourceError(f"{label} refused the query ({type(cause).__name__}). Run it by hand to see why.")


def _write(result: sa.Result[Any], *, columns: list[str], target: Path, label: str) -> None:
    writer: pq.ParquetWriter | None = None
    kinds: list[_Kind] = []
    try:
        for rows in result.partitions(BATCH_ROWS):
            cells = list(zip(*rows, strict=True))
            if writer is None:
                kinds = [_kind_of(column) for column in cells]
                types = [kind.type for kind in kinds]
                writer = pq.ParquetWriter(target, pa.schema(list(zip(columns, types, strict=True))))
            arrays = [_column(column, kind) for column, kind in zip(cells, kinds, strict=True)]
            if None in arrays:
                raise DataError(
                    f"{label}: column {columns[arrays.index(None)]} holds values of different kinds, or such that are "
                    "no text, number or date. CAST it to one type in the query."
                )
            writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))
            count(len(rows))
        if writer is None:
            pq.write_table(pa.schema([(name, pa.string()) for name in columns]).empty_table(), target)
    finally:
        if writer is not None:
            writer.close()


def _kind_of(cells: Sequence[Any]) -> _Kind:
    """What a column holds by its first batch: text where that is empty, mixed, or fits no type."""
    found = _types(cells)
    takes = next((takes for kind, takes in _TAKES.items() if kind in found and found <= takes), None)
    array = None if takes is None else _array(cells, None)
    if takes is None or array is None:
        return _TEXT
    if not pa.types.is_decimal(array.type):
        return _Kind(array.type, takes)
    wide = pa.decimal128(_DECIMAL_DIGITS, max(_DECIMAL_SCALE, array.type.scale))
    return _TEXT if _array(cells, wide) is None else _Kind(wide, takes)


def _column(cells: Sequence[Any], kind: _Kind) -> pa.Array | None:
    """The cells of a column of that kind; ``None`` where it cannot hold all of them unchanged."""
    found = _types(cells)
    if kind is _TEXT and not found <= {str}:
        if not all(issubclass(one, _PLAIN) for one in found):
            return None
        cells = [None if cell is None else _text(cell) for cell in cells]
    elif not found <= kind.takes:
        return None
    return _array(cells, kind.type)


def _types(cells: Sequence[Any]) -> set[type]:
    return set(map(type, cells)) - {type(None)}


def _array(cells: Sequence[Any], kind: pa.DataType | None) -> pa.Array | None:
    """The cells as a column; ``None`` where they do not fit, because Arrow's own error would quote one."""
    try:
        return pa.array(cells, kind)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return None


def _text(cell: _PLAIN) -> str:
    """As :func:`liveramp_provider.core.identifiers.as_text` would write it."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float | Decimal) and math.isfinite(cell):
        if cell == int(cell):
            return str(int(cell))
        return str(cell) if isinstance(cell, float) else f"{cell:f}".rstrip("0")
    return str(cell)
