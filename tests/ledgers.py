"""Where the tests keep a ledger: in an SQLite file, or in a real PostgreSQL; each promise holds in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.ledger import Ledger

if TYPE_CHECKING:
    from liveramp_provider.core.ledger import LedgerAt


@dataclass(frozen=True)
class LedgerDatabase:
    """An empty place for one ledger.

    :param place: An SQLite file, which is not made yet, or the URL of an empty schema in PostgreSQL.
    """

    place: Path | str

    @property
    def at(self) -> LedgerAt:
        return self.place if isinstance(self.place, Path) else sa.create_engine(self.url, poolclass=sa.NullPool)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.place}" if isinstance(self.place, Path) else self.place

    @property
    def dialect(self) -> str:
        return "sqlite" if isinstance(self.place, Path) else "postgresql"

    def open(self) -> Ledger:
        """The ledger, opened as every worker opens it: with an engine of its own."""
        return Ledger.at(self.at)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """What somebody sees, or does, who goes to the database by hand."""
        with sa.create_engine(self.url, poolclass=sa.NullPool).begin() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def lose(self, table: str) -> None:
        """Drop a table."""
        self.sql(f"drop table {table}")

    def missing(self, table: str) -> str:
        """What the driver says of a table that is not there."""
        return f"no such table: {table}" if self.dialect == "sqlite" else f'relation "{table}" does not exist'
