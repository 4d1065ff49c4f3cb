"""A ledger's database: its schema, brought up to date by one worker while others wait, and for how long they do."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.errors import ConnectionConfigError, LedgerError
from liveramp_provider.core.ledger import migrations
from liveramp_provider.core.ledger.records import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

#: How long a worker waits for what another holds, which may have been frozen with it.
LOCK_TIMEOUT_S = 60
#: How long it waits for PostgreSQL to answer, and to acknowledge what was sent; a connection's own settings count more.
_NETWORK = {"connect_timeout": 30, "tcp_user_timeout": 60_000}
_LIBPQ = ("psycopg", "psycopg2")

# What makes all others wait that want to change the schema, until the end of the transaction.
_BEGIN_ALONE = {
    "sqlite": "begin immediate",
    "postgresql": "select pg_advisory_xact_lock(7205759403792794)",
}
# Alembic keeps what it is working on in the process, not in the thread.
_ONE_IN_THIS_PROCESS = Lock()

_version = sa.table(migrations.VERSION_TABLE, sa.column("version_num"))


def bring_up_to_date(engine: Engine) -> None:
    """Leave the ledger's tables as this version of the package needs them; nothing in them is lost.

    :raises ConnectionConfigError: It is another kind of database.
    :raises LedgerError: A newer version of the package has been at work there.
    """
    if engine.dialect.name not in _BEGIN_ALONE:
        raise ConnectionConfigError(f"a ledger lives in PostgreSQL or SQLite, not in {engine.dialect.name}.")
    if engine.driver in _LIBPQ:
        sa.event.listen(engine, "do_connect", _limit_waits)
    with engine.connect() as connection:
        if _version_of(connection) == SCHEMA_VERSION:
            return
    with _ONE_IN_THIS_PROCESS, transaction(engine) as connection:
        connection.exec_driver_sql(_BEGIN_ALONE[engine.dialect.name])
        version = _version_of(connection)
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"the ledger's schema is {version}, and this version of the package knows {SCHEMA_VERSION} only. "
                "Install on this machine the version that the others have. Nothing is sent without the ledger."
            )
        if version < SCHEMA_VERSION:
            migrations.upgrade(connection)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection within a transaction, which does not wait for ever for what others hold."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
        yield connection


def _limit_waits(_dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> None:
    for name, value in _NETWORK.items():
        parameters.setdefault(name, value)


def _version_of(connection: Connection) -> str:
    """Empty where there is none yet."""
    if not sa.inspect(connection).has_table(_version.name):
        return ""
    return connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none() or ""
