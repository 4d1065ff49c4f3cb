"""Who had a delivery sent although a guard refused it; lines are only ever added, as in the rest of the audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TABLE = "liveramp_acceptances"
_REFUSAL = "lines are only ever added to the audit of deliveries"


def upgrade() -> None:
    """Add the table, and have the database refuse changes of its lines."""
    op.create_table(
        _TABLE,
        sa.Column("delivery_id", sa.String(64), primary_key=True),
        sa.Column("guard", sa.String(16), primary_key=True),
        sa.Column("who", sa.String(800), primary_key=True),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("update", "delete"):
            op.execute(
                f"create trigger {_TABLE}_no_{change} before {change} on {_TABLE} "
                f"begin select raise(abort, '{_REFUSAL}'); end"
            )
        return
    op.execute(
        f"create trigger {_TABLE}_no_change before update or delete or truncate on {_TABLE} "
        "for each statement execute function liveramp_only_added_to()"
    )
