"""What is said of a step while it runs, and of its time when it is done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from liveramp_provider.core import progress
from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.ledger import Ledger
from liveramp_provider.core.progress import count, duration, pace, rate, step
from liveramp_provider.core.sources.sql import land_query
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import DAY, run
from tests.deliveries import PausedFile, sealed_file, way_to
from tests.servers import OpenSshServer

AUDIENCE = Path(__file__).parents[2] / "dags" / "audiences" / "high_value_customers.yaml"

Heard = Callable[[str], list[str]]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """A step speaks every millisecond; waits for a line with those words, and returns all lines so far."""
    monkeypatch.setattr(progress, "INTERVAL_S", 0.001)
    lines: list[str] = []
    spoken = threading.Condition()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with spoken:
                lines.append(record.getMessage())
                spoken.notify_all()

    def wait_for(words: str) -> list[str]:
        with spoken:
            assert spoken.wait_for(lambda: any(words in line for line in lines), timeout=30), f"nobody said {words!r}"
            return list(lines)

    ear = Ear()
    monkeypatch.setattr(progress.log, "handlers", [ear])
    monkeypatch.setattr(progress.log, "level", logging.INFO)
    return wait_for


def tellers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_says_how_long_where_nothing_can_be_counted(heard: Heard) -> None:
    """A long call that counts nothing still shows that it is at work, and for how long."""
    with step("enrich: joining"):
        lines = heard("enrich: joining")
    assert lines[0].endswith(" s")


def test_says_how_many(heard: Heard) -> None:
    """What is counted is said as it grows."""
    with step("extract: reading membership") as reading:
        reading.add(600_000)
        heard(" s, 600,000 rows, ")
        reading.add(600_000)
        heard(" s, 1,200,000 rows, ")


def test_says_how_much_of_it(heard: Heard) -> None:
    """Where the end is known, so is the share."""
    with step("deliver: uploading a.csv", unit="bytes", total=4_000_000) as upload:
        heard(" s, 0 of 4,000,000 bytes (0%)")
        upload.add(1_000_000)
        heard(" s, 1,000,000 of 4,000,000 bytes (25%)")


def test_says_how_fast(heard: Heard) -> None:
    """Once there is time to divide by, the rate is said."""
    with step("build: writing a.csv") as writing:
        writing.add(1_000)
        heard(" rows/s")


def test_a_short_step_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What is over before anybody wonders leaves no line."""
    caplog.set_level(logging.INFO)
    with step("build: writing a.csv", total=3) as writing:
        writing.add(3)
    assert caplog.messages == []
    assert progress.INTERVAL_S == 10


def test_falls_silent_with_the_step(heard: Heard) -> None:
    """When a step ends, well or in an error, nobody speaks of it any more."""
    with step("first"):
        assert len(tellers()) == 1
    assert tellers() == []
    with pytest.raises(InterruptedError), step("second"):  # noqa: PT012 - the error has to come from within the step
        heard("second")
        raise InterruptedError
    assert tellers() == []


def test_counts_go_to_the_innermost_step() -> None:
    """Who counts without knowing the stage counts for the step that is under way, if there is one."""
    count(1)
    with step("outer") as outer:
        count(10)
        with step("inner") as inner:
            count(100)
        count(1_000)
    assert (outer.done, inner.done) == (1_010, 100)


def test_rows_of_a_query_are_counted(tmp_path: Path) -> None:
    """Reading SQL rows counts every row for the step around it."""
    query = "with recursive n(id) as (select 1 union all select id + 1 from n where id < 120000) select id from n"
    with step("extract: reading membership") as reading:
        land_query(
            SqlSource(conn_id="warehouse", query=query, current=True),
            sa.create_engine("sqlite://"),
            parameters={"snapshot_date": DAY, "audience": "vip"},
            columns=["id"],
            target=tmp_path / "rows.parquet",
            label="membership",
        )
    assert reading.done == 120_000


def test_stages_tell_what_they_do(heard: Heard, tmp_path: Path) -> None:
    """From the first query to the last sealed byte, every long step says which file or source it is at."""
    make_warehouse(tmp_path / "warehouse.db", day=DAY, customers=3_000)
    slow_queries = iter(
        ["extract: reading membership: ", "enrich: reading traits source 1: ", "enrich: reading traits source 2: "]
    )

    def connect(_: str) -> sa.Engine:
        heard(next(slow_queries))
        return sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db")

    audience = load_audience(AUDIENCE)
    sealed = run(audience, Workspace(staging=Staging(tmp_path / "staging"), connect=connect), DAY)

    assert next(slow_queries, None) is None
    for file in sealed.values():
        heard(f"build: writing {file.name}: ")
        heard(f" s, {file.rows:,} of {file.rows:,} rows (100%)")
    heard("extract: putting keys in order, each once: ")
    heard("enrich: joining traits to members, in order of the key: ")
    heard(f"build: working out the rows of {sealed['PII'].name}: ")


def test_an_upload_tells_how_far_it_is(heard: Heard, tmp_path: Path) -> None:
    """While the bytes flow, the share that is sent is said under the file's name."""
    file = sealed_file(tmp_path / "sealed", b"0123456789" * 10)
    with OpenSshServer(tmp_path / "sshd") as server:
        (server.root / "drop").mkdir()
        claim = Ledger.in_file(tmp_path / "ledger.sqlite").claim(file, folder=str(server.root / "drop"), holder="test")
        with ThreadPoolExecutor() as pool, PausedFile(tmp_path / "paused", file.path.read_bytes()) as paused:
            sending = pool.submit(way_to(server).send, paused.path, claim)
            lines = heard(" s, 0 of 100 bytes (0%)")
            paused.flow()
            sending.result()
    assert lines[0].startswith(f"deliver: uploading {file.name}: ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 0.1 s"),
        (0.099, "under 0.1 s"),
        (0.1, "0.1 s"),
        (1.94, "1.9 s"),
        (9.49, "9.5 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3_599.6, "1 h"),
        (5_400, "1 h 30 min"),
        (21_600, "6 h"),
        (129_600, "36 h"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    """Times are said in the largest units that fit."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("done", "seconds", "unit", "words"),
    [
        (10_044, 1.9, "rows", "5,300 rows/s"),
        (1_200_000, 20, "rows", "60,000 rows/s"),
        (7, 2, "rows", "3.5 rows/s"),
        (1, 300, "rows", "0.0033 rows/s"),
        (559_033, 0.3, "bytes", "1.9 MB/s"),
        (97_300_000, 1, "bytes", "97 MB/s"),
        (70_000, 1, "bytes", "70 kB/s"),
        (30, 1, "bytes", "30 bytes/s"),
        (0, 1, "bytes", "0 bytes/s"),
    ],
)
def test_rate(done: int, seconds: float, unit: progress.Unit, words: str) -> None:
    """Rates have the two digits that count, and bytes their usual multiples."""
    assert rate(done, seconds, unit) == words


@pytest.mark.parametrize(
    ("seconds", "done", "words"),
    [(1.9, 10_044, "1.9 s, 5,300 rows/s"), (0.05, 10_044, "under 0.1 s"), (3, 0, "3.0 s")],
)
def test_pace(seconds: float, done: int, words: str) -> None:
    """A finished stage says its time, and a rate where that means something."""
    assert pace(seconds, done) == words
