"""The rows of one delivery file, worked out once and kept in order, with the account of every row that is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.engine import write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


#: Column of the audience key where a file has none; no header has a space.
HIDDEN_KEY = "member id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What goes into a file.

    :param table: The audience key and the file's columns as text, under their headers, in the order of the key.
    :param count: How many rows `table` has.
    :param members: Unique members behind them.
    :param waterfall: From members to rows, by reason; it adds up.
    :param blanked: How many given values the rows leave blank or change, by reason.
    """

    table: ir.Table
    count: int
    members: int
    waterfall: dict[str, int]
    blanked: dict[str, int]


def staged(engine: Backend, expression: ir.Table, path: Path) -> ir.Table:
    """The rows of `expression`, worked out once into a scratch file, order kept."""
    # Ibis would fold the layers of the expression into one, and the engine work out every step wherever it is used.
    fused, ibis.options.sql.fuse_selects = ibis.options.sql.fuse_selects, False
    try:
        write_parquet(engine, expression, path)
    finally:
        ibis.options.sql.fuse_selects = fused
    return engine.read_parquet(path)


def add_up(amounts: Sequence[ir.IntegerValue]) -> ir.IntegerValue:
    """The sum of all amounts in a row, halved and halved again: added one by one, 500 would be too deep for Ibis."""
    if len(amounts) < 2:
        return amounts[0] if amounts else ibis.literal(0)
    half = len(amounts) // 2
    return add_up(amounts[:half]) + add_up(amounts[half:])


def count_where(conditions: Iterable[ir.BooleanValue]) -> ir.IntegerValue:
    """How many of the conditions hold in a row."""
    return add_up([condition.cast("int64") for condition in conditions])


def totals(
    engine: Backend, table: ir.Table, *, rows: str, **amounts: ir.BooleanColumn | ir.IntegerColumn
) -> dict[str, int]:
    """The number of rows, under the name `rows`, and the sum of each amount; a condition counts where it holds."""
    sums = {name: amount.cast("int64").sum().fill_null(0) for name, amount in amounts.items()}
    row = engine.to_pyarrow(table.aggregate(**{rows: table.count()}, **sums)).to_pylist()[0]
    return {name: int(value) for name, value in row.items()}


def nothing() -> ir.StringValue:
    """A missing text."""
    return ibis.null("string")
