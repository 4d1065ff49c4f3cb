"""The ledger as a file: private, wherever it lies, and never made of something else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import ConnectionConfigError, LedgerError
from liveramp_provider.core.ledger import Ledger, State
from tests.core.test_ledger import claimed
from tests.deliveries import sealed_file


def test_private_file(tmp_path: Path) -> None:
    """The ledger's file and a folder made for it are its owner's alone."""
    path = tmp_path / "state" / "ledger.sqlite"
    Ledger.in_file(path)
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_folders_are_made(tmp_path: Path) -> None:
    """Every folder on the way to a ledger is made when it is missing."""
    path = tmp_path / "not" / "here" / "yet" / "ledger.sqlite"
    Ledger.in_file(path)
    assert path.stat().st_size > 0


def test_no_file_stays_open(tmp_path: Path) -> None:
    """Between two operations the ledger's file is closed, so that a worker that forks shares no open SQLite file."""
    path = tmp_path / "ledger.sqlite"
    claimed(Ledger.in_file(path), sealed_file(tmp_path / "sealed"), State.SEALED)
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in opened


def test_strange_path(tmp_path: Path) -> None:
    """A path with characters that mean something in a URL is that very file."""
    path = tmp_path / "a?b#c%20d" / "ledger.sqlite"
    claimed(Ledger.in_file(path), sealed_file(tmp_path / "sealed"), State.SEALED)
    assert path.stat().st_size > 0


def test_file_that_is_no_ledger(tmp_path: Path) -> None:
    """Something else under the ledger's name is an error and stays as it is."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database at all, but longer than a header" * 100)
    with pytest.raises(LedgerError, match=r"not a database.*Nothing is sent without it"):
        Ledger.in_file(path)
    assert path.read_bytes().startswith(b"no database")


def test_place_that_cannot_be(tmp_path: Path) -> None:
    """A path that no file can have is named in the error."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"file/ledger\.sqlite cannot be opened"):
        Ledger.in_file(tmp_path / "file" / "ledger.sqlite")


def test_any_engine_of_sqlite(tmp_path: Path) -> None:
    """A ledger lives in whatever SQLite engine it is given, such as that of an Airflow connection."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/other.sqlite")
    assert (
        claimed(Ledger.at(engine), sealed_file(tmp_path / "sealed"), State.COMMITTED).delivery.state is State.COMMITTED
    )
    engine.dispose()


def test_other_databases_are_refused() -> None:
    """A database for whose locks nobody vouches holds no ledger, and is not even asked."""
    engine = sa.create_engine("duckdb:///:memory:")
    with pytest.raises(ConnectionConfigError, match=r"^a ledger lives in PostgreSQL or SQLite, not in duckdb\.$"):
        Ledger(engine)
