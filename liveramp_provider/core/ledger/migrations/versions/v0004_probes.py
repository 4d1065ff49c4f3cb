"""What servers were found to let us do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "liveramp_probes",
        sa.Column("conn_id", sa.String(200), primary_key=True),
        sa.Column("folder", sa.String(250), primary_key=True),
        sa.Column("server", sa.String(300), nullable=False),
        sa.Column("renames", sa.Boolean, nullable=False),
        sa.Column("tells_sizes", sa.Boolean, nullable=False),
        sa.Column("removes", sa.Boolean, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
