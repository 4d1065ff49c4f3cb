"""Deliveries, the health of audiences, and resolutions: what a ledger held before its schema had versions.

A ledger of that time has some or all of these tables, so only what is missing is made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables that are missing."""
    _create_deliveries()
    op.create_table(
        "liveramp_health",
        sa.Column("audience", sa.String(64), primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
        sa.Column("since", sa.Date, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "liveramp_resolutions",
        sa.Column("delivery_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("who", sa.String(100), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        if_not_exists=True,
    )


def _create_deliveries() -> None:
    op.create_table(
        "liveramp_deliveries",
        sa.Column("delivery_id", sa.String(64), primary_key=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("audience", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(32), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(800), nullable=False),
        sa.Column("lease_until", _MOMENT, nullable=False),
        sa.Column("send_attempts", sa.Integer, nullable=False),
        sa.Column("folder", sa.String(250), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("temp_path", sa.String(1024), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("members", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("csv_sha256", sa.String(64), nullable=False),
        sa.Column("header_sha256", sa.String(64), nullable=False),
        sa.Column("recipient", sa.String(40), nullable=False),
        sa.Column("host_key", sa.String(100), nullable=False),
        sa.Column("evidence", sa.String(2), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("committed_at", _MOMENT, nullable=True),
        if_not_exists=True,
    )
    op.create_index(
        "liveramp_deliveries_newest",
        "liveramp_deliveries",
        ["destination", "audience", "slot", "day"],
        if_not_exists=True,
    )
