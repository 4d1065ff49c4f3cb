"""DuckDB and SQLite as warehouses: files that anybody can query, through their SQLAlchemy dialects."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.errors import SourceError
from liveramp_provider.core.sources.sql import BATCH_ROWS, land_query
from tests.core.pipeline import DAY, audience, csv_of, email_column, pii_file, run, told, workspace

CANARY = "canary@example.com"
DIALECTS = ("duckdb", "sqlite")


def table(engine: sa.Engine, folder: Path, query: str, *columns: str) -> pa.Table:
    """What is in the Parquet file afterwards."""
    target = folder / "rows.parquet"
    try:
        land_query(
            SqlSource(conn_id="warehouse", query=query, current=False),
            engine,
            parameters={"snapshot_date": DAY, "audience": "vip"},
            columns=columns,
            target=target,
            label="membership",
        )
    finally:
        engine.dispose()
    return pq.read_table(target)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_day_of_an_audience(dialect: str, tmp_path: Path) -> None:
    """From a query with the day and the audience to the file that is sent, from a database in a file."""
    url = f"{dialect}:///{tmp_path}/warehouse.{dialect}"
    rows = [("a", "2026-11-20", "vip"), ("b", "2026-11-19", "vip"), ("c", "2026-11-20", "other"), ("d", DAY, "vip")]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table members (id varchar, snapshot_date date, audience varchar)")
        for id, day, name in rows:
            connection.exec_driver_sql(f"insert into members values ('{id}', '{day}', '{name}')")
    engine.dispose()
    source = SqlSource(
        conn_id="warehouse",
        query="select id, id || '@example.com' as email from members "
        "where snapshot_date = :snapshot_date and audience = :audience",
        current=False,
    )
    made = audience(
        members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())], key="id"
    )
    sealed = run(made, workspace(tmp_path / "stages", database=sa.create_engine(url)))["PII"]
    assert csv_of(sealed).decode().splitlines()[1:] == ['"a","a@example.com"', '"d","d@example.com"']


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # duckdb-engine's
def test_values_of_duckdb(tmp_path: Path) -> None:
    """DuckDB's types arrive as Arrow's, lists among them."""
    query = r"""
        select * from (values
            (1, 1.50, date '2026-11-20', timestamptz '2026-11-20 07\:30\:00-05', 'Zoë 北京', ['a', null], [1, 2]),
            (null, null, null, null, null, null, null)
        ) as t("$id", amount, day, moment, text, texts, numbers)
    """
    columns = ["$id", "amount", "day", "moment", "text", "texts", "numbers"]
    landed = table(sa.create_engine("duckdb://"), tmp_path, query, *columns)
    noon = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    assert landed.to_pylist() == [
        dict(zip(columns, (1, Decimal("1.5"), DAY, noon, "Zoë 北京", ["a", None], [1, 2]), strict=True)),
        dict.fromkeys(columns),
    ]
    types = dict(zip(columns, landed.schema.types, strict=True))
    assert (types["$id"], types["amount"], types["day"]) == (pa.int64(), pa.decimal128(38, 9), pa.date32())
    assert (types["texts"], types["numbers"]) == (pa.list_(pa.string()), pa.list_(pa.int64()))


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("duckdb", f"select i from range({3 * BATCH_ROWS}) as r(i)"),
        (
            "sqlite",
            f"with recursive n(i) as (select 0 union all select i + 1 from n where i < {3 * BATCH_ROWS - 1}) "
            "select i from n",
        ),
    ],
)
def test_many_batches(dialect: str, query: str, tmp_path: Path) -> None:
    """All rows of all batches arrive, in the order of the query."""
    landed = table(sa.create_engine(f"{dialect}://"), tmp_path, query, "i")
    assert landed["i"].to_pylist() == list(range(3 * BATCH_ROWS))
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups > 3  # written as they came, and not at the end


@pytest.mark.parametrize("query", ["select x from nowhere", "selekt 1", f"select cast('{CANARY}' as int) as x"])
def test_what_duckdb_refuses(query: str, tmp_path: Path) -> None:
    """What DuckDB refuses stops for a person, and quotes nothing."""
    with pytest.raises(SourceError, match="membership: warehouse refused the query") as caught:
        table(sa.create_engine("duckdb://"), tmp_path, query, "x")
    assert CANARY not in told(caught.value)
