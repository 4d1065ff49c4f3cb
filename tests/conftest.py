"""Shared by all tests: an Airflow of their own, set up before anything imports it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ledgers import LedgerDatabase
    from tests.servers import PostgresServer

AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="liveramp-airflow-"))

# Airflow reads its environment when it is imported, so this cannot wait for a fixture.
os.environ |= {
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(AIRFLOW_HOME / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME}/airflow.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(AIRFLOW_HOME / "logs"),
}


# How long an example takes says more of the machine than of the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end."""
    longest = ("running", "browser")
    items.sort(
        key=lambda item: longest.index(item.path.parent.name) if item.path.parent.name in longest else len(longest)
    )


@pytest.fixture(scope="session")
def ledger_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that the ledgers of all tests share; each has a schema of its own."""
    from tests.servers import PostgresServer

    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_database(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerDatabase:
    """An empty place for a ledger, once in each kind of database."""
    from tests.ledgers import LedgerDatabase

    if request.param == "sqlite":
        return LedgerDatabase(tmp_path / "ledger.sqlite")
    server: PostgresServer = request.getfixturevalue("ledger_server")
    return LedgerDatabase(server.new_schema(f"ledger_{uuid4().hex}"))


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Niue"])
def far_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker whose clock on the wall is 14 hours before, or 11 behind, UTC."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def pytest_sessionfinish() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)
