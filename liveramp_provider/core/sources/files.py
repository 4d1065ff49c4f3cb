"""Rows of Parquet, CSV and JSON Lines files, here or on S3, of the day that stands in their path."""

from __future__ import annotations

import csv
import glob
import gzip
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import SourceError
from liveramp_provider.core.progress import pace
from liveramp_provider.core.sources.columns import check_columns
from liveramp_provider.core.sources.globs import days_among, path_of_any_day, path_of_day, places_of_the_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import FilesSource, SegmentEventsSource
    from liveramp_provider.core.sources import OpenS3

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_DAYS_SHOWN = 7


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
    """The files of `source` that are of `day`, in the order of their names; those on S3 are fetched.

    :param scratch: Folder, yet to be made, for what is fetched.
    :raises SourceError: There is no file of that day, or one is the torso of a gzip file.
    :raises ConnectionConfigError: The connection to S3 may not read them.
    :raises SourceUnavailableError: S3 does not answer, or a file changed while it was fetched.
    """
    files = _fetched(source, day, scratch, s3, label) if source.conn_id else _local(source, day, label)
    for path in files.paths:
        if path.endswith(".gz"):
            _check_whole(path, label=label)
    return files


def _local(source: FilesSource | SegmentEventsSource, day: date, label: str) -> FoundFiles:
    paths = _local_files(path_of_day(source.path, day))
    if not paths:
        raise _no_file(source.path, day, _local_files(path_of_any_day(source.path)), label=label)
    newest = max(Path(path).stat().st_mtime for path in paths)
    return FoundFiles(paths=tuple(paths), newest=datetime.fromtimestamp(newest, UTC).isoformat())


def _local_files(pattern: str) -> list[str]:
    # Twice with `**`, glob gives a path twice; and it takes a file for a folder, with a slash at the end.
    found = {path for path in glob.glob(pattern, recursive=True) if not path.endswith("/")}
    return sorted(path for path in found if Path(path).is_file())


def _fetched(source: FilesSource | SegmentEventsSource, day: date, scratch: Path, s3: OpenS3, label: str) -> FoundFiles:
    from liveramp_provider.core.sources.s3 import fetch, listed_files, s3_errors

    pattern, started = path_of_day(source.path, day), monotonic()
    with s3_errors(conn_id=source.conn_id, label=f"{label}: {pattern}"):
        client = s3(source.conn_id)
        files = listed_files(client, pattern)
        if not files:
            others = listed_files(client, path_of_any_day(source.path))
            raise _no_file(source.path, day, (file.path for file in others), label=label)
        paths = fetch(client, files, scratch)
    size_bytes = sum(file.size_bytes for file in files)
    took = pace(monotonic() - started, size_bytes, "bytes")
    log.info(f"{label}: {len(files):,} files, {size_bytes:,} bytes fetched from S3 ({took})")
    newest = max(file.written_at for file in files)
    return FoundFiles(paths=tuple(map(str, paths)), newest=newest.astimezone(UTC).isoformat())


def _no_file(path: str, day: date, others: Iterable[str], *, label: str) -> SourceError:
    """Nothing is there of `day`, but perhaps of other days.

    :param others: Names of files, whatever their day.
    """
    missing, places = f"{label}: no file matches {path_of_day(path, day)}", places_of_the_day(path)
    if not places:
        return SourceError(f"{missing}. Check the path, or whether {day} has been written yet.")
    agree = f" Its {places} places of the day must hold the same day." if places > 1 else ""
    days = days_among(others, path)
    if not days:
        return SourceError(f"{missing}, nor is there any other day.{agree} Check the path.")
    shown = ", ".join(map(str, days[:_DAYS_SHOWN]))
    more = f" and {len(days) - _DAYS_SHOWN:,} more" if len(days) > _DAYS_SHOWN else ""
    return SourceError(
        f"{missing}. The days there are: {shown}{more}.{agree} Check the path, or whether {day} has been written yet."
    )


def _check_whole(path: str, *, label: str) -> None:
    # The engine takes the torso of a gzip file for a whole one, and half of the rows would be missing unnoticed.
    from isal import igzip, isal_zlib

    try:
        with igzip.open(path, "rb") as file:  # type: ignore[no-untyped-call]  # isal has no types here
            while file.read(_BLOCK_BYTES):
                pass
        return
    except (OSError, EOFError, isal_zlib.error):  # type: ignore[misc]  # as above
        pass
    raise SourceError(f"{label}: {Path(path).name} cannot be read. Check that it is complete and a gzip file.")


def read_files(
    source: FilesSource, files: FoundFiles, engine: Backend, *, columns: Sequence[str], label: str
) -> ir.Table:
    """The named columns of all `files` as one table. CSV and JSON values are text, so that leading zeros stay.

    :raises SourceError: One of them cannot be read or lacks a column.
    """
    wanted = list(dict.fromkeys(columns))
    if source.format == "jsonl":
        from liveramp_provider.core.sources.json_lines import read_json_lines

        check_capitals(wanted, wanted, label=label)
        return read_json_lines(files.paths, engine, columns=wanted, label=label)
    # The engine would fill what one of many files lacks with nulls, and lose its rows without a word.
    for path in files.paths:
        _check_header(path, source, wanted, label=f"{label}: {Path(path).name}")
    # It reads what looks like a wild card in a name, and folders called `column=value` as columns over the file's own.
    paths = [glob.escape(path) for path in files.paths]
    if source.format == "parquet":
        table = engine.read_parquet(paths, union_by_name=True, hive_partitioning=False)
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
            hive_partitioning=False,
        )
    return table.select(*wanted)


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
    check_capitals(header, columns, label=label)


def check_capitals(names: Sequence[str], columns: Sequence[str], *, label: str) -> None:
    """None of `columns` has another among `names` that differs in capitals only: the engine takes one for the other.

    :raises SourceError: One has; both are named.
    """
    for column in columns:
        alike = [name for name in dict.fromkeys(names) if name.lower() == column.lower()]
        if len(alike) > 1:
            raise SourceError(f"{label}: columns {', '.join(alike)} differ in capitals only. Rename all but one.")


def _header(path: str, source: FilesSource) -> list[str] | None:
    """Names of a file's columns; ``None`` when it cannot be read."""
    import pyarrow.parquet as pq

    try:
        if source.format == "parquet":
            return list(pq.read_schema(path).names)
        opened = gzip.open if path.endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    # ValueError: not UTF-8, or not Parquet.
    except (OSError, ValueError, csv.Error):
        return None
