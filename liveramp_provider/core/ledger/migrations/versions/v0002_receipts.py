"""Receipts in a chain, revisions with their reasons, and three tables to which lines are only ever added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ONLY_ADDED_TO = ("liveramp_receipts", "liveramp_resolutions", "liveramp_revisions")
_REFUSAL = "lines are only ever added to the audit of deliveries"


def upgrade() -> None:
    """Add what a delivery says of its revision and opt-outs, and the tables of the audit."""
    op.add_column("liveramp_deliveries", sa.Column("revision", sa.Integer, nullable=False, server_default="1"))
    op.add_column(
        "liveramp_deliveries", sa.Column("suppression_sha256", sa.String(64), nullable=False, server_default="")
    )
    _create_receipts()
    op.create_table(
        "liveramp_revisions",
        sa.Column("delivery_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("who", sa.String(800), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    _refuse_changes()


def _create_receipts() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "liveramp_receipts",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("delivery_id", sa.String(64), nullable=False, unique=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("audience", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(32), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(800), nullable=False),
        sa.Column("send_attempts", sa.Integer, nullable=False),
        sa.Column("folder", sa.String(250), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("members", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("csv_sha256", sa.String(64), nullable=False),
        sa.Column("header_sha256", sa.String(64), nullable=False),
        sa.Column("suppression_sha256", sa.String(64), nullable=False),
        sa.Column("recipient", sa.String(40), nullable=False),
        sa.Column("host_key", sa.String(100), nullable=False),
        sa.Column("evidence", sa.String(2), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("committed_at", moment, nullable=False),
        sa.Column("previous_sha256", sa.String(64), nullable=False),
        sa.Column("receipt_sha256", sa.String(64), nullable=False),
    )


def _refuse_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in _ONLY_ADDED_TO:
            for change in ("update", "delete"):
                op.execute(
                    f"create trigger {table}_no_{change} before {change} on {table} "
                    f"begin select raise(abort, '{_REFUSAL}'); end"
                )
        return
    op.execute(
        "create function liveramp_only_added_to() returns trigger language plpgsql "
        f"as $$ begin raise exception '{_REFUSAL}'; end $$"
    )
    for table in _ONLY_ADDED_TO:
        op.execute(
            f"create trigger {table}_no_change before update or delete or truncate on {table} "
            "for each statement execute function liveramp_only_added_to()"
        )
