"""A receiver's limits on one file, checked before it is sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from liveramp_provider.core.destination import SegmentColumn, TraitColumn
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.rows import add_up

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destination import DeliveryFile
    from liveramp_provider.core.rows import Rows


def check_limits(file: DeliveryFile, rows: Rows, *, receiver: str, engine: Backend) -> None:
    """All limits of the file's receiver, and all breaches at once.

    :raises DataError: Says which limit, how far over, and in which column.
    """
    limits = file.rules.limits
    if limits is None:
        return
    longest_row, fields = _measured(file, rows, engine)
    breaches = []
    if rows.count > limits.max_rows:
        breaches.append(f"{rows.count:,} rows (limit {limits.max_rows:,} {limits.where})")
    if longest_row > limits.max_row_chars:
        breaches.append(f"a row of {longest_row:,} characters (limit {limits.max_row_chars:,} {limits.where})")
    for header, field in fields.items():
        length = len(f"{header}=") + field.longest
        if length > limits.max_segment_name_chars:
            breaches.append(
                f"{header}: a segment name of {length:,} characters (limit {limits.max_segment_name_chars})"
            )
    pairs = sum(field.values for field in fields.values())
    if pairs > limits.max_field_values:
        most = max(fields, key=lambda header: fields[header].values)
        breaches.append(
            f"{pairs:,} field values, most of them in {most} (limit {limits.max_field_values:,}); use bands"
        )
    if breaches:
        raise DataError(f"{file.slot}: {receiver} would refuse the file: {'; '.join(breaches)}.")


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
