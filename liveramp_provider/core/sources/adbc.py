"""Arrow straight out of PostgreSQL: COPY through ADBC, in a session like the one that SQLAlchemy opened."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa
from adbc_driver_manager._reader import AdbcRecordBatchReader
from adbc_driver_manager.dbapi import Connection, Error
from adbc_driver_postgresql import dbapi
from sqlalchemy.dialects.postgresql.base import PGDialect

from liveramp_provider.core.sources.failures import broke_off, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.errors import SourceError, SourceUnavailableError
    from liveramp_provider.core.sources.postgres import TypedQuery

_SESSION = """
    select name, setting, current_user::text,
        (select ssl from pg_stat_ssl where pid = pg_backend_pid()),
        (select encrypted from pg_stat_gssapi where pid = pg_backend_pid())
    from pg_settings order by name
"""
# Classes of SQLSTATE that are the server's trouble and not the query's. A connection that breaks has none at all.
_PASSING = ("08", "40", "53", "55", "57", "58")


def twin_of(connection: sa.Connection) -> Connection | None:
    """A session of ADBC's like that of `connection`: the same server, user, encryption and settings.

    ``None`` where there is none to be had; then ADBC is not the way to read.
    """
    if connection.dialect.driver not in ("psycopg", "psycopg2"):
        return None
    try:
        with ExitStack() as unless_kept:
            twin: Connection = unless_kept.enter_context(dbapi.connect(_address_of(connection)))
            with twin.cursor() as cursor:
                cursor.execute(_SESSION)
                if cursor.fetchall() == [tuple(row) for row in connection.execute(sa.text(_SESSION))]:
                    unless_kept.pop_all()
                    return twin
    except Error:
        pass
    return None


def _address_of(connection: sa.Connection) -> str:
    """How `connection` was really made, whatever its engine's URL says, in the words of libpq."""
    info = connection.connection.dbapi_connection.info  # type: ignore[union-attr]  # both psycopgs have it
    known = info.dsn_parameters if connection.dialect.driver == "psycopg2" else info.get_parameters()
    parameters = known | {"password": info.password or ""}
    quoted = {name: value.replace("\\", r"\\").replace("'", r"\'") for name, value in parameters.items()}
    return " ".join(f"{name}='{value}'" for name, value in quoted.items())


def copied(session: Connection, query: TypedQuery, *, place: str) -> Iterator[pa.Table]:
    """The rows of `query`, batch by batch as the server sends them.

    :param place: What is read, and over which connection.
    :raises SourceUnavailableError: The server broke off.
    :raises SourceError: The server refuses the query, or fails on what it asks for.
    """
    # Values that are sent apart from the query would rule COPY out.
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy's
    text = str(query.statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    try:
        with session.cursor() as cursor:
            cursor.execute(text)
            stream = cursor.fetch_arrow()
            # The cursor's own batches lose the SQLSTATE of what fails half-way.
            for batch in AdbcRecordBatchReader._import_from_c(stream.address):
                columns = [_as_type(*pair) for pair in zip(batch.columns, query.schema.types, strict=True)]
                yield pa.Table.from_arrays(columns, schema=query.schema)
        return
    except Error as error:
        failure = _translated(error, place)
    # Outside the handler: the driver's message quotes values and must not be this error's context either.
    raise failure


def _as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as the query's schema has it; ADBC gives numbers of any scale as text of a type of its own."""
    return (column.storage if isinstance(column, pa.ExtensionArray) else column).cast(kind)


def _translated(error: Error, place: str) -> SourceError | SourceUnavailableError:
    state = error.sqlstate or ""
    return refused(place, error) if state and not state.startswith(_PASSING) else broke_off(place, error)
