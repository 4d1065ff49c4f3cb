"""Rows of Parquet and CSV files, of the day that stands in their path."""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import SourceError

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import FilesSource


def read_files(source: FilesSource, engine: Backend, *, day: date, label: str) -> ir.Table:
    """All files of the day as one table. CSV columns are text, so that leading zeros stay.

    :raises SourceError: There is no file of that day.
    """
    pattern = source.path.format(snapshot_date=day.isoformat())
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise SourceError(f"{label}: no file matches {pattern}. Check the path, or whether {day} has been written yet.")
    if source.format == "parquet":
        return engine.read_parquet(paths, union_by_name=True)
    return engine.read_csv(paths, header=True, delim=",", quote='"', escape='"', all_varchar=True, union_by_name=True)
