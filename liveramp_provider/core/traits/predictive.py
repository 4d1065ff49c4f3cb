"""Predictive traits: a user's function from one pandas frame to another, called batch by batch in order of the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from liveramp_provider.core.errors import DataError
from liveramp_provider.core.frames import BATCH_ROWS, LandedFrames, plain_columns
from liveramp_provider.core.functions import call, frame_function
from liveramp_provider.core.progress import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import PredictiveTraits


def predicted(profiles: Path, step: PredictiveTraits, *, engine: Backend, folder: Path) -> ir.Table:
    """What the function gives for every member: ``member_id`` and the traits.

    :param profiles: Parquet file in order of the key.
    :param folder: Where the traits are landed; yet to be made.
    :raises SourceError: The function cannot be had, or takes something else than one frame.
    :raises SourceUnavailableError: The function raised it.
    :raises DataError: The function failed on a batch, or what it gave does not go with its input.
    """
    function = frame_function(step.function)
    what = f"function {step.function}"
    columns = {trait.name: trait.column for trait in step.traits}
    first = 1
    with LandedFrames(folder, label=what) as landed:
        batches = pq.ParquetFile(profiles).iter_batches(BATCH_ROWS, columns=["member_id", *step.inputs])
        for number, batch in enumerate(batches, start=1):
            rows = pd.RangeIndex(first, first + batch.num_rows)
            at = f"{what}: batch {number:,} (rows {rows[0]:,} to {rows[-1]:,})"
            given = call(function, _frame(batch, step.inputs, rows), what=at)
            _check_frame(given, rows, columns.values(), at)
            traits = plain_columns(given, columns, label=at, lists=False)
            landed.add(traits.add_column(0, "member_id", batch.column("member_id")))
            count(batch.num_rows)
            first += batch.num_rows
        return landed.read(engine, ["member_id", *columns])


def _frame(batch: pa.RecordBatch, inputs: Sequence[str], rows: pd.RangeIndex) -> pd.DataFrame:
    """The function's own frame: whatever it does to it, traits stay as they are."""
    frame: pd.DataFrame = pa.Table.from_batches([batch]).select(list(inputs)).to_pandas(types_mapper=pd.ArrowDtype)
    return frame.set_index(rows)


def _check_frame(given: Any, rows: pd.RangeIndex, columns: Collection[str], at: str) -> None:
    if not isinstance(given, pd.DataFrame):
        raise DataError(f"{at} gave a {type(given).__name__}, where a pandas frame was due.")
    if len(given) != len(rows):
        raise DataError(f"{at} gave {len(given):,} rows for {len(rows):,}. Give one for each, in the same order.")
    if not given.index.equals(rows):
        raise DataError(f"{at} gave rows of another index. Keep the index and the order of the frame that it gets.")
    names = list(map(str, given.columns))
    wrong = [column for column in columns if names.count(column) != 1]
    if wrong:
        # What else it gave is not listed: a pivoted frame has values for names.
        raise DataError(f"{at} gave {len(names):,} columns, and not just one {', '.join(wrong)} among them.")
