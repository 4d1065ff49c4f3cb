"""Rows of pandas frames that a user's function yields, landed batch by batch, memory flat."""

from __future__ import annotations

from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from liveramp_provider.core.errors import DataError
from liveramp_provider.core.frames import LandedFrames, plain_columns
from liveramp_provider.core.functions import call, source_function
from liveramp_provider.core.progress import count
from liveramp_provider.core.sources.columns import check_columns

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import PythonSource


_END = object()


def land_frames(
    source: PythonSource,
    engine: Backend,
    *,
    parameters: Mapping[str, date | str],
    columns: Sequence[str],
    folder: Path,
    label: str,
) -> ir.Table:
    """The named columns of all frames as one table; where there are no frames, no rows.

    :param folder: Where the rows are copied to; yet to be made.
    :raises SourceError: The function cannot be had or takes something else, or a frame lacks a column.
    :raises SourceUnavailableError: The function raised it.
    :raises DataError: The function failed, gave something else than frames, or a column mixes kinds of values.
    """
    function, takes = source_function(source)
    what = f"{label}: {source.function}"
    names = list(dict.fromkeys(columns))
    given = call(partial(function, **{name: parameters[name] for name in takes}), what=what)
    with LandedFrames(folder, label=label) as landed, closing(_frames(given, what=what)) as frames:
        for frame in frames:
            check_columns(list(map(str, frame.columns)), names, label=label)
            landed.add(plain_columns(frame, {name: name for name in names}, label=label, lists=True))
            count(len(frame))
        return landed.read(engine, names)


def _frames(given: Any, *, what: str) -> Generator[pd.DataFrame]:
    """The frames that the function gave: one, a list of them, or as it yields them."""
    if isinstance(given, pd.DataFrame):
        yield given
        return
    if not hasattr(given, "__iter__"):
        raise _no_frame(given, what)
    frames = call(iter, given, what=what)
    try:
        while (frame := call(next, frames, _END, what=what)) is not _END:
            if not isinstance(frame, pd.DataFrame):
                raise _no_frame(frame, what)
            yield frame
    finally:
        # Left to the garbage collector, what a generator raises while it is closed would be printed.
        with suppress(Exception, SystemExit):
            getattr(frames, "close", lambda: None)()


def _no_frame(given: Any, what: str) -> DataError:
    return DataError(
        f"{what} gave a {type(given).__name__}, where a pandas frame was due. Yield frames, or return one."
    )
