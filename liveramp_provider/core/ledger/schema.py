"""A ledger's schema, brought up to date when the ledger is opened: by one worker, while others wait."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import sqlalchemy as sa

from liveramp_provider.core.errors import ConnectionConfigError, LedgerError
from liveramp_provider.core.ledger import migrations
from liveramp_provider.core.ledger.records import SCHEMA_VERSION

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

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
    with engine.connect() as connection:
        if _version_of(connection) == SCHEMA_VERSION:
            return
    with _ONE_IN_THIS_PROCESS, engine.begin() as connection:
        connection.exec_driver_sql(_BEGIN_ALONE[engine.dialect.name])
        version = _version_of(connection)
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"the ledger's schema is {version}, and this version of the package knows {SCHEMA_VERSION} only. "
                "Install on this machine the version that the others have. Nothing is sent without the ledger."
            )
        if version < SCHEMA_VERSION:
            migrations.upgrade(connection)


def _version_of(connection: Connection) -> str:
    """Empty where there is none yet."""
    if not sa.inspect(connection).has_table(_version.name):
        return ""
    return connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none() or ""
