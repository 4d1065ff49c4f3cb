"""PostgreSQL: the same rows and types through COPY and through both psycopgs, and what a broken session leaves."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import Audience, SqlSource
from liveramp_provider.core.errors import SourceError, SourceUnavailableError
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.progress import step
from liveramp_provider.core.sources.sql import BATCH_ROWS, land_query
from tests.core.pipeline import DAY, audience, told, workspace
from tests.servers import PostgresServer, wait_until

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import Membership

CANARY = "canary@example.com"
PASSWORD = "open's\\sesame"  # with what libpq wants quoted
HOSTILE = r"x'; drop table vip; -- \' % :day é"
WAYS = ("copy", "psycopg", "psycopg2")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


class Way:
    """A way to read from the server: ADBC's COPY beside psycopg 2, or one of the psycopgs where there is no ADBC."""

    def __init__(self, name: str, server: PostgresServer, folder: Path) -> None:
        self.name, self._server, self._folder = name, server, folder

    def engine(self, **changes: Any) -> sa.Engine:
        driver = "psycopg2" if self.name == "copy" else self.name
        url = sa.make_url(self._server.url).set(drivername=f"postgresql+{driver}", **changes.pop("url", {}))
        return sa.create_engine(url, **changes)

    def table(self, query: str, *columns: str, engine: sa.Engine | None = None, audience: str = "vip") -> pa.Table:
        """What is in the Parquet file afterwards."""
        target = self._folder / f"{self.name}.parquet"
        engine = engine or self.engine()
        try:
            land_query(
                SqlSource(conn_id="warehouse", query=query, current=False),
                engine,
                parameters={"snapshot_date": DAY, "audience": audience},
                columns=columns,
                target=target,
                label="membership",
            )
        finally:
            engine.dispose()
        return pq.read_table(target)

    def cell(self, expression: str, **more: Any) -> object:
        return self.table(f"select {expression} as x", "x", **more)["x"][0].as_py()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    if request.param != "copy":
        without_adbc(monkeypatch)
    return Way(request.param, server, tmp_path)


def without_adbc(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its driver is not installed."""
    monkeypatch.delitem(sys.modules, "liveramp_provider.core.sources.adbc", raising=False)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)


@pytest.fixture
def database(server: PostgresServer) -> Iterator[sa.Connection]:
    """Another session, to make tables and to look at the server."""
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def is_copy(query: object) -> bool:
    return str(query).startswith("COPY (")


def test_copy_where_adbc_is_installed(way: Way) -> None:
    """Rows come by COPY where ADBC's driver is installed, and through SQLAlchemy where it is not."""
    assert is_copy(way.cell("current_query()")) == (way.name == "copy")


NOON = datetime(2026, 11, 20, 12, 30, 0, 250_000, UTC)
TEXTS = pa.list_(pa.string())
NUMBERS = pa.list_(pa.int64())
VALUES: dict[str, tuple[pa.DataType, list[object]]] = {
    "(true), (null), (false)": (pa.bool_(), [True, None, False]),
    "(1::int2), (null), (-32768)": (pa.int64(), [1, None, -32768]),
    "(1::int4), (null), (-2147483648)": (pa.int64(), [1, None, -(2**31)]),
    "(1::int8), (null), (9223372036854775807)": (pa.int64(), [1, None, 2**63 - 1]),
    "(0.1::float4), (null), (1e10)": (pa.float64(), [0.1, None, 1e10]),
    "(0.1::float8), (null), ('infinity')": (pa.float64(), [0.1, None, float("inf")]),
    "(12.5::numeric(12, 2)), (null::numeric(12, 2)), ('NaN'::numeric(12, 2))": (
        pa.decimal128(12, 2),
        [Decimal("12.50"), None, None],
    ),
    "(2::numeric(20, 15)), ((-1e-15)::numeric(20, 15))": (pa.decimal128(20, 15), [Decimal(2), Decimal("-1e-15")]),
    "(12.5::numeric), (1::numeric / 3), ('NaN')": (
        pa.decimal128(38, 18),
        [Decimal("12.5"), Decimal("0." + "3" * 18), None],
    ),
    "(7::numeric(60, 2)), (12345678901234567890)": (pa.decimal128(38, 18), [Decimal(7), Decimal(12345678901234567890)]),
    "(date '2026-11-20'), (null), ('infinity'), ('-infinity'), ('294276-01-01')": (
        pa.date32(),
        [DAY, None, date(9999, 12, 31), date(1, 1, 2), date(9999, 12, 31)],
    ),
    "(timestamp '2026-11-20 12:30:00.25'), (null), ('infinity'), ('0044-03-15 BC')": (
        pa.timestamp("us"),
        [NOON.replace(tzinfo=None), None, datetime(9999, 12, 31), datetime(1, 1, 2)],  # noqa: DTZ001
    ),
    "(timestamptz '2026-11-20 07:30:00.25-05'), (null), ('infinity')": (
        pa.timestamp("us", "UTC"),
        [NOON, None, datetime(9999, 12, 31, tzinfo=UTC)],
    ),
    "(time '10:30'), (null), ('24:00')": (pa.string(), ["10:30:00", None, "24:00:00"]),
    "('6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid), (null)": (
        pa.string(),
        ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", None],
    ),
    "('Zoë 北京 👋 '::text), (null), ('')": (pa.string(), ["Zoë 北京 👋 ", None, ""]),
    "('ab'::varchar(9)), (null), (' x ')": (pa.string(), ["ab", None, " x "]),
    "('ab'::char(5)), (null)": (pa.string(), ["ab", None]),
    """('{"b": 1.10,  "a": 0}'::json), (null)""": (pa.string(), ['{"b": 1.10,  "a": 0}', None]),
    """('{"b": 1.10,  "a": 0}'::jsonb), ('null')""": (pa.string(), ['{"a": 0, "b": 1.10}', "null"]),
    "(array['a', null, 'b,c']), (null), ('{}')": (TEXTS, [["a", None, "b,c"], None, []]),
    "(array['a', 'b']::varchar[]), ('{{a,b},{c,d}}')": (TEXTS, [["a", "b"], ["a", "b", "c", "d"]]),
    "(array[1, 2]::int4[]), (null), ('{{1,2},{3,4}}')": (NUMBERS, [[1, 2], None, [1, 2, 3, 4]]),
    "(array[1, null]::int8[]), ('{}')": (NUMBERS, [[1, None], []]),
    "(array[0.1]::float4[]), ('{1e10}')": (pa.list_(pa.float64()), [[0.1], [1e10]]),
    "(array[1.50]::numeric[]), (null)": (TEXTS, [["1.50"], None]),
    "(array['6ba7b810-9dad-11d1-80b4-00c04fd430c8']::uuid[])": (TEXTS, [["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]]),
    "(inet '10.0.0.1'), (null)": (pa.string(), ["10.0.0.1/32", None]),
    "('1234.5'::money), (null)": (pa.string(), ["$1,234.50", None]),
    "('a'::mood), (null)": (pa.string(), ["a", None]),
    "(array['a']::mood[]), (null)": (TEXTS, [["a"], None]),
    "(interval '1 day'), (null)": (pa.string(), ["1 day", None]),
    r"('\x61'::bytea), (null)": (pa.string(), [r"\x61", None]),
    "(null), (null)": (pa.string(), [None, None]),
}


@pytest.fixture(scope="module")
def mood(server: PostgresServer) -> None:
    """A type that only this database knows."""
    engine = sa.create_engine(server.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create type mood as enum ('a', 'b')")
    engine.dispose()


@pytest.mark.usefixtures("mood")
@pytest.mark.parametrize("cells", VALUES)
def test_values(way: Way, cells: str) -> None:
    """Whatever PostgreSQL keeps arrives in the same type and as the same value, whichever way it came."""
    kind, values = VALUES[cells]
    rows = cells.replace("::", r"\:\:").replace(":30", r"\:30").replace(":00", r"\:00").replace(": ", r"\: ")
    table = way.table(f"select x from (values {rows}) as t(x)", "x")
    assert table.schema == pa.schema([("x", kind)])
    assert table["x"].to_pylist() == values


@pytest.mark.parametrize(
    ("expression", "kind"),
    [("1", pa.int64()), ("1.50::numeric(9, 3)", pa.decimal128(9, 3)), ("array[1]", NUMBERS), ("null", pa.string())],
)
def test_no_rows(way: Way, expression: str, kind: pa.DataType) -> None:
    """A query that finds nobody gives its columns, of the types they have on other days."""
    table = way.table(f"select {expression.replace('::', chr(92) + ':' + chr(92) + ':')} as x where 1 = 0", "x")
    assert (table.schema, table.num_rows) == (pa.schema([("x", kind)]), 0)


MANY = 3 * BATCH_ROWS + 7
# By then several batches have left the server, also by COPY, whose batches are of so many bytes.
LATER, WIDE = 2 * BATCH_ROWS, "repeat('x', 300)"
LATE = f"case when i > {BATCH_ROWS} then"
MANY_ROWS = f"""
    select i, {LATE} i end as late, {LATE} i / 7.0 end as late_share, {LATE} array['é' || i, null] end as late_list,
        {LATE} date '2026-01-01' + i % 300 end as late_day, repeat(md5(cast(i as text)), 5) as wide
    from generate_series(1, {MANY}) as i
"""


def test_many_batches(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of many batches, the first without a value, come in the same types and just the same every way."""
    columns = ["i", "late", "late_share", "late_day", "late_list", "wide"]
    copied = Way("copy", server, tmp_path).table(MANY_ROWS, *columns)
    without_adbc(monkeypatch)
    for name in WAYS[1:]:
        assert Way(name, server, tmp_path).table(MANY_ROWS, *columns) == copied
    assert pq.ParquetFile(tmp_path / "copy.parquet").num_row_groups > 1
    assert copied.num_rows == MANY
    assert copied["late"].null_count == copied["late_list"].null_count == BATCH_ROWS
    assert copied.slice(MANY - 1).to_pylist()[0]["late_list"] == [f"é{MANY}", None]
    assert str(copied["late_share"][BATCH_ROWS].as_py()) == "7143.000000000000000000"


def test_rows_are_counted(way: Way) -> None:
    """Every row counts for the step around it."""
    with step("extract: reading membership") as reading:
        way.table(f"select i from generate_series(1, {MANY}) as i", "i")
    assert reading.done == MANY


def test_columns_are_found_by_name(way: Way) -> None:
    """Columns may stand anywhere in the query and be called anything; the others are not sent."""
    query = r"""select 1 as "a b", 'no' as unused, 2 as "$Mobile", 3 as "100%", 4 as "x\:y", 5 as "q""q", 1/1 as "É" """
    columns = ["É", 'q"q', "x:y", "100%", "$Mobile", "a b"]
    table = way.table(query, *columns)
    assert table.column_names == columns
    assert [column[0].as_py() for column in table.columns] == [1, 5, 4, 3, 2, 1]


def test_missing_and_repeated_columns(way: Way) -> None:
    """A column that is not there, or there twice, is an error before a row is read."""
    query = "select 1 as customer_id, 2 as email, 3 as email, pg_sleep(60)"
    with pytest.raises(SourceError, match=r"no column tier\. The source has: customer_id, email, email, pg_sleep"):
        way.table(query, "customer_id", "tier")
    with pytest.raises(SourceError, match="there are several columns email"):
        way.table(query, "email")
    with pytest.raises(SourceError, match="no column x"):
        way.table("select", "x")


def test_parameters(way: Way) -> None:
    """The day is a date and the audience a text, whatever is in it and however the server reads backslashes."""
    assert way.cell(r"pg_typeof(:snapshot_date)\:\:text || (:snapshot_date - 1)") == "date2026-11-19"
    assert way.cell("concat(:audience, '/', :audience)", audience=HOSTILE) == f"{HOSTILE}/{HOSTILE}"
    old_manners = way.engine(connect_args={"options": "-c standard_conforming_strings=off"})
    assert way.cell("concat(:audience, '')", audience=HOSTILE, engine=old_manners) == HOSTILE


@pytest.mark.parametrize(
    ("query", "cell"),
    [
        ("select 7 % 4 as x", 3),
        ("select 'a%b' like '%%b' and 'a%s' = 'a' || '%s' as x", True),
        (r"select '10\:30' as x", "10:30"),
        ("select cast('7' as int) as x", 7),
        ("select 1 as x;\n", 1),
        ("select 1 as x -- one", 1),
        ("/* ; */ with a as (select 1 as x) table a", 1),
        ("values (1)", 1),
        ("select x from generate_series(3, 1, -1) as x order by x limit 1", 1),
    ],
)
def test_queries(way: Way, query: str, cell: object) -> None:
    """A query may hold per cent signs, escaped colons, comments and a semicolon at its end."""
    column = "column1" if query.startswith("values") else "x"
    assert way.table(query, column)[column].to_pylist() == [cell]


REFUSED = {
    "no such table": "select id from nowhere",
    "bad syntax": "selekt 1 as x",
    "no rows to give": "create table t (x int)",
    "a bad value": f"select cast('{CANARY}' as int) as x",
    "a bad value half-way": f"select {WIDE} || case when i = {LATER} then cast('{CANARY}' || i as int) end as x "
    f"from generate_series(1, {MANY}) as i",
    "too many digits": "select 123456789012345678901234567890 as x",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_queries(way: Way, name: str) -> None:
    """What the server refuses, at once or half-way, stops for a person, and quotes nothing."""
    with pytest.raises(SourceError, match="membership: warehouse refused the query") as caught:
        way.table(REFUSED[name], "x")
    assert CANARY not in told(caught.value)


def test_a_query_that_takes_too_long(way: Way) -> None:
    """What the server gives up half-way is tried again."""
    query = f"select case when i = {LATER} then pg_sleep(60) end as x, {WIDE} as y from generate_series(1, {MANY}) as i"
    engine = way.engine(connect_args={"options": "-c statement_timeout=1000"})
    with pytest.raises(SourceUnavailableError, match="membership: warehouse failed"):
        way.table(query, "x", "y", engine=engine)


def test_no_server(way: Way) -> None:
    """A server that cannot be reached is tried again, and nobody reads the password."""
    engine = way.engine(url={"port": 1, "password": PASSWORD})
    with pytest.raises(SourceUnavailableError, match="membership: warehouse failed") as caught:
        way.table("select 1 as x", "x", engine=engine)
    assert PASSWORD not in told(caught.value)


@pytest.fixture
def reader(database: sa.Connection) -> Iterator[str]:
    """A user that has to say a password; there is a clerk as well, who may act as that user."""
    (hba,) = database.exec_driver_sql("show hba_file").one()
    rules = "host all reader all scram-sha-256\nhost all all all trust\nlocal all all trust\n"
    for statement in (
        f"create role reader login password '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
        "create schema crm",
        "create table crm.vip as select 'C1' as x",
        "grant usage on schema crm to reader",
        "grant select on crm.vip to reader",
        "create role clerk login in role reader",
    ):
        database.exec_driver_sql(statement)
    database.execute(sa.text(f"copy (select unnest(string_to_array(:rules, chr(10)))) to '{hba}'"), {"rules": rules})
    database.exec_driver_sql("select pg_reload_conf()")
    yield "reader"
    database.exec_driver_sql("drop schema crm cascade; drop role clerk, reader")


def test_session_is_the_same(way: Way, reader: str) -> None:
    """User, password, settings and application name reach the server, whether the URL has them or not."""
    options = {"password": PASSWORD, "options": "-c search_path=crm -c timezone=Asia/Tokyo", "application_name": "a'b"}
    engine = way.engine(url={"username": reader}, connect_args=options)
    told = "concat_ws(' ', current_user, current_setting('timezone'), current_setting('application_name'))"
    row = way.table(f"select x, {told} as told, current_query() as query from vip", "x", "told", "query", engine=engine)
    assert row["x"].to_pylist() == ["C1"]
    assert row["told"].to_pylist() == ["reader Asia/Tokyo a'b"]
    assert is_copy(row["query"][0]) == (way.name == "copy")


@pytest.mark.parametrize("setting", ["set role reader", "set search_path = crm", "set timezone = 'Asia/Tokyo'"])
def test_no_copy_where_the_session_would_be_another(way: Way, reader: str, setting: str) -> None:
    """Where whoever made the engine changes its sessions later, rows come through these sessions."""
    engine = way.engine(url={"username": "clerk"})

    @sa.event.listens_for(engine, "connect")
    def change(session: Any, _: object) -> None:
        session.cursor().execute(setting)
        session.commit()

    query = (
        "select current_query() as query, "
        "concat_ws(' ', current_user, current_setting('search_path'), current_setting('timezone')) as told"
    )
    row = way.table(query, "query", "told", engine=engine).to_pylist()[0]
    assert not is_copy(row["query"])
    assert setting.split()[-1].strip("'") in row["told"]


def test_half_a_day_is_not_sealed(way: Way, database: sa.Connection, tmp_path: Path) -> None:
    """A session that is cut while rows flow leaves nothing sealed and nothing lying about; the retry has all rows."""
    for statement in ("drop table if exists gate", "create table gate (shut int)", "insert into gate values (1)"):
        database.exec_driver_sql(statement)
    query = (
        f"select {WIDE} || i as customer_id from generate_series(1, {MANY}) as i "
        f"where i < {LATER} or not exists (select from gate) or pg_sleep(60) is not null"
    )
    source = SqlSource(conn_id="warehouse", query=query, current=False)
    made = audience(members=source, traits={}, traits_from=[], files=[])
    killer = threading.Thread(target=cut_the_sleeper, args=(database,))
    killer.start()
    with pytest.raises(SourceUnavailableError, match="membership: warehouse failed"):
        extracted(made, way, tmp_path)
    killer.join()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    database.exec_driver_sql("drop table gate; create table gate (shut int)")
    sealed = extracted(made, way, tmp_path)
    assert sealed.members == sealed.rows_read == MANY


def extracted(made: Audience, way: Way, folder: Path) -> Membership:
    return extract(made, DAY, workspace=workspace(folder, database=way.engine()))


def cut_the_sleeper(database: sa.Connection) -> None:
    asleep = "from pg_stat_activity where wait_event = 'PgSleep'"
    wait_until(lambda: database.exec_driver_sql(f"select count(*) {asleep}").scalar(), "the query to pause")
    database.exec_driver_sql(f"select pg_terminate_backend(pid) {asleep}")
