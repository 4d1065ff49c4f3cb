"""Rows of a query: bound parameters, streamed batch by batch into a Parquet file, memory flat."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError
from liveramp_provider.core.sources import check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import SqlSource

BATCH_ROWS = 50_000

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {"snapshot_date": sa.Date(), "audience": sa.String()}
# Scale and precision differ from row to row in some warehouses; this holds what DuckDB can hold.
_DECIMAL = pa.decimal128(38, 9)


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
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=BATCH_ROWS) as connection:
            result = connection.execute(statement)
            check_columns(list(result.keys()), columns, label=label)
            _write(
                result.columns(*dict.fromkeys(columns)),
                columns=list(dict.fromkeys(columns)),
                target=target,
                label=label,
            )
    # The drivers' messages quote the statement with its values, so only the kind of the error goes on.
    except sa.exc.OperationalError as error:
        raise SourceUnavailableError(f"{label}: {source.conn_id} failed ({_kind(error)}). It is tried again.") from None
    except sa.exc.DBAPIError as error:
        raise SourceError(
            f"{label}: {source.conn_id} refused the query ({_kind(error)}). Run it by hand to see why."
        ) from None


def _kind(error: sa.exc.DBAPIError) -> str:
    return type(error.orig).__name__


def _write(result: sa.ScalarResult[Any] | sa.Result[Any], *, columns: list[str], target: Path, label: str) -> None:
    schema: pa.Schema | None = None
    writer: pq.ParquetWriter | None = None
    try:
        for rows in result.partitions(BATCH_ROWS):
            values = list(zip(*rows, strict=True))
            if schema is None:
                schema = pa.schema(
                    [(name, _type_of(cells, name, label)) for name, cells in zip(columns, values, strict=True)]
                )
                writer = pq.ParquetWriter(target, schema)
            arrays = [_array(cells, field, label) for cells, field in zip(values, schema, strict=True)]
            if writer is not None:
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        if writer is None:
            pq.write_table(pa.schema([(name, pa.string()) for name in columns]).empty_table(), target)
    finally:
        if writer is not None:
            writer.close()


def _type_of(cells: Sequence[Any], column: str, label: str) -> pa.DataType:
    """The type a column has by its first batch; empty ones are text."""
    try:
        inferred = pa.array(cells).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        if all(cell is None or isinstance(cell, str | int | float | Decimal) for cell in cells):
            return pa.string()
        raise _mixed(column, label) from None
    if pa.types.is_null(inferred):
        return pa.string()
    return _DECIMAL if pa.types.is_decimal(inferred) else inferred


def _array(cells: Sequence[Any], field: pa.Field, label: str) -> pa.Array:
    try:
        if pa.types.is_string(field.type):
            return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())
        return pa.array(cells, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        raise _mixed(field.name, label) from None


def _text(cell: Any) -> str:
    """Numbers that stand among texts, as the engine would write them."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float | Decimal) and cell == int(cell):
        return str(int(cell))
    return str(cell)


def _mixed(column: str, label: str) -> DataError:
    return DataError(f"{label}: column {column} holds values of different kinds. CAST it to one type in the query.")
