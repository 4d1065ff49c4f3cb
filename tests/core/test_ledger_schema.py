"""The ledger's schema: brought up to date by whoever opens it first, without loss, by one of many, and in silence."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger import Ledger, Outcome, State, delivery_id, migrations, resolve, verified
from liveramp_provider.core.ledger.records import SCHEMA_VERSION, metadata
from tests.core.test_ledger import FOLDER, IDENTITY, claimed
from tests.deliveries import sealed_file
from tests.ledgers import LedgerDatabase

ROOT = Path(__file__).parents[2]

#: What SQLite itself says of a ledger that the package made before its schema had versions.
BEFORE_ALEMBIC = """
CREATE TABLE liveramp_deliveries (
    delivery_id VARCHAR(64) NOT NULL, destination VARCHAR(64) NOT NULL, audience VARCHAR(64) NOT NULL,
    slot VARCHAR(32) NOT NULL, day DATE NOT NULL, state VARCHAR(16) NOT NULL, epoch INTEGER NOT NULL,
    holder VARCHAR(500) NOT NULL, lease_until DATETIME NOT NULL, send_attempts INTEGER NOT NULL,
    folder VARCHAR(250) NOT NULL, name VARCHAR(300) NOT NULL, temp_path VARCHAR(300) NOT NULL, rows BIGINT NOT NULL,
    members BIGINT NOT NULL, size_bytes BIGINT NOT NULL, sha256 VARCHAR(64) NOT NULL, csv_sha256 VARCHAR(64) NOT NULL,
    header_sha256 VARCHAR(64) NOT NULL, recipient VARCHAR(40) NOT NULL, host_key VARCHAR(100) NOT NULL,
    evidence VARCHAR(2) NOT NULL, created_at DATETIME NOT NULL, updated_at DATETIME NOT NULL, committed_at DATETIME,
    PRIMARY KEY (delivery_id)
);
CREATE INDEX liveramp_deliveries_newest ON liveramp_deliveries (destination, audience, slot, day);
CREATE TABLE liveramp_health (
    audience VARCHAR(64) NOT NULL, day DATE NOT NULL, trouble VARCHAR(1000) NOT NULL, since DATE NOT NULL,
    PRIMARY KEY (audience)
);
INSERT INTO liveramp_health VALUES ('high_value', '2026-11-20', 'extract', '2026-11-19');
INSERT INTO liveramp_deliveries VALUES (
    '884801bfe77e43b6ee7b43714b6ae318507e60e8069c73b0033fd7ebb31fbbdc', 'liveramp', 'high_value', 'PII',
    '2026-11-20', 'committed', 3, 'dag/run/task', '1970-01-01 00:00:00.000000', 2, '/uploads/high_value',
    'old.csv', '/uploads/high_value/.upload.tmp', 30, 30, 12, 's', 'c', 'h', 'A', 'SHA256:key', 'E3',
    '2026-11-21 05:00:00.000001', '2026-11-21 05:01:00.000000', '2026-11-21 05:01:00.123456'
), (
    'ffff01bfe77e43b6ee7b43714b6ae318507e60e8069c73b0033fd7ebb31fbbdc', 'liveramp', 'high_value', 'D',
    '2026-11-20', 'in_doubt', 3, 'dag/run/task', '1970-01-01 00:00:00.000000', 2, '/uploads/high_value',
    'old-d.csv', '/uploads/high_value/.upload.tmp', 30, 30, 12, 's', 'c', 'h', 'A', 'SHA256:key', 'E3',
    '2026-11-21 05:00:00.000001', '2026-11-21 05:01:00.000000', NULL
);
"""
RESOLUTIONS = """
CREATE TABLE liveramp_resolutions (
    delivery_id VARCHAR(64) NOT NULL, outcome VARCHAR(16) NOT NULL, why VARCHAR(500) NOT NULL,
    who VARCHAR(100) NOT NULL, at DATETIME NOT NULL
);
INSERT INTO liveramp_resolutions VALUES ('8848', 'delivered', 'there', 'ann', '2026-11-21 06:00:00.000000');
"""


def of_the_version_before(path: Path, script: str = BEFORE_ALEMBIC) -> None:
    """A ledger with a committed delivery and one in doubt, as an earlier version left it."""
    with sqlite3.connect(path) as database:
        database.executescript(script)
    database.close()


def content(database: LedgerDatabase, columns: str, table: str) -> list[tuple[object, ...]]:
    return sorted(database.sql(f"select {columns} from {table}"))


@pytest.mark.parametrize("script", [BEFORE_ALEMBIC, BEFORE_ALEMBIC + RESOLUTIONS], ids=["without", "with resolutions"])
def test_a_ledger_without_versions_is_taken_over(tmp_path: Path, script: str) -> None:
    """Every row of it stays as it was; what was delivered is not sent again, and work goes on where it stood."""
    database = LedgerDatabase(tmp_path / "ledger.sqlite")
    of_the_version_before(tmp_path / "ledger.sqlite", script)
    tables = ["liveramp_deliveries", "liveramp_health", *(["liveramp_resolutions"] if script != BEFORE_ALEMBIC else [])]
    columns = {
        table: ", ".join(name for _, name, *_ in database.sql(f"pragma table_info({table})")) for table in tables
    }
    before = {table: content(database, columns[table], table) for table in tables}

    ledger = database.open()

    assert {table: content(database, columns[table], table) for table in tables} == before
    again = ledger.claim(sealed_file(tmp_path / "sealed"), folder=FOLDER, holder="new").delivery
    assert (again.state, again.name, again.revision, again.epoch) == (State.COMMITTED, "old.csv", 1, 3)
    resolve(ledger, "ffff01bf", Outcome.DELIVERED, why="there", who="ann")
    chain = verified(database.at)
    assert (chain.receipts, chain.without) == (1, 1)


def test_the_tables_are_those_of_the_code(ledger_database: LedgerDatabase) -> None:
    """A migrated ledger has every table, column and key that the code knows, and nothing else."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    ledger_database.open()
    engine = sa.create_engine(ledger_database.url)
    with engine.connect() as connection:
        options = {"version_table": migrations.VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()
    assert ledger_database.sql(f"select version_num from {migrations.VERSION_TABLE}") == [(SCHEMA_VERSION,)]


def test_the_version_of_the_code_is_the_last_step() -> None:
    """The tables are described as the newest migration leaves them, and there is one way to it."""
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [SCHEMA_VERSION]


def test_a_newer_schema_is_refused(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """A worker that was forgotten in an upgrade delivers nothing, and says what it lacks; the ledger stays as it is."""
    claimed(ledger_database.open(), sealed_file(tmp_path / "sealed"), State.SEALED)
    ledger_database.sql(f"update {migrations.VERSION_TABLE} set version_num = '9000'")
    way_out = r"Install on this machine the version that the others have\. Nothing is sent without the ledger\.$"
    told = rf"schema is 9000, .* package knows {SCHEMA_VERSION} only\. {way_out}"
    with pytest.raises(LedgerError, match=told):
        ledger_database.open()
    assert ledger_database.sql(f"select version_num from {migrations.VERSION_TABLE}") == [("9000",)]
    assert len(ledger_database.sql("select 1 from liveramp_deliveries")) == 1


def test_a_version_that_was_never_written(ledger_database: LedgerDatabase) -> None:
    """An empty table of versions is that of an empty ledger."""
    ledger_database.sql(f"create table {migrations.VERSION_TABLE} (version_num varchar(32) not null)")
    ledger_database.open()
    assert ledger_database.sql(f"select version_num from {migrations.VERSION_TABLE}") == [(SCHEMA_VERSION,)]


def test_another_tenants_versions_stay(ledger_database: LedgerDatabase) -> None:
    """A database in which somebody else uses Alembic, such as Airflow, keeps that version as it is."""
    ledger_database.sql("create table alembic_version (version_num varchar(32) not null)")
    ledger_database.sql("insert into alembic_version values ('theirs')")
    ledger_database.open()
    assert ledger_database.sql("select version_num from alembic_version") == [("theirs",)]


@pytest.mark.parametrize("workers", [2, 16])
def test_one_of_many_migrates(workers: int, tmp_path: Path) -> None:
    """Of many workers that open an old ledger at once, one brings it up to date and none fails."""
    path, barrier = tmp_path / "ledger.sqlite", Barrier(workers)
    of_the_version_before(path)

    def find(_: int) -> bool:
        barrier.wait()
        return Ledger.in_file(path).find(delivery_id(**IDENTITY)) is not None

    with ThreadPoolExecutor(workers) as pool:
        assert list(pool.map(find, range(workers))) == [True] * workers


def test_one_process_of_many_migrates(ledger_database: LedgerDatabase) -> None:
    """Workers in processes of their own, which share no lock but the database's, do not get in each other's way."""
    code = (
        "import sys, pathlib, sqlalchemy as sa\n"
        "from liveramp_provider.core.ledger import Ledger\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "Ledger(sa.create_engine(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, ledger_database.url]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    ended = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate()
        ended.append((worker.returncode, errors))
    assert ended == [(0, b"")] * 4
    ledger_database.open()


def test_nothing_is_said(ledger_database: LedgerDatabase) -> None:
    """Where a task's log is kept, making a ledger adds not a word to it; opening it again loads no Alembic."""
    code = (
        "import logging, sys, sqlalchemy as sa; logging.basicConfig(level=logging.INFO)\n"
        "from liveramp_provider.core.ledger import Ledger\n"
        "Ledger(sa.create_engine(sys.argv[1]))\n"
        "print('alembic' in sys.modules)\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, ledger_database.url], cwd=ROOT, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [(done.stdout, done.stderr) for done in said] == [("True\n", ""), ("False\n", "")]


@pytest.mark.parametrize(("asked", "expected"), [("", 30), ("?connect_timeout=7", 7)], ids=["unsaid", "said"])
def test_no_wait_for_a_server_is_endless(asked: str, expected: int) -> None:
    """Libpq is told how long to wait, unless the connection says it; nothing of its own is changed."""
    engine = sa.create_engine(f"postgresql+psycopg2://ann:hunter2@127.0.0.1:1/ledger{asked}")
    told: list[dict[str, object]] = []
    sa.event.listen(engine, "do_connect", lambda *event: told.append(event[-1]))
    with pytest.raises(LedgerError, match="does not answer"):
        Ledger(engine)
    (parameters,) = told
    assert (int(str(parameters["connect_timeout"])), parameters["tcp_user_timeout"]) == (expected, 60_000)
    assert set(parameters) == {"host", "dbname", "user", "password", "port", "connect_timeout", "tcp_user_timeout"}


def test_half_a_step_is_none(ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies within a migration leaves the ledger as it was, and the next one does it all."""
    whole = migrations.upgrade

    def dies(connection: sa.Connection) -> None:
        whole(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "upgrade", dies)
    with pytest.raises(KeyboardInterrupt):
        ledger_database.open()
    monkeypatch.undo()
    engine = sa.create_engine(ledger_database.url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    ledger_database.open()
    assert verified(ledger_database.at).receipts == 0
