"""How a ledger's schema came about, step by step, for SQLite and PostgreSQL alike; run by Alembic when one is opened.

A step that is released never changes, and only ever adds: workers of the version before may still be at work.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Not Alembic's usual name: the database may have other tenants that use Alembic.
VERSION_TABLE = "liveramp_schema_version"


def upgrade(connection: sa.Connection) -> None:
    """Run every step that the ledger has not seen yet, within the connection's transaction."""
    # Alembic reports each step, even its own import; a task's log should hold what a person asks.
    logging.getLogger("alembic").setLevel(logging.WARNING)

    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(Path(__file__).parent))
    options = {"version_table": VERSION_TABLE, "fn": lambda revision, _: steps._upgrade_revs("head", revision)}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()
