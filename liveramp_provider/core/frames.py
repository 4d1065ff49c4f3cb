"""Frames that users' functions give, landed batch by batch in Parquet: plain columns whose types agree."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liveramp_provider.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends.duckdb import Backend

#: Rows of a frame that goes to a function, and of what is written at once.
BATCH_ROWS = 50_000

_WIDE_DIGITS, _WIDE_SCALE = 38, 9
_WIDE_WHOLE = pa.decimal128(_WIDE_DIGITS, 0)
# Beyond it a fraction cannot hold every whole number, so that the two have no type in common.
_EXACT_IN_FLOAT = 2**53


def plain_columns(frame: pd.DataFrame, columns: Mapping[str, str], *, label: str, lists: bool) -> pa.Table:
    """Columns of `frame` as Arrow's plain types; ``None``, NA, NaN and NaT are all missing.

    :param columns: Our name: the frame's; all of them are there.
    :param lists: Whether a cell may hold several values.
    :raises DataError: A column holds values of different kinds, or such that are no text, number or date.
    """
    names = list(map(str, frame.columns))
    arrays = {ours: _plain(frame.iloc[:, names.index(theirs)], lists=lists) for ours, theirs in columns.items()}
    for ours, array in arrays.items():
        if array is None:
            raise _different_kinds(label, columns[ours])
    return pa.table(arrays)


class LandedFrames:
    """Tables of the same columns, written into one Parquet file after another: a new one where a type has to widen.

    :param folder: Where; yet to be made.
    :param label: Whose frames they are, for errors.
    """

    def __init__(self, folder: Path, *, label: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._label = label
        self._types: dict[str, pa.DataType] = {}
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def __enter__(self) -> LandedFrames:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def add(self, table: pa.Table) -> None:
        """Write the rows of `table`, at the latest with the next ones.

        :raises DataError: A column has another kind of values than before.
        """
        types = {
            name: _common(self._types.get(name, pa.null()), table.schema.field(name).type)
            for name in table.schema.names
        }
        if types != self._types:
            self._flush()
            self._close()
        self._types = types
        arrays = {name: _cast(table.column(name), kind) for name, kind in types.items()}
        for name, array in arrays.items():
            if array is None:
                raise _different_kinds(self._label, name)
        self._waiting.append(pa.table(arrays))
        self._waiting_rows += len(table)
        # Many small frames would make as many blocks in the file.
        if self._waiting_rows >= BATCH_ROWS:
            self._flush()

    def read(self, engine: Backend, columns: Sequence[str]) -> ir.Table:
        """All rows that were added, in no order; where there were none, these columns as text."""
        self._types = self._types or dict.fromkeys(columns, pa.null())
        if not self._paths:
            self._waiting.append(self._schema.empty_table())
        self._flush()
        self._close()
        schema = ibis.Schema.from_pyarrow(self._schema)
        parts = [engine.read_parquet(path).cast(schema) for path in self._paths]
        return ibis.union(*parts) if parts[1:] else parts[0]

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, _settled(kind)) for name, kind in self._types.items()])

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._paths.append(self._folder / f"{len(self._paths)}.parquet")
            self._writer = pq.ParquetWriter(self._paths[-1], self._schema)
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=BATCH_ROWS)
        self._waiting.clear()
        self._waiting_rows = 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _cast(column: pa.ChunkedArray, kind: pa.DataType | None) -> pa.ChunkedArray | None:
    """The column as it is written; ``None`` where it does not fit."""
    try:
        return None if kind is None else column.cast(_settled(kind))
    except pa.ArrowException:
        return None


def _different_kinds(label: str, column: str) -> DataError:
    return DataError(
        f"{label}: column {column} holds values of different kinds, or such that are no text, number or date. "
        "Give it one type with astype."
    )


def _plain(series: pd.Series, *, lists: bool) -> pa.Array | pa.ChunkedArray | None:
    """The series in a plain type; ``None`` where it fits none, because Arrow's own error would quote a cell."""
    try:
        array = pa.Array.from_pandas(series)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_floating(array.type):
            array = array.cast(pa.float64())
            array = pc.if_else(pc.is_nan(array), None, array)
        if array.null_count == len(array):
            # What pandas keeps nothing in says nothing of what is to come.
            return pa.nulls(len(array))
        target = _target(array, lists=lists)
        faithful = series.dtype != object or _is_faithful(series, array.type)
        return array.cast(target, safe=pa.types.is_decimal(target)) if target is not None and faithful else None
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _is_faithful(series: pd.Series, inferred: pa.DataType) -> bool:
    """Whether Arrow kept all there is: it drops the time of moments among dates, and sets have no order."""
    if pa.types.is_date(inferred):
        return not any(isinstance(cell, datetime) for cell in series)
    return not pa.types.is_list(inferred) or not any(isinstance(cell, set | frozenset) for cell in series)


def _target(array: pa.Array, *, lists: bool) -> pa.DataType | None:
    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_float64(kind):
        return kind
    if pa.types.is_integer(kind):
        low, high = pc.min_max(array).values()
        exact = all(end.as_py() is None or abs(end.as_py()) <= _EXACT_IN_FLOAT for end in (low, high))
        return pa.int64() if exact else _WIDE_WHOLE
    if pa.types.is_decimal(kind):
        return pa.decimal128(_WIDE_DIGITS, max(_WIDE_SCALE, kind.scale))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if lists and (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        inner = array.flatten()
        element = pa.float64() if pa.types.is_floating(inner.type) else _target(inner, lists=False)
        return None if element is None else pa.list_(element)
    return None


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds what either does, unchanged."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_list(one) and pa.types.is_list(other):
        element = _common(one.value_type, other.value_type)
        return None if element is None else pa.list_(element)
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    scales = [kind.scale if pa.types.is_decimal(kind) else 0 for kind in (one, other)]
    if all(pa.types.is_decimal(kind) or kind == pa.int64() for kind in (one, other)):
        return pa.decimal128(_WIDE_DIGITS, max(scales))
    return None


def _settled(kind: pa.DataType) -> pa.DataType:
    """Text for what never had a value."""
    if pa.types.is_list(kind):
        return pa.list_(_settled(kind.value_type))
    return pa.string() if pa.types.is_null(kind) else kind
