"""Who had a delivery sent although a guard refused it, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from liveramp_provider.core.ledger.records import UtcDateTime, metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from liveramp_provider.core.ledger.records import Delivery

#: Only ever added to; the database refuses anything else.
acceptances = sa.Table(
    "liveramp_acceptances",
    metadata,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("guard", sa.String(16), primary_key=True),
    sa.Column("who", sa.String(800), primary_key=True),
    sa.Column("why", sa.String(500), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)


def write_acceptances(connection: sa.Connection, held: Delivery, guards: Iterable[str], *, why: str) -> None:
    """Add a line for each of `guards`, unless the holder has said so before: a retry says nothing new."""
    said = sa.select(acceptances.c.guard).where(
        acceptances.c.delivery_id == held.delivery_id, acceptances.c.who == held.holder
    )
    known = set(connection.execute(said).scalars())
    for guard in guards:
        if guard not in known:
            line = {"delivery_id": held.delivery_id, "guard": guard, "who": held.holder, "why": why}
            connection.execute(sa.insert(acceptances).values(line | {"at": datetime.now(UTC)}))
