"""The ledger as something to look at, in SQLite and in PostgreSQL: it must be there, and stays as it is."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger import State, place_of, reading, recorded
from liveramp_provider.core.ledger.reading import reason_of
from tests.core.test_ledger import claimed
from tests.core.test_ledger_schema import of_the_version_before
from tests.deliveries import DAY, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ledgers import LedgerDatabase


def test_deliveries_by_day_audience_and_state(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """Newest day first; of one audience, day or state where one is asked for."""
    ledger = ledger_database.open()
    for audience, day, state in (("b", 19, State.COMMITTED), ("a", 20, State.UPLOADING), ("b", 20, State.COMMITTED)):
        claimed(ledger, sealed_file(tmp_path / "sealed", audience=audience, day=date(2026, 11, day)), state)

    def found(**wanted: object) -> list[tuple[str, int]]:
        return [(delivery.audience, delivery.day.day) for delivery in recorded(ledger_database.at, **wanted)]

    assert found() == [("a", 20), ("b", 20), ("b", 19)]
    assert found(audience="b", state=State.COMMITTED) == [("b", 20), ("b", 19)]
    assert found(day=date(2026, 11, 20), state=State.UPLOADING) == [("a", 20)]
    assert found(audience="c") == []


def test_where_it_is_and_what_is_wrong(tmp_path: Path) -> None:
    """A ledger is named by its path or by its server; a driver without words is named by its error."""
    assert place_of(tmp_path / "ledger.sqlite") == str(tmp_path / "ledger.sqlite")
    server = sa.create_engine("postgresql+psycopg2://ann:hunter2@db.example.com:5432/ledger?connect_timeout=3")
    assert place_of(server) == "postgresql+psycopg2://db.example.com:5432/ledger"
    silent = sa.exc.OperationalError("select 1", {}, Exception())
    assert (reason_of(silent), reason_of(sa.exc.NoSuchTableError("t"))) == ("OperationalError", "NoSuchTableError")


def test_it_can_write_nothing(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """The database itself refuses a change, by whatever way the connection came."""
    claimed(ledger_database.open(), sealed_file(tmp_path / "sealed"), State.SEALED)
    places = [ledger_database.at]
    if ledger_database.dialect == "sqlite":
        places.append(sa.create_engine(f"sqlite:///{ledger_database.place}"))
    for place in places:
        with pytest.raises(LedgerError, match="cannot be read"), reading(place) as connection:
            connection.execute(sa.text("update liveramp_deliveries set state = 'committed'"))
    assert ledger_database.sql("select state from liveramp_deliveries") == [("sealed",)]


def test_a_ledger_that_is_not_there_is_not_made(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """Looking makes neither a file nor a table; the error says where, without user or password."""
    with pytest.raises(LedgerError, match=r"the ledger .* cannot be read \(") as caught:
        recorded(ledger_database.at)
    assert "airflow@" not in str(caught.value)
    if ledger_database.dialect == "sqlite":
        assert list(tmp_path.iterdir()) == []
    else:
        assert ledger_database.sql("select 1 from pg_tables where schemaname = current_schema()") == []


def test_an_earlier_version_is_shown_as_it_is(tmp_path: Path) -> None:
    """A ledger that no task has opened since an upgrade is listed, and not a byte of it changes."""
    path = tmp_path / "ledger.sqlite"
    of_the_version_before(path)
    before = path.read_bytes()
    (delivery,) = recorded(path, day=DAY, state=State.COMMITTED)
    assert (delivery.state, delivery.revision, delivery.suppression_sha256) == (State.COMMITTED, 1, "")
    assert path.read_bytes() == before


def test_where_a_ledger_is() -> None:
    """For people: server and database, and nobody's name or password."""
    engine = sa.create_engine("postgresql+psycopg2://ann:hunter2@db.example.com:5433/ledger?sslpassword=hunter3")
    assert place_of(engine) == "postgresql+psycopg2://db.example.com:5433/ledger"
