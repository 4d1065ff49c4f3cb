"""Parquet and CSV files as sources: read as they stand, complete, and never quoted in an error."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import FilesSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.sources import Reader
from tests.core.pipeline import DAY, audience, run, told, workspace

CANARY = "canary@example.com"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with open_engine(EngineSettings(threads=1), tmp_path) as engine:
        yield Reader(
            engine=engine,
            connect=lambda _: sa.create_engine("sqlite://"),
            audience_id="vip",
            day=DAY,
            today=DAY + timedelta(days=1),
            scratch=tmp_path,
        )


def files(path: Path | str, **changes: Any) -> FilesSource:
    parts = {"format": "parquet" if str(path).endswith("parquet") else "csv", "current": False} | changes
    return FilesSource(path=str(path), **parts)


def rows_of(reader: Reader, source: FilesSource, *columns: str) -> list[tuple[Any, ...]]:
    table = reader.table(source, columns, label="traits source 1")
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


def test_csv_is_text(reader: Reader) -> None:
    """A CSV file is read as it stands: leading zeros, spaces and signs stay, and no line is taken for a comment."""
    content = '\ufeffid,zip,name\n#1,02134," Ann ""A"""\n007,1e5,"King, Jr."\n3,,null\n'
    (reader.scratch / "a.csv").write_text(content)
    assert rows_of(reader, files(reader.scratch / "a.csv"), "id", "zip", "name") == [
        ("#1", "02134", ' Ann "A"'),
        ("007", "1e5", "King, Jr."),
        ("3", None, "null"),
    ]


def test_line_breaks_in_csv_values(reader: Reader) -> None:
    """A quoted line break belongs to its value, also in a compressed file."""
    (reader.scratch / "a.csv.gz").write_bytes(gzip.compress(b'id,address\r\n1,"1 Elm\nApt 2"\r\n'))
    assert rows_of(reader, files(reader.scratch / "a.csv.gz"), "id", "address") == [("1", "1 Elm\nApt 2")]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_parts_of_one_day(reader: Reader, suffix: str) -> None:
    """All files of the day and no other are read, whatever the order of their columns."""
    for day, part, ids in (("2026-11-20", 1, ["1"]), ("2026-11-20", 2, ["2"]), ("2026-11-19", 1, ["3"])):
        folder = reader.scratch / f"ds={day}"
        folder.mkdir(exist_ok=True)
        cells = {"id": ids, "x": ["a"], "extra": ["b"]}
        table = pa.table({name: cells[name] for name in (("id", "x"), ("extra", "x", "id"))[part - 1]})
        if suffix == "csv":
            pa.csv.write_csv(table, folder / f"{part}.csv")
        else:
            pq.write_table(table, folder / f"{part}.parquet")
    source = files(f"{reader.scratch}/ds={{snapshot_date}}/*.{suffix}")
    assert rows_of(reader, source, "id", "x") == [("1", "a"), ("2", "a")]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_part_has_the_columns(reader: Reader, suffix: str) -> None:
    """A file that lacks a column is named; its rows are not lost among nulls."""
    for part, name in ((1, "id"), (2, "ID")):
        table = pa.table({name: ["1"], "x": ["a"]})
        path = reader.scratch / f"{part}.{suffix}"
        pa.csv.write_csv(table, path) if suffix == "csv" else pq.write_table(table, path)
    with pytest.raises(SourceError, match=rf"traits source 1: 2\.{suffix}: no column id. The source has: ID, x"):
        rows_of(reader, files(reader.scratch / f"*.{suffix}"), "id", "x")


def test_a_csv_without_header_shows_nobody(reader: Reader) -> None:
    """Where the first line may be a person, the error does not show it."""
    (reader.scratch / "a.csv").write_text(f"C1,{CANARY}\nC2,bob@example.com\n")
    with pytest.raises(SourceError, match="none of the 2 fields of its first line is id, email") as caught:
        rows_of(reader, files(reader.scratch / "a.csv"), "id", "email")
    assert CANARY not in told(caught.value)


SPOILT = {
    "longer row": ("a.csv", f"id,x\n1,a\n2,{CANARY},b\n".encode()),
    "shorter row": ("a.csv", f"id,x\n{CANARY}\n".encode()),
    "long row late": ("a.csv", b"id,x\n" + b"1,a\n" * 30_000 + f"2,{CANARY},b\n".encode()),
    "open quote": ("a.csv", f'id,x\n1,"{CANARY}\n'.encode()),
    "not utf-8": ("a.csv", f"id,x\n1,{CANARY}\xe9\n".encode("latin-1")),
    "header not utf-8": ("a.csv", b"id,\xe9\n1,a\n"),
    "empty": ("a.csv", b""),
    "cut gzip": ("a.csv.gz", gzip.compress(f"id,x\n1,{CANARY}\n".encode() * 9_000)[:-20]),
    "no gzip": ("a.csv.gz", f"id,x\n1,{CANARY}\n".encode()),
    "no parquet": ("a.parquet", f"id,x\n1,{CANARY}\n".encode()),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_file(tmp_path: Path, name: str) -> None:
    """A file that is not what it should be stops for a person, and its content is not quoted."""
    file, content = SPOILT[name]
    (tmp_path / file).write_bytes(content)
    source = files(tmp_path / file)
    made = audience(members=source, traits={"x": "x"}, traits_from=source, files=[], key="id")
    with pytest.raises(SourceError) as caught:
        run(made, workspace(tmp_path / "staging"))
    assert "canary" not in told(caught.value)


def stumble(folder: Path, *, stream: bool) -> None:
    with open_engine(EngineSettings(threads=1), folder) as engine:
        cell = f"case when i = 9999 then '{CANARY}' else '1' end"
        engine.raw_sql(f"create table t as select {cell} as x from range(10000) r(i)")
        table = engine.table("t").select(n=engine.table("t").x.cast("int64"))
        batches = engine.to_pyarrow_batches(table, chunk_size=100) if stream else [engine.to_pyarrow(table)]
        assert list(batches)


@pytest.mark.parametrize("stream", [False, True])
def test_engine_errors_quote_nothing(tmp_path: Path, stream: bool) -> None:
    """A value that the engine stumbles over appears nowhere in our error, nor in what it came from."""
    with pytest.raises(DataError) as caught:
        stumble(tmp_path, stream=stream)
    assert "canary" not in told(caught.value)


def test_our_own_mistakes_are_shown(tmp_path: Path) -> None:
    """A fault in our own SQL and a full disk are no faults of the data and stay what they are."""
    for error in (FileNotFoundError(2, "gone"), DataError("ours")):
        with pytest.raises(type(error)) as caught, open_engine(EngineSettings(), tmp_path):
            raise error
        assert caught.value is error


def test_out_of_memory_says_so(tmp_path: Path) -> None:
    """Too little memory is told apart from bad data, with the way out."""
    settings = EngineSettings(threads=1, memory_limit="20MB")
    with pytest.raises(DataError, match=r"ran out of its 20MB\. Raise"), open_engine(settings, tmp_path) as engine:
        engine.raw_sql("select list(i) from range(30000000) r(i)").fetchall()


def test_moments_do_not_depend_on_the_worker(tmp_path: Path) -> None:
    """A point in time is written in UTC wherever the worker stands."""
    program = (
        "import sys; from pathlib import Path\n"
        "from liveramp_provider.core.engine import EngineSettings, open_engine\n"
        "with open_engine(EngineSettings(), Path(sys.argv[1])) as engine:\n"
        "    print(engine.raw_sql(\"select '2026-11-20 23:30:00+00'::timestamptz::text\").fetchall())"
    )
    environment = {**os.environ, "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[('2026-11-20 23:30:00+00',)]"
