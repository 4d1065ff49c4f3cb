"""Sources: bound parameters, types, faults that name no values, and the day that every source must know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError
from liveramp_provider.core.identifiers import as_text
from liveramp_provider.core.sources import Reader
from liveramp_provider.core.sources import sql as sql_module
from liveramp_provider.core.sources.cells import tables_of
from tests.core.pipeline import (
    DAY,
    account,
    audience,
    csv_of,
    device_files,
    email_column,
    expected,
    expected_account,
    parquet,
    pii_file,
    run,
    told,
    trait_column,
    workspace,
)

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend
    from mypy_boto3_s3 import S3Client

CANARY = "canary@example.com"
DAY_END = datetime(2026, 11, 21, 5, tzinfo=UTC)


class Warehouse:
    """A reader of sources as of a day, and the SQLite database behind its connections."""

    def __init__(self, reader: Reader, engine: sa.Engine) -> None:
        self.reader, self.engine = reader, engine

    def rows(self, query: str, *columns: str) -> list[tuple[Any, ...]]:
        source = SqlSource(conn_id="warehouse", query=query, current=False)
        table = self.reader.table(source, columns, label="membership")
        table = table.select(*(as_text(table[column]).name(column) for column in table.columns))
        return [tuple(row.values()) for row in table.to_pyarrow().to_pylist()]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with open_engine(EngineSettings(threads=1), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
def warehouse(tmp_path: Path, backend: Backend) -> Iterator[Warehouse]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'w.db'}")
    yield Warehouse(reader_of(backend, tmp_path, engine), engine)
    engine.dispose()


def reader_of(backend: Any, folder: Path, engine: sa.Engine, **changes: Any) -> Reader:
    parts = {"audience_id": "vip", "day": DAY, "today": DAY + timedelta(days=1), "day_end": DAY_END} | changes
    return Reader(engine=backend, connect=lambda _: engine, s3=no_s3, scratch=folder, **parts)


def no_s3(conn_id: str) -> S3Client:
    raise NotImplementedError(conn_id)


def test_parameters_are_bound(warehouse: Warehouse, tmp_path: Path) -> None:
    """A day and an audience id reach the warehouse as values, whatever is in them."""
    hostile = "x'; drop table vip; --"
    with warehouse.engine.begin() as connection:
        connection.exec_driver_sql("create table vip (id text, audience text, snapshot_date text)")
        for row in (("1", hostile, "2026-11-20"), ("2", "x", "2026-11-20"), ("3", hostile, "2026-11-19")):
            connection.exec_driver_sql("insert into vip values (?, ?, ?)", row)
    warehouse.reader = reader_of(warehouse.reader.engine, tmp_path, warehouse.engine, audience_id=hostile)
    query = "select id from vip where audience = :audience and snapshot_date = :snapshot_date"
    assert warehouse.rows(query, "id") == [("1",)]
    assert warehouse.rows("select count(*) as n from vip", "n") == [("3",)]


def test_unknown_column_lists_the_columns(warehouse: Warehouse) -> None:
    """Who names a column that the query does not give learns which ones it gives."""
    with pytest.raises(SourceError, match=r"no column customer, tier\. The source has: customer_id, email\."):
        warehouse.rows("select 1 as customer_id, 2 as email", "customer", "email", "tier")


def test_repeated_column(warehouse: Warehouse) -> None:
    """A column that a query gives twice is not guessed at."""
    with pytest.raises(SourceError, match="membership: there are several columns id"):
        warehouse.rows("select 1 as id, 2 as id", "id")


def test_a_column_may_be_asked_for_twice(warehouse: Warehouse) -> None:
    """The key may be a trait as well."""
    assert warehouse.rows("select 1 as id, 2 as x", "id", "x", "id") == [("1", "2")]


def test_no_rows(warehouse: Warehouse) -> None:
    """A query that finds nobody gives its columns and no rows."""
    assert warehouse.rows("select 1 as id where 1 = 0", "id") == []


@pytest.mark.parametrize("batch_rows", [1, 50_000])
@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ("(1), (null), (30)", ["1", None, "30"]),
        ("(null), (null), (30)", [None, None, "30"]),
        ("(1.0), (2.5), (null)", ["1", "2.5", None]),
        ("(null), (2.0), (-0.0)", [None, "2", "0"]),
        ("(null), (1e16), (0.25)", [None, "10000000000000000", "0.25"]),
        ("('02134'), (null), (' a ')", ["02134", None, " a "]),
        ("(null), (null), (null)", [None, None, None]),
        ("('a'), (null), (7)", ["a", None, "7"]),
        ("('a'), (1.0), (2.50)", ["a", "1", "2.5"]),
    ],
)
def test_types(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, cells: str, texts: list, batch_rows: int) -> None:
    """Numbers and texts come out as people write them, however late in the result the first one stands."""
    monkeypatch.setattr(sql_module, "BATCH_ROWS", batch_rows)
    rows = warehouse.rows(f"with t(x) as (values {cells}) select x from t", "x")
    assert [row[0] for row in rows] == texts


PLAIN = {
    "2026-11-20": date(2026, 11, 20),
    "2026-11-20 10:30:00": datetime(2026, 11, 20, 10, 30),  # noqa: DTZ001 - as a driver gives it
    "true": True,
    "12.5": Decimal("12.50"),
    "1000": Decimal("1E+3"),
    "0.0000000000012": Decimal("1.2E-12"),
    "123456789012345678901234567890123": Decimal("123456789012345678901234567890123"),
    "0.1": 0.1,
    "1180591620717411303424": 2**70,
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8": UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
}


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("first", [[], [None], ["a"]], ids=["alone", "after nothing", "after text"])
def test_plain_values(text: str, first: list[object], backend: Backend, tmp_path: Path) -> None:
    """A value of a driver has the same text whether its column began with it, with nothing, or with text."""
    assert landed(backend, tmp_path, *first, PLAIN[text])[-1] == text


@pytest.mark.parametrize(
    "cells",
    [
        (1, "canary"),
        (1, 2.5),
        (1, Decimal("2.5")),
        (date(2026, 1, 1), "canary"),
        (None, ["canary"]),
        ({"a": "canary"},),
        (b"canary",),
        (1, True),
        (True, 1),
        (date(2026, 1, 1), datetime(2026, 1, 1, 10)),  # noqa: DTZ001
        (1.5, True),
        (1, date(2026, 1, 1)),
        ("\ud800",),
        (["canary"], "canary"),
        ([1], ["canary"]),
        ([{"a": "canary"}],),
    ],
)
def test_mixed_kinds(backend: Backend, tmp_path: Path, cells: tuple[object, ...]) -> None:
    """A column that changes its kind, or holds what has no plain text, is named, and none of its values is."""
    with pytest.raises(DataError, match="membership: column x holds values of different kinds") as caught:
        landed(backend, tmp_path, *cells)
    assert "canary" not in told(caught.value)


def landed(backend: Backend, folder: Path, *cells: object) -> list[str | None]:
    """The texts of a column of these cells, each a batch of its own, after they went through a file."""
    target = folder / "landed.parquet"
    tables = tables_of([[(cell,)] for cell in cells], ["x"], types=(), label="membership")
    pq.write_table(pa.concat_tables(tables), target)
    table = backend.read_parquet(target)
    return backend.to_pyarrow(table.select(x=as_text(table.x)))["x"].to_pylist()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([["a", None, "b"], None, []], pa.string()),
        ([[], ["a"], [7]], pa.string()),
        ([[1, 2], [None], [3]], pa.int64()),
        ([[0.5], [1]], pa.float64()),
        ([[date(2026, 1, 1)]], pa.date32()),
        ([[None, "a"], ["b"]], pa.string()),
    ],
)
def test_lists(cells: list[list[object] | None], kind: pa.DataType) -> None:
    """Several values in one cell arrive as a list of one type, in their order; no list is not an empty list."""
    landed = pa.concat_tables(tables_of([[(cell,)] for cell in cells], ["x"], types=(), label="membership"))
    assert landed.schema.field("x").type == pa.list_(kind)
    texts = [[str(item) for item in cell] for cell in cells] if cells[-1] == [7] else cells
    assert landed["x"].to_pylist() == texts


BREAKING = {
    "no such table": ("select id from nowhere", SourceError),
    "no such column": ("select nothing as id", SourceError),
    "bad syntax": ("selekt 1 as id", SourceError),
    "no rows to give": ("create table t (id)", SourceError),
    "a parameter is missing": ("select :other as id", SourceError),
    "breaks half-way": (
        "with t(n) as (values (1), (2), (3), (4), (5)) select boom(n) as id from t",
        SourceUnavailableError,
    ),
    "quotes a value": (f"select cast(x'{b'canary@example.com'.hex()}ff' as text) as id", SourceUnavailableError),
}


def boom(number: int) -> int:
    if number > 3:
        raise ValueError(CANARY)
    return number


@pytest.mark.parametrize("name", BREAKING)
def test_a_broken_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What the warehouse refuses stops for a person, what it breaks off is tried again; nothing is quoted or kept."""
    query, kind = BREAKING[name]
    monkeypatch.setattr(sql_module, "BATCH_ROWS", 2)
    engine = sa.create_engine("sqlite://")
    sa.event.listen(engine, "connect", lambda connection, _: connection.create_function("boom", 1, boom))
    source = SqlSource(conn_id="warehouse", query=query, current=False)
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[], key="id")
    with pytest.raises(kind, match="membership: warehouse") as caught:
        run(made, workspace(tmp_path, database=engine))
    assert type(caught.value) is kind
    assert CANARY not in told(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_connection(tmp_path: Path) -> None:
    """A warehouse that cannot be reached is tried again."""
    missing = sa.create_engine(f"sqlite:///{tmp_path}/no/such/folder/w.db")
    source = SqlSource(conn_id="warehouse", query="select 1 as id where :snapshot_date > ''", current=False)
    with (
        open_engine(EngineSettings(), tmp_path) as backend,
        pytest.raises(SourceUnavailableError, match="tries it again"),
    ):
        reader_of(backend, tmp_path, missing).table(source, ["id"], label="membership")


def test_repeated_keys_in_traits(tmp_path: Path) -> None:
    """A source of traits with several rows for a key says how many, and only members count."""
    ids = ["1", "1", "2", " 2", "3", "9", "9"]
    traits = parquet(tmp_path / "t.parquet", {"customer_id": ids, "email": ["a@example.com"] * 7})
    members = parquet(tmp_path / "m.parquet", {"customer_id": ["1", "2", "3"]})
    made = audience(members=members, traits={"email": "email"}, traits_from=traits, files=[])
    with pytest.raises(DataError, match="traits source 1: 2 members have more than one row by customer_id"):
        run(made, workspace(tmp_path))


def test_members_without_traits_keep_their_place(tmp_path: Path) -> None:
    """Nobody disappears: a member that no source knows is counted among those without an identifier."""
    members = ["1", "2", "3", None, "null", " 1 "]
    people = {"1": {"email": "a@example.com"}, "9": {"email": "z@example.com"}}
    traits = parquet(tmp_path / "t.parquet", {"customer_id": list(people), "email": ["a@example.com", "z@example.com"]})
    source = parquet(tmp_path / "m.parquet", {"customer_id": members})
    made = audience(members=source, traits={"email": "email"}, traits_from=traits, files=[pii_file(email_column())])
    sealed = run(made, workspace(tmp_path))["PII"]
    assert account(sealed) == expected_account(expected(made, members, people)["PII"])
    assert (sealed.waterfall["members"], sealed.waterfall["no_identifier"], sealed.rows) == (3, 2, 1)


def test_traits_of_any_name(tmp_path: Path) -> None:
    """A trait may be called like anything the build uses inside, in both files."""
    names = ["kind", "device", "fault", "given", "rank", "reason", "self", "member_id_right", "rows", "engine", "count"]
    idfa = "AEBE52E7-03EE-455A-B3C4-E57283966239"
    cells = {
        "customer_id": ["1"],
        "email": ["a@example.com"],
        "idfa": [idfa],
        **{name: [f"my {name}"] for name in names},
    }
    source = parquet(tmp_path / "t.parquet", cells)
    columns = [trait_column(name) for name in names]
    made = audience(
        members=source,
        traits={name: name for name in ("email", "idfa", *names)},
        traits_from=source,
        files=[pii_file(email_column(), *columns), *device_files(*columns)],
    )
    written = run(without_gaid(made), workspace(tmp_path))
    cells_of = ",".join(f'"my {name}"' for name in names)
    assert csv_of(written["PII"]).splitlines()[1].decode() == f'"1","a@example.com",{cells_of}'
    assert csv_of(written["D"]).splitlines()[1].decode() == f'"{idfa}",{cells_of}'


def without_gaid(made: Any) -> Any:
    destination = made.destinations[0]
    device = replace(destination.files[1], identifiers=destination.files[1].identifiers[:1])
    return replace(made, destinations=(replace(destination, files=(destination.files[0], device)),))
