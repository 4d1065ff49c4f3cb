"""LiveRamp's limits on one file, checked before it is sealed. Source: LiveRamp, "File Limits"."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from liveramp_provider.core.audience import SegmentColumn, TraitColumn
from liveramp_provider.core.destinations.liveramp import (
    MAX_FIELD_VALUES,
    MAX_SEGMENT_NAME_CHARS,
    REGIONS,
)
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.rows import add_up

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import DeliveryFile, Region
    from liveramp_provider.core.rows import Rows


def check_limits(file: DeliveryFile, rows: Rows, *, region: Region, engine: Backend) -> None:
    """All limits, and all breaches at once.

    :raises DataError: Says which limit, how far over, and in which column.
    """
    rules = REGIONS[region]
    longest_row, fields = _measured(file, rows, engine)
    breaches = []
    if rows.count > rules.max_rows:
        breaches.append(f"{rows.count:,} rows (limit {rules.max_rows:,} in region {region})")
    if longest_row > rules.max_row_chars:
        breaches.append(f"a row of {longest_row:,} characters (limit {rules.max_row_chars:,} in region {region})")
    for header, field in fields.items():
        length = len(f"{header}=") + field.longest
        if length > MAX_SEGMENT_NAME_CHARS:
            breaches.append(f"{header}: a segment name of {length:,} characters (limit {MAX_SEGMENT_NAME_CHARS})")
    pairs = sum(field.values for field in fields.values())
    if pairs > MAX_FIELD_VALUES:
        most = max(fields, key=lambda header: fields[header].values)
        breaches.append(f"{pairs:,} field values, most of them in {most} (limit {MAX_FIELD_VALUES:,}); use bands")
    if breaches:
        raise DataError(f"{file.slot}: LiveRamp would refuse the file: {'; '.join(breaches)}.")


class _Field(NamedTuple):
    """What a segment field holds: how many different values, and the characters of the longest."""

    values: int
    longest: int


def _measured(file: DeliveryFile, rows: Rows, engine: Backend) -> tuple[int, dict[str, _Field]]:
    """The characters of the longest row, and every segment field."""
    table = rows.table
    # Every field is quoted and followed by a comma or the line end; quotes inside are doubled.
    lengths = [table[header].replace('"', '""').length().fill_null(0) + 3 for header in file.headers]
    traits = [column.header for column in file.columns if isinstance(column, TraitColumn)]
    measures = {"row": add_up(lengths).max()}
    for header in traits:
        measures |= {
            f"values of {header}": table[header].nunique(),
            f"longest of {header}": table[header].length().max(),
        }
    found = {name: value or 0 for name, value in engine.to_pyarrow(table.aggregate(**measures)).to_pylist()[0].items()}
    fields = {header: _Field(found[f"values of {header}"], found[f"longest of {header}"]) for header in traits}
    fields |= {c.header: _Field(1, len(c.value)) for c in file.columns if isinstance(c, SegmentColumn)}
    return found["row"], fields
