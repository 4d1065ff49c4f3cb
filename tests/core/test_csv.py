"""The bytes of a delivery file, and what its writer refuses."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveramp_provider.core.csv import ChunkReader, CsvWriter, gzipped
from liveramp_provider.core.destination import Layout, PiiFile, TraitColumn
from liveramp_provider.core.destinations.liveramp import REGIONS
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.splitting import parts_of_lines

CSV = Layout()


LINES = st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=30)


@given(lines=LINES, of_chunk=st.integers(1, 9), max_bytes=st.integers(1, 40))
def test_parts_of_lines(lines: list[bytes], of_chunk: int, max_bytes: int) -> None:
    """Parts are the lines in their order, none cut, none too large but for a single line, each as full as can be."""
    chunks = [b"".join(lines[at : at + of_chunk]) for at in range(0, len(lines), of_chunk)]
    parts = [(part, b"".join(part.chunks())) for part in parts_of_lines(chunks, max_bytes)]
    assert b"".join(content for _, content in parts) == b"".join(lines)
    for part, content in parts:
        assert content.endswith(b"\n")
        assert len(content) <= max_bytes or content.count(b"\n") == 1
        assert (part.rows, part.size_bytes) == (content.count(b"\n"), len(content))
        assert part.sha256 == hashlib.sha256(content).hexdigest()
    for (_, content), (_, following) in pairwise(parts):
        assert len(content) + following.index(b"\n") + 1 > max_bytes


def batch(*rows: tuple[str | None, ...]) -> pa.RecordBatch:
    columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{number}" for number in range(len(columns))])


def writer_of(header: tuple[str, ...] = ("CCID", "CITY"), layout: Layout = CSV) -> CsvWriter:
    """Of a file with these headers, the first of which is the key's."""
    columns = tuple(TraitColumn(header=name, trait=name.lower()) for name in header[1:])
    rules = replace(REGIONS["us"].files, layout=layout)
    return CsvWriter(PiiFile(slot="PII", key_header=header[0], columns=columns, rules=rules))


def written(*batches: pa.RecordBatch, header: tuple[str, ...] = ("CCID", "CITY"), layout: Layout = CSV) -> bytes:
    return b"".join(writer_of(header, layout).chunks(batches))


def test_every_field_is_quoted() -> None:
    """Header, text, number-like text and missing values all stand in quotes, and quotes inside are doubled."""
    rows = batch(("a", 'the "Oaks", 1'), ("b", None), ("c", ""), ("d", "02134"))
    assert written(rows) == b'"CCID","CITY"\n"a","the ""Oaks"", 1"\n"b",""\n"c",""\n"d","02134"\n'


@pytest.mark.parametrize("delimiter", [",", "|", "\t", ";"])
def test_another_delimiter(delimiter: str) -> None:
    """Header and rows are parted by it, and a value may hold it."""
    content = written(batch(("a", f"x{delimiter}y")), layout=Layout(delimiter=delimiter))
    assert content.decode() == f'"CCID"{delimiter}"CITY"\n"a"{delimiter}"x{delimiter}y"\n'


def test_a_bare_header() -> None:
    """Some receivers know files of which only the values are quoted, and nothing stands for one that is missing."""
    content = written(batch(("a", "x"), ("b", None), ("c", "")), layout=Layout(quoting="values"))
    assert content == b'CCID,CITY\n"a","x"\n"b",\n"c",""\n'


def test_no_quotes_at_all() -> None:
    """Values stand side by side as they are, quotes among them, and without a header if there is none."""
    layout = Layout(quoting="none", delimiter="|", header=False)
    assert written(batch(("a", 'x, "y"'), ("b", None)), layout=layout) == b'a|x, "y"\nb|\n'


@pytest.mark.parametrize("value", ["x|y", "x\ny"])
def test_a_value_that_would_need_quotes(value: str) -> None:
    """It cannot be told from two values, so nothing is sealed; the error does not say what it was."""
    with pytest.raises(DataError, match=r"^a value holds what parts values in this file; it was not sealed\.$"):
        written(batch(("a", value)), layout=Layout(quoting="none", delimiter="|"))


def test_a_single_column_needs_no_quotes() -> None:
    """Where nothing parts values within a line, a value may hold anything but the end of one."""
    layout = Layout(quoting="none", delimiter="|", header=False)
    rows = batch(("a", "X|Y"), ("b", "N"))
    assert written(rows, header=("", "CITY"), layout=layout) == b"X|Y\nN\n"
    with pytest.raises(DataError):
        written(batch(("a", "x\ny")), header=("", "CITY"), layout=layout)


def test_a_key_that_is_not_written() -> None:
    """The key of a file whose receiver knows none is checked, and stands neither in the header nor in a row."""
    header = ("", "CITY")
    assert written(batch(("a", "x"), ("b", "y")), header=header) == b'"CITY"\n"x"\n"y"\n'
    with pytest.raises(DataError, match="PII: keys are not unique and in order"):
        written(batch(("b", "x"), ("a", "y")), header=header)


def test_utf8_without_mark() -> None:
    """Names of all scripts are UTF-8, without a byte order mark, and lines end in LF alone."""
    content = written(batch(("é", "Łódź"), ("伟", "🌻")))
    assert content == '"CCID","CITY"\n"é","Łódź"\n"伟","🌻"\n'.encode()


cell = st.none() | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=8)


@settings(max_examples=40)
@given(st.lists(st.tuples(cell, cell), max_size=20), st.integers(1, 5))
def test_reads_back(cells: list[tuple[str | None, str | None]], size: int) -> None:
    """Whatever the cells and however they were batched, a CSV reader gets the same cells back, and nulls as empty."""
    rows = [(f"{number:03}", *pair) for number, pair in enumerate(cells)]
    batches = [batch(*rows[start : start + size]) for start in range(0, len(rows), size)]
    content = written(*batches, header=("K", "A", "B")).decode()
    read = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert read == [["K", "A", "B"], *([text or "" for text in row] for row in rows)]


def test_counts_what_went_through() -> None:
    """The writer knows rows, bytes and digest of what it gave away, the header among the bytes only."""
    writer = writer_of()
    content = b"".join(writer.chunks([batch(("a", "x")), batch(("b", "y"), ("c", "z"))]))
    assert (writer.rows, writer.size_bytes, writer.sha256) == (3, len(content), hashlib.sha256(content).hexdigest())


def test_no_rows_is_a_header() -> None:
    """A file of nobody still says its columns."""
    assert written(batch(("a", "x")).slice(0, 0)) == b'"CCID","CITY"\n'


@pytest.mark.parametrize(
    "keys",
    [[["b", "a"]], [["a", "a"]], [["a"], ["a"]], [["b"], ["a"]], [["a", None]], [["", "a"]], [["🌻", "\ufffd"]]],
)
def test_keys_out_of_order_are_refused(keys: list[list[str | None]]) -> None:
    """Keys that repeat, go back or are missing stop the file, within a batch and from one to the next."""
    with pytest.raises(DataError, match="CCID: keys are not unique and in order"):
        written(*(batch(*((key, "x") for key in some)) for some in keys))


def test_keys_are_ordered_by_bytes() -> None:
    """The order is that of UTF-8 bytes, in which an emoji comes after everything of the basic plane."""
    assert written(batch(("Z", "x"), ("a", "x"), ("é", "x"), ("\ufffd", "x"), ("🌻", "x"))).count(b"\n") == 6


def test_gzip_says_nothing_but_the_bytes() -> None:
    """The compressed bytes hold no name and no time, and are the same on every run."""
    chunks = [b"a" * 1000, b"", random.Random(7).randbytes(300_000), b"b" * 70_000]
    compressed = b"".join(gzipped(chunks))
    magic, flags, time = compressed[:3], compressed[3], compressed[4:8]
    assert (magic, flags, time) == (b"\x1f\x8b\x08", 0, bytes(4))
    assert gzip.decompress(compressed) == b"".join(chunks)
    assert b"".join(gzipped(chunks)) == compressed


@given(st.lists(st.binary(max_size=50)), st.integers(1, 40))
def test_chunks_read_as_one_file(chunks: list[bytes], size: int) -> None:
    """However the chunks fall and however much is asked for, the reader gives the same bytes in order."""
    source = ChunkReader(iter(chunks))
    reader = io.BufferedReader(source, 16)
    parts = list(iter(lambda: reader.read(size), b""))
    assert (b"".join(parts), source.failure) == (b"".join(chunks), None)


def test_a_source_that_breaks_ends_the_file_and_keeps_its_error() -> None:
    """Gpg's thread swallows exceptions, so the error is kept for the one who can raise it."""

    def breaking() -> Iterator[bytes]:
        yield b"abc"
        raise DataError("broke")

    reader = ChunkReader(breaking())
    assert io.BufferedReader(reader).read() == b"abc"
    assert str(reader.failure) == "broke"
