"""A delivery file's bytes: RFC 4180, LF, UTF-8 without BOM; optionally gzip without a time stamp.

Source: LiveRamp, "Formatting File Data" (quotes must balance, no line break inside a value) and "Compress Files".
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from isal import isal_zlib

from liveramp_provider.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from liveramp_provider.core.destination import DeliveryFile, Layout

# Ask zlib for a gzip wrapper; its header then carries neither a name nor a time.
_GZIP_WINDOW = 31


@dataclass(slots=True)
class CsvWriter:
    """Turns batches into CSV bytes, and knows afterwards what went through.

    The first column is the file's audience key: it must be there, unique and in byte order, or nothing is sealed.
    """

    file: DeliveryFile
    rows: int = 0
    size_bytes: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _last_key: str = ""

    @property
    def sha256(self) -> str:
        """Digest of all bytes so far, lower-case hex."""
        return self._digest.hexdigest()

    def chunks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
        """The header row where the layout has one, then the rows of `batches` in their order.

        :param batches: Text columns as in the header, after the audience key; null means an empty field.
        :raises DataError: The keys are not unique and ascending, or a value would need quotes and may have none.
        """
        layout = self.file.rules.layout
        if layout.header:
            quote = '"' if layout.quoting == "all" else ""
            yield self._count(
                layout.delimiter.join(f"{quote}{name}{quote}" for name in self.file.headers).encode() + b"\n"
            )
        for batch in batches:
            if batch.num_rows:
                self._check_keys(batch.column(0))
                written = batch if self.file.key_header else batch.select(batch.schema.names[1:])
                yield self._count(_encode(written, layout))
                self.rows += batch.num_rows

    def _check_keys(self, keys: pa.Array) -> None:
        with_last = pa.concat_arrays([pa.array([self._last_key]), keys.cast(pa.string())])
        # Compared as bytes: audience keys are ordered by their UTF-8, whatever the locale.
        as_bytes = with_last.cast(pa.binary())
        if not pc.all(pc.greater(as_bytes[1:], as_bytes[:-1]), skip_nulls=False).as_py():
            name = self.file.key_header or self.file.slot
            raise DataError(f"{name}: keys are not unique and in order; the file was not sealed.")
        self._last_key = keys[-1].as_py()

    def _count(self, chunk: bytes) -> bytes:
        self._digest.update(chunk)
        self.size_bytes += len(chunk)
        return chunk


def _encode(batch: pa.RecordBatch, layout: Layout) -> bytes:
    columns = [column.cast(pa.string()) for column in batch.columns]
    if layout.quoting != "values":
        # A null would be written without quotes, and LiveRamp wants all fields quoted or none.
        columns = [pc.fill_null(column, "") for column in columns]
    if layout.quoting == "none":
        return _plain(columns, layout.delimiter)
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(
        include_header=False, quoting_style="all_valid", eol="\n", delimiter=layout.delimiter
    )
    pyarrow.csv.write_csv(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), buffer, options)
    return buffer.getvalue()


def _plain(columns: Sequence[pa.Array], delimiter: str) -> bytes:
    """Values side by side without quotes; of a single column, each is a line whatever is in it."""
    marks = "\n" if len(columns) == 1 else f"\n{delimiter}"
    for column in columns:
        if pc.any(pc.match_substring_regex(column, f"[{marks}]")).as_py():
            raise DataError("a value holds what parts values in this file; it was not sealed.")
    lines = pc.binary_join_element_wise(*columns, pa.scalar(delimiter))
    return ("\n".join(lines.to_pylist()) + "\n").encode()


def gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, compressed; equal input gives equal output."""
    compressor = isal_zlib.compressobj(level=2, wbits=_GZIP_WINDOW)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()


class ChunkReader(io.RawIOBase):
    """A file to read from, over chunks that are made as they are asked for.

    gpg is fed from a thread that swallows exceptions, so a source that raises ends the file here and its error is
    kept in :attr:`failure`: whoever reads must look at it before believing that the file is whole.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.failure: Exception | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed asks for any buffer
        """Fill `buffer` as far as the current chunk goes; 0 at the end."""
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except Exception as error:  # noqa: BLE001 - kept for the reader's owner, who raises it
                self.failure, chunk = error, None
            if chunk is None:
                return 0
            # A view, because cutting bytes copies what is left of them each time.
            self._rest = memoryview(chunk)
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
