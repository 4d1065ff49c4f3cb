"""Parquet, CSV and JSON Lines files as sources: read as they stand, complete, and never quoted in an error."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import FilesSource, SegmentEventsSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.sources import Reader
from liveramp_provider.core.sources.files import found_files
from tests.core.pipeline import DAY, audience, run, told, workspace

CANARY = "canary@example.com"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with open_engine(EngineSettings(threads=1), tmp_path) as engine:
        yield Reader(
            engine=engine,
            connect=lambda _: sa.create_engine("sqlite://"),
            s3=lambda _: 1 / 0,
            audience_id="vip",
            day=DAY,
            today=DAY + timedelta(days=1),
            day_end=datetime(2026, 11, 21, 5, tzinfo=UTC),
            scratch=tmp_path,
        )


def files(path: Path | str, **changes: Any) -> FilesSource:
    kind = next(kind for kind in ("parquet", "csv", "jsonl") if f".{kind}" in str(path))
    return FilesSource(path=str(path), **{"format": kind, "current": False} | changes)


def rows_of(reader: Reader, source: FilesSource, *columns: str) -> list[tuple[Any, ...]]:
    table = reader.table(source, columns, label="traits source 1")
    return sorted((tuple(row.values()) for row in table.to_pyarrow().to_pylist()), key=str)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file of the kind that its name says; values are text."""
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    lines = [json.dumps(row) for row in rows]
    if ".csv" in path.name:
        lines = [",".join(f'"{cell}"' for cell in cells) for cells in (rows[0], *(row.values() for row in rows))]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


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


KINDS = ["a.parquet", "a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz"]


@pytest.mark.parametrize("file", KINDS)
def test_names_with_punctuation(reader: Reader, file: str) -> None:
    """A column may be called as Segment and mParticle call theirs, in every kind of file."""
    cells = {"$Mobile": "1", "a.b": "2", "it's": "3", "two words": "4", "select": "5", "größe": "6", "id": "007"}
    source = files(write(reader.scratch / file, [cells]))
    assert rows_of(reader, source, *cells) == [tuple(cells.values())]


@pytest.mark.parametrize("file", KINDS)
def test_folders_are_no_columns(reader: Reader, file: str) -> None:
    """A folder called like a column does not take the place of what the file says."""
    folder = reader.scratch / "id=42"
    folder.mkdir()
    write(folder / file, [{"id": "007"}])
    assert rows_of(reader, files(folder / file), "id") == [("007",)]


@pytest.mark.parametrize("file", KINDS)
def test_names_that_look_like_wild_cards(reader: Reader, file: str) -> None:
    """A file is read once, whatever its name would match."""
    for number, name in enumerate((f"x*{file}", f"x1{file}", f"x[1]{file}")):
        write(reader.scratch / name, [{"id": str(number)}])
    assert rows_of(reader, files(f"{reader.scratch}/x*{file}"), "id") == [("0",), ("1",), ("2",)]


def test_folders_at_any_depth(reader: Reader) -> None:
    """With `**`, however often, every file below is read once, and no file is taken for a folder."""
    for folder in ("", "a", "a/b", ".h"):
        (reader.scratch / "d" / folder).mkdir(parents=True, exist_ok=True)
        write(reader.scratch / "d" / folder / "x.csv", [{"id": folder or "top"}])
    assert rows_of(reader, files(f"{reader.scratch}/d/**/**/x.csv"), "id") == [("a",), ("a/b",), ("top",)]
    with pytest.raises(SourceError, match="no file matches"):
        rows_of(reader, files(f"{reader.scratch}/d/*/x.csv/**"), "id")


@pytest.mark.parametrize("file", KINDS)
def test_columns_that_differ_in_capitals_only(reader: Reader, file: str) -> None:
    """The engine would mistake one for the other."""
    source = files(write(reader.scratch / file, [{"id": "1", "ID": "2", "x": "3"}]))
    with pytest.raises(SourceError, match="columns id, ID differ in capitals only"):
        rows_of(reader, source, "id", "ID")


def jsonl(reader: Reader, content: str) -> FilesSource:
    (reader.scratch / "a.jsonl").write_text(content)
    return files(reader.scratch / "a.jsonl")


WRITTEN = {
    '"02134"': "02134",
    '"1.50"': "1.50",
    '" Ann \\"A\\" \\ud83d\\ude00"': ' Ann "A" \U0001f600',
    '""': "",
    "7": "7",
    "-7": "-7",
    "7.0": "7",
    "1.50": "1.5",
    "-0.0": "0",
    "1E5": "100000",
    "1e22": "10000000000000000000000",
    "12345678901234567890123456789": "12345678901234567890123456789",
    "true": "true",
    "null": None,
    '{"b": [1, "x"]}': '{"b":[1,"x"]}',
}


@pytest.mark.parametrize("last", [[], ['{"a": ["1", 2.0, null, true]}']], ids=["text", "lists"])
def test_json_values(reader: Reader, last: list[str]) -> None:
    """A value is text as a person would write it; in a column with a list, however late, it is a list of one."""
    lines = [f'{{"n": {number}, "a": {written}}}' for number, written in enumerate(WRITTEN)]
    source = jsonl(reader, "\n".join([*lines, '{"n": 99}', *last]))
    table = reader.table(source, ["a"], label="traits source 1")
    found = table.to_pyarrow()["a"].to_pylist()
    texts = [*WRITTEN.values(), None]
    assert found == (
        [None if text is None else [text] for text in texts] + [["1", "2", None, "true"]] if last else texts
    )


def test_a_field_that_comes_late(reader: Reader) -> None:
    """A field is found in whichever line it stands, and is null in the others; others do not matter."""
    lines = ['{"id": "1", "id2": {"x": 1, "x": 2}}\n'] * 60_000
    rows = rows_of(
        reader, jsonl(reader, "".join([*lines, "\n", '{"email": "a@example.com", "id": 2}\n'])), "id", "email"
    )
    assert (len(rows), rows[0], rows[-1]) == (60_001, ("1", None), ("2", "a@example.com"))


def test_fields_that_no_line_has(reader: Reader) -> None:
    """Names of which none is there are more likely wrong than empty."""
    told = "none of 2 lines has a value for Id, mail. Correct the names in the audience file."
    with pytest.raises(SourceError, match=told):
        rows_of(reader, jsonl(reader, '{"id": "1"}\n{"id": "2", "mail": null}\n'), "Id", "mail")


@pytest.mark.parametrize(
    ("file", "content"), [("a.jsonl", b""), ("a.jsonl.gz", gzip.compress(b"", mtime=0)), ("a.csv", b"id\n")]
)
def test_a_file_without_rows(reader: Reader, file: str, content: bytes) -> None:
    """An empty file has no rows, and is no fault beside others."""
    (reader.scratch / file).write_bytes(content)
    assert rows_of(reader, files(reader.scratch / file), "id") == []


def test_the_file_with_a_broken_line_is_named(reader: Reader) -> None:
    """Of many files, the error says which one is not what it should be."""
    for number in range(3):
        broken = '{"id"' if number == 1 else "{}"
        (reader.scratch / f"{number}.jsonl").write_text(f'{{"id": "1"}}\n{broken}\n')
    with pytest.raises(
        SourceError, match=r"traits source 1: 1\.jsonl: a line is no JSON object, or has a field twice\."
    ):
        rows_of(reader, files(reader.scratch / "*.jsonl"), "id")


def days(reader: Reader, path: str, *numbers: int) -> str:
    """A path below which there are files of these days of November."""
    for number in numbers:
        file = reader.scratch / path.format(snapshot_date=f"2026-11-{number:02d}").replace("*", "1")
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, [{"id": "1"}])
    return f"{reader.scratch}/{path}"


LACKING = {
    "one": ("ds={snapshot_date}/*.csv", [3], r"The days there are: 2026-11-03\. Check"),
    "seven": ("{snapshot_date}.csv", range(1, 8), r"2026-11-07, 2026-11-06, .*2026-11-01\. Check"),
    "more": (
        "{snapshot_date}.csv",
        [*range(1, 10), 21],
        r": 2026-11-21, 2026-11-09, .*, 2026-11-04 and 3 more\. Check",
    ),
    "none": ("ds={snapshot_date}/*.csv", [], r"/ds=2026-11-20/\*\.csv, nor is there any other day\. Check the path\."),
    "twice": (
        "{snapshot_date}/{snapshot_date}.csv",
        [3],
        r"2026-11-03\. Its 2 places of the day must hold the same day",
    ),
    "braces": ("{{{snapshot_date}}}.csv", [3], r"\{2026-11-20\}\.csv\. The days there are: 2026-11-03\. Check"),
    "no day": ("vip.csv", [], r"vip\.csv\. Check the path, or whether 2026-11-20 has been written yet\."),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_missing_day_lists_the_days_there_are(reader: Reader, name: str) -> None:
    """Newest first and not too many; where nothing is there at all, the path is in doubt."""
    path, numbers, told = LACKING[name]
    source = files(days(reader, path, *numbers))
    (reader.scratch / "2026-11-30.txt").touch()
    (reader.scratch / "2026-11-18.csv").mkdir()
    with pytest.raises(SourceError, match=rf"traits source 1: no file matches .*{told}"):
        rows_of(reader, source, "id")


def test_events_of_any_name(reader: Reader) -> None:
    """Segment's logs are found whatever they are called, without folders and what is hidden; a torso is refused."""
    (reader.scratch / "1.gz").write_bytes(gzip.compress(b"{}\n" * 999))
    (reader.scratch / ".hidden").write_text("{}")
    (reader.scratch / "log").mkdir()
    source = SegmentEventsSource(path=f"{reader.scratch}/**")
    wanted = {"day": DAY, "scratch": reader.scratch, "s3": reader.s3, "label": "membership"}
    assert found_files(source, **wanted).paths == (f"{reader.scratch}/1.gz",)
    (reader.scratch / "log" / "2.gz").write_bytes(gzip.compress(b"{}\n" * 999)[:-9])
    with pytest.raises(SourceError, match=r"membership: 2\.gz cannot be read"):
        found_files(source, **wanted)


SPOILT = {
    "longer row": ("a.csv", f"id,x\n1,a\n2,{CANARY},b\n".encode()),
    "shorter row": ("a.csv", f"id,x\n{CANARY}\n".encode()),
    "long row late": ("a.csv", b"id,x\n" + b"1,a\n" * 30_000 + f"2,{CANARY},b\n".encode()),
    "open quote": ("a.csv", f'id,x\n1,"{CANARY}\n'.encode()),
    "not utf-8": ("a.csv", f"id,x\n1,{CANARY}\xe9\n".encode("latin-1")),
    "header not utf-8": ("a.csv", b"id,\xe9\n1,a\n"),
    "empty": ("a.csv", b""),
    "cut gzip": ("a.csv.gz", gzip.compress(f"id,x\n1,{CANARY}\n".encode() * 9_000)[:-20]),
    # A kind of block that there is not.
    "spoilt gzip": ("a.csv.gz", gzip.compress(b"id,x\n1,a\n")[:10] + b"\x07" * 20),
    "no gzip": ("a.csv.gz", f"id,x\n1,{CANARY}\n".encode()),
    "broken line": ("a.jsonl", f'{{"id": "1", "x": "a"}}\n{{"id": "{CANARY}"\n'.encode()),
    "broken line late": ("a.jsonl", b'{"id": "1"}\n' * 300_000 + f'{{"id": "{CANARY}"'.encode()),
    "no object": ("a.jsonl", f'{{"id": "1"}}\n"{CANARY}"\n'.encode()),
    "array of objects": ("a.jsonl", f'[{{"id": "1"}}, {{"id": "{CANARY}"}}]\n'.encode()),
    "field twice": ("a.jsonl", f'{{"id": "1", "id": "{CANARY}"}}\n'.encode()),
    "json not utf-8": ("a.jsonl", f'{{"id": "{CANARY}\xe9"}}\n'.encode("latin-1")),
    "cut json": ("a.jsonl.gz", gzip.compress(f'{{"id": "{CANARY}"}}\n'.encode() * 9_000)[:-20]),
    "no json": ("a.jsonl.gz", b""),
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
