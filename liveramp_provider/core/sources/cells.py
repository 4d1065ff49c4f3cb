"""Cells as Python drivers give them, in columns of one type each: nothing is rounded, cut or guessed at."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import pyarrow as pa

from liveramp_provider.core.sources.failures import mixed_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    """What a column holds, and the types of value it takes.

    :param takes: ``None``: whatever Arrow puts into that type, because the database has said it is of that type.
    :param items: What is in the lists of a column of lists.
    """

    type: pa.DataType
    takes: frozenset[type] | None
    items: _Kind | None = None


_TEXT = _Kind(pa.string(), frozenset({str}))


def tables_of(
    batches: Iterable[Sequence[Sequence[Any]]], columns: Sequence[str], *, types: Sequence[pa.DataType], label: str
) -> Iterator[pa.Table]:
    """The rows of each batch as a table, all of one schema.

    :param types: What the columns hold, by the database's own word; empty where the first batch has to tell.
    :raises DataError: A column holds what does not fit its type; its name is said, no value is.
    """
    kinds = [_Kind(kind, takes=None) for kind in types]
    for rows in batches:
        cells = list(zip(*rows, strict=True))
        kinds = kinds or [_kind_of(column) for column in cells]
        arrays = [_column(column, kind) for column, kind in zip(cells, kinds, strict=True)]
        if None in arrays:
            raise mixed_kinds(columns[arrays.index(None)], label=label)
        yield pa.Table.from_arrays(arrays, names=list(columns))


def _kind_of(cells: Sequence[Any]) -> _Kind:
    """What a column holds by its first batch: text where that is empty, mixed, or fits no type."""
    found = _types(cells)
    if found == {list}:
        items = _kind_of(_items(cells))
        return _Kind(pa.list_(items.type), frozenset({list}), items)
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
    elif kind.takes is not None and not found <= kind.takes:
        return None
    return _array(cells, kind.type) if kind.items is None else _lists(cells, kind.items)


def _lists(cells: Sequence[list[Any] | None], kind: _Kind) -> pa.Array | None:
    items = _column(_items(cells), kind)
    if items is None:
        return None
    ends = accumulate(len(cell or ()) for cell in cells)
    nothing = pa.array([cell is None for cell in cells])
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), items, mask=nothing)


def _items(cells: Sequence[list[Any] | None]) -> list[Any]:
    return list(chain.from_iterable(cell for cell in cells if cell is not None))


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
