"""A day that its source has not written yet."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from liveramp_provider.testing.warehouse import make_warehouse

DAY = date(2026, 11, 20)
AUDIENCE = Path(__file__).parents[2] / "dags" / "audiences" / "high_value_customers.yaml"


def test_an_empty_day_is_not_sealed(tmp_path: Path) -> None:
    """A day without rows fails instead of being sealed as empty, and a rerun sees what was written meanwhile."""
    warehouse = tmp_path / "warehouse.db"
    make_warehouse(warehouse, day=DAY, customers=100)
    with sqlite3.connect(warehouse) as connection:
        late = connection.execute("select * from vip").fetchall()
        connection.execute("delete from vip")
    workspace = Workspace(
        staging=Staging(tmp_path / "staging"), connect=lambda _: sqlalchemy.create_engine(f"sqlite:///{warehouse}")
    )
    audience = load_audience(AUDIENCE)

    with pytest.raises(DataError, match="membership: the source has no rows of 2026-11-20; nothing was sealed"):
        extract(audience, DAY, workspace=workspace)
    with sqlite3.connect(warehouse) as connection:
        connection.executemany("insert into vip values (?, ?)", late)

    assert extract(audience, DAY, workspace=workspace).rows_read == len(late)
