"""The ledger as something to look at: it must be there, and stays as it is."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger.records import Delivery, State, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path


@contextmanager
def reading(ledger: Path) -> Iterator[sa.Connection]:
    """A connection that can write nothing to the SQLite file `ledger`.

    :raises LedgerError: The ledger is not there, or cannot be read.
    """
    # A ledger that is opened the usual way is made when it is missing.
    address = f"{ledger.absolute().as_uri()}?mode=ro"
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        # The driver's words, never the statement's values.
        reason = getattr(error, "orig", None) or type(error).__name__
        raise LedgerError(f"the ledger {ledger} cannot be read ({reason}).") from None


def recorded(
    ledger: Path, *, audience: str | None = None, day: date | None = None, state: State | None = None
) -> list[Delivery]:
    """The deliveries in `ledger`, newest day first; of one audience, day or state where one is given.

    :raises LedgerError: The ledger is not there, or cannot be read.
    """
    columns = deliveries.c
    wanted = {columns.audience: audience, columns.day: day, columns.state: state}
    statement = (
        sa.select(deliveries)
        .where(*(column == value for column, value in wanted.items() if value is not None))
        .order_by(columns.day.desc(), columns.audience, columns.destination, columns.slot)
    )
    with reading(ledger) as connection:
        return [Delivery.of_row(row) for row in connection.execute(statement).mappings()]
