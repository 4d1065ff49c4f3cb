"""Rows of Parquet and CSV files, of the day that stands in their path."""

from __future__ import annotations

import csv
import glob
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import SourceError
from liveramp_provider.core.sources.columns import check_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import FilesSource, SegmentEventsSource
    from liveramp_provider.core.sources import OpenS3

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """The files of a day, on this machine.

    :param newest: When the youngest was written, in ISO 8601 and UTC.
    """

    paths: tuple[str, ...]
    newest: str


def found_files(
    source: FilesSource | SegmentEventsSource, *, day: date, scratch: Path, s3: OpenS3, label: str
) -> FoundFiles:
    """The files of `source` that are of `day`; those on S3 are fetched.

    :param scratch: Folder, yet to be made, for what is fetched.
    :raises SourceError: There is no file of that day.
    :raises SourceUnavailableError: S3 does not answer.
    """
    pattern = source.path.format(snapshot_date=day.isoformat())
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise SourceError(f"{label}: no file matches {pattern}. Check the path, or whether {day} has been written yet.")
    newest = max(Path(path).stat().st_mtime for path in paths)
    return FoundFiles(paths=tuple(paths), newest=datetime.fromtimestamp(newest, UTC).isoformat())


def read_files(
    source: FilesSource, files: FoundFiles, engine: Backend, *, columns: Sequence[str], label: str
) -> ir.Table:
    """The named columns of all `files` as one table. CSV columns are text, so that leading zeros stay.

    :raises SourceError: One of them cannot be read or lacks a column.
    """
    paths = list(files.paths)
    # The engine would fill what one of many files lacks with nulls, and lose its rows without a word.
    for path in paths:
        _check_header(path, source, columns, label=f"{label}: {Path(path).name}")
    if source.format == "parquet":
        table = engine.read_parquet(paths, union_by_name=True)
    else:
        # What is not said is guessed: that lines with a `#` are comments, or that odd first lines may be skipped.
        table = engine.read_csv(
            paths,
            header=True,
            delim=",",
            quote='"',
            escape='"',
            comment="",
            skip=0,
            all_varchar=True,
            union_by_name=True,
        )
    return table.select(*dict.fromkeys(columns))


def _check_header(path: str, source: FilesSource, columns: Sequence[str], *, label: str) -> None:
    header = _header(path, source)
    if header is None:
        raise SourceError(f"{label} cannot be read. Check that it is complete and a {source.format} file.")
    if source.format == "csv" and not {name.lower() for name in header} & {name.lower() for name in columns}:
        # Perhaps the first line is a person's, so it is not shown.
        raise SourceError(
            f"{label}: none of the {len(header)} fields of its first line is {', '.join(columns)}. "
            "Give it a header row, or correct the names in the audience file."
        )
    check_columns(header, columns, label=label)


def _header(path: str, source: FilesSource) -> list[str] | None:
    """Names of a file's columns; ``None`` when it cannot be read."""
    import pyarrow.parquet as pq

    try:
        if source.format == "parquet":
            return list(pq.read_schema(path).names)
        if path.endswith(".gz"):
            _read_through(path)
        opened = gzip.open if path.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    # ValueError: not UTF-8, or not Parquet. EOFError: a torso of a gzip file.
    except (OSError, ValueError, EOFError, csv.Error):
        return None


def _read_through(path: str) -> None:
    # The engine takes the torso of a gzip file for a whole one, and half of the rows would be missing unnoticed.
    from isal import igzip

    with igzip.open(path, "rb") as file:  # type: ignore[no-untyped-call]  # isal has no types here
        while file.read(_BLOCK_BYTES):
            pass
