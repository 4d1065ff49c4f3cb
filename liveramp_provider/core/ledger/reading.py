"""The ledger as something to look at: it must be there, and stays as it is."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger.records import Delivery, State, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

#: Where a ledger is: an SQLite file, or the engine of any database that can hold one.
LedgerAt: TypeAlias = Path | sa.Engine


@contextmanager
def reading(ledger: LedgerAt) -> Iterator[sa.Connection]:
    """A connection that can write nothing to `ledger`.

    :raises LedgerError: The ledger is not there, or cannot be read.
    """
    try:
        with _read_only(ledger) as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise LedgerError(f"the ledger {place_of(ledger)} cannot be read ({reason_of(error)}).") from None


def recorded(
    ledger: LedgerAt, *, audience: str | None = None, day: date | None = None, state: State | None = None
) -> list[Delivery]:
    """The deliveries in `ledger`, newest day and last made first; of one audience, day or state where one is given.

    :raises LedgerError: The ledger is not there, or cannot be read.
    """
    columns = deliveries.c
    wanted = {columns.audience: audience, columns.day: day, columns.state: state}
    order = (columns.day.desc(), columns.audience, columns.destination, columns.slot, columns.created_at.desc())
    with reading(ledger) as connection:
        # A ledger of an earlier version has fewer columns until the next task opens it.
        known = {column["name"] for column in sa.inspect(connection).get_columns(deliveries.name)}
        statement = (
            sa.select(*(column for column in columns if column.name in known))
            .where(*(column == value for column, value in wanted.items() if value is not None))
            .order_by(*order)
        )
        return [Delivery.of_row(row) for row in connection.execute(statement).mappings()]


def of_file(connection: sa.Connection, *, destination: str, audience: str, slot: str) -> list[Delivery]:
    """Every delivery of one file, of whatever day."""
    columns = deliveries.c
    statement = sa.select(deliveries).where(
        columns.destination == destination, columns.audience == audience, columns.slot == slot
    )
    return [Delivery.of_row(row) for row in connection.execute(statement).mappings()]


def place_of(ledger: LedgerAt) -> str:
    """Where a ledger is, for people; no user and no password."""
    if isinstance(ledger, Path):
        return str(ledger)
    url = ledger.url
    return str(sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database))


def reason_of(error: sa.exc.SQLAlchemyError) -> str:
    """What the driver says, without the statement and its values, which it quotes from the second line on."""
    words = str(getattr(error, "orig", None) or "").splitlines()
    return words[0] if words else type(error).__name__


@contextmanager
def _read_only(ledger: LedgerAt) -> Iterator[sa.Connection]:
    if not isinstance(ledger, Path) and ledger.dialect.name == "sqlite":
        ledger = Path(ledger.url.database or "")
    if isinstance(ledger, Path):
        # A ledger that is opened the usual way is made when it is missing.
        address = f"{ledger.absolute().as_uri()}?mode=ro"
        engine = sa.create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            yield connection
        return
    with ledger.connect().execution_options(postgresql_readonly=True) as connection:
        yield connection
