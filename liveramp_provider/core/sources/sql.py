"""Rows of a query: bound parameters, streamed batch by batch into a Parquet file, memory flat."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from liveramp_provider.core.engine import ROW_GROUP_ROWS
from liveramp_provider.core.progress import count
from liveramp_provider.core.sources.cells import tables_of
from liveramp_provider.core.sources.columns import check_columns
from liveramp_provider.core.sources.failures import broke_off, no_rows, refused
from liveramp_provider.core.sources.postgres import speaks_postgres, typed_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import SqlSource
    from liveramp_provider.core.errors import SourceError, SourceUnavailableError
    from liveramp_provider.core.sources.postgres import TypedQuery

BATCH_ROWS = 50_000


class _Day(sa.Date):
    """A date that is one also where it stands in the text of a query."""

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[date], str]:
        return lambda value: f"DATE '{value.isoformat()}'"


class _Word(sa.String):
    """A text that ends nowhere but at its end, however the server reads backslashes."""

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[str], str]:
        return lambda value: "E'" + value.replace("\\", r"\\").replace("'", "''") + "'"


_TYPES: dict[str, sa.types.TypeEngine[Any]] = {"snapshot_date": _Day(), "audience": _Word()}


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
    names = list(dict.fromkeys(columns))
    bound = partial(_bound, parameters=parameters)
    place = f"{label}: {source.conn_id}"
    answered = False
    try:
        with engine.connect() as connection:
            if speaks_postgres(connection):
                query = typed_query(connection, source.query, names, bound=bound, label=label)
                tables, schema = _of_postgres(connection, query, label=label, place=place), query.schema
            else:
                result = _streamed(connection, bound(source.query))
                answered = True
                check_columns(list(result.keys()), names, label=label)
                rows = result.columns(*names).partitions(BATCH_ROWS)
                tables, schema = tables_of(rows, names, types=(), label=label), _of_texts(names)
            _write(tables, schema, target)
        return
    except sa.exc.SQLAlchemyError as error:
        failure = _translated(error, place, answered=answered)
    # Outside the handler: the driver's message quotes values and must not be this error's context either.
    raise failure


def _bound(query: str, parameters: Mapping[str, date | str]) -> sa.TextClause:
    statement = sa.text(query)
    used = [name for name in parameters if name in statement.compile().params]
    return statement.bindparams(*(sa.bindparam(name, parameters[name], _TYPES[name]) for name in used))


def _streamed(connection: sa.Connection, statement: sa.TextClause) -> sa.Result[Any]:
    return connection.execute(statement, execution_options={"stream_results": True, "yield_per": BATCH_ROWS})


def _of_postgres(connection: sa.Connection, query: TypedQuery, *, label: str, place: str) -> Iterator[pa.Table]:
    """The rows through ADBC where that has the same session, else through the connection; the same ones either way."""
    try:
        from liveramp_provider.core.sources.adbc import copied, twin_of
    except ImportError:
        session = None
    else:
        session = twin_of(connection)
    if session is None:
        rows = _streamed(connection, query.statement).partitions(BATCH_ROWS)
        yield from tables_of(rows, query.schema.names, types=query.schema.types, label=label)
        return
    # Its transaction would keep the server from cleaning up as long as rows flow.
    connection.rollback()
    with closing(session):
        yield from copied(session, query, place=place)


def _of_texts(names: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _write(tables: Iterator[pa.Table], schema: pa.Schema, target: Path) -> None:
    """Write and count all rows.

    :param schema: Of a file without any.
    """
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            count(table.num_rows)
        if writer is None:
            pq.write_table(schema.empty_table(), target)
    finally:
        if writer is not None:
            writer.close()
        # What Arrow keeps for more batches is the engine's to use now.
        pa.default_memory_pool().release_unused()


def _translated(error: sa.exc.SQLAlchemyError, place: str, *, answered: bool) -> SourceError | SourceUnavailableError:
    if isinstance(error, sa.exc.ResourceClosedError):
        return no_rows(place)
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    # SQLite calls a missing table an operational error too, as it does a disk that is gone.
    at_fault = getattr(cause, "sqlite_errorname", "") == "SQLITE_ERROR" and not answered
    passing = isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError) and not at_fault
    return broke_off(place, cause) if passing else refused(place, cause)
