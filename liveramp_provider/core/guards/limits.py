"""LiveRamp's limits on one file, checked before it is sealed. Source: LiveRamp, "File Limits"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.audience import SegmentColumn, TraitColumn
from liveramp_provider.core.destinations.liveramp import (
    MAX_FIELD_VALUES,
    MAX_SEGMENT_NAME_CHARS,
    REGIONS,
)
from liveramp_provider.core.errors import DataError

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import DeliveryFile, Region
    from liveramp_provider.core.rows import Rows


def check_limits(file: DeliveryFile, rows: Rows, *, region: Region, engine: Backend) -> None:
    """All limits, and all breaches at once.

    :raises DataError: Says which limit, how far over, and in which column.
    """
    rules = REGIONS[region]
    table = rows.table
    # Every field is quoted and followed by a comma or the line end.
    lengths = [table[header].length().fill_null(0) + 3 for header in file.headers]
    measures = {"longest": sum(lengths[1:], lengths[0]).max()}
    traits = [column.header for column in file.columns if isinstance(column, TraitColumn)]
    for number, header in enumerate(traits):
        measures[f"values_{number}"] = table[header].nunique()
        measures[f"name_{number}"] = table[header].length().max()
    found = {name: value or 0 for name, value in engine.to_pyarrow(table.aggregate(**measures)).to_pylist()[0].items()}
    breaches = []
    if rows.count > rules.max_rows:
        breaches.append(f"{rows.count:,} rows (limit {rules.max_rows:,} in region {region})")
    if found["longest"] > rules.max_row_chars:
        breaches.append(f"a row of {found['longest']:,} characters (limit {rules.max_row_chars:,} in region {region})")
    pairs = sum(isinstance(column, SegmentColumn) for column in file.columns)
    for number, header in enumerate(traits):
        pairs += found[f"values_{number}"]
        length = len(header) + 1 + found[f"name_{number}"]
        if length > MAX_SEGMENT_NAME_CHARS:
            breaches.append(f"{header}: a segment name of {length:,} characters (limit {MAX_SEGMENT_NAME_CHARS})")
    if pairs > MAX_FIELD_VALUES:
        most = max(traits, key=lambda header: found[f"values_{traits.index(header)}"])
        breaches.append(f"{pairs:,} field values, most of them in {most} (limit {MAX_FIELD_VALUES:,}); use bands")
    if breaches:
        raise DataError(f"{file.slot}: LiveRamp would refuse the file: {'; '.join(breaches)}.")
