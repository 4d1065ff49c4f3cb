"""A Device file's rows: one a device id, ordered by that id.

The order is the id's and not the member's on purpose: two files in member order could be laid side by side, and
known and pseudonymous identifiers linked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.audience import Hash, SegmentColumn, TraitColumn
from liveramp_provider.core.identifiers import as_text, clean, device_id, has_control_character, hashed
from liveramp_provider.core.rows import Rows, staged, totals

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import DeviceFile

#: Why a given device id has no row.
REASONS = ("device_format", "device_zero", "device_shared")


def device_rows(file: DeviceFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out: an id that several members have goes with the smallest member id, bytewise."""
    table = staged(engine, _judged(file, profiles), scratch / f"rows-{file.slot}.parquet")
    kept = table.filter(table.reason.isnull())
    counts = totals(engine, table, rows="device_ids", **{reason: table.reason == reason for reason in REASONS})
    changed = totals(engine, kept, rows="rows", control_character=kept.control_characters)
    rows = changed.pop("rows")
    found = table.aggregate(
        given=table.member_id.nunique(), members=table.member_id.nunique(where=table.reason.isnull())
    )
    unique = engine.to_pyarrow(found).to_pylist()[0]
    members = int(engine.to_pyarrow(profiles.count()).as_py())
    columns = {file.key_header: kept.device} | {
        column.header: ibis.literal(column.value) if isinstance(column, SegmentColumn) else kept[column.trait]
        for column in file.columns
    }
    return Rows(
        table=kept.select(**columns),
        count=rows,
        members=unique["members"],
        waterfall={"members": members, "no_identifier": members - unique["given"], **counts, "rows": rows},
        blanked=changed,
    )


def _judged(file: DeviceFile, profiles: ir.Table) -> ir.Table:
    """Every given device id, normalised, with the reason where it will have no row; ordered by the id."""
    traits = {column.trait for column in file.columns if isinstance(column, TraitColumn)}
    texts = {trait: as_text(profiles[trait]) for trait in sorted(traits)}
    control = sum((has_control_character(text).cast("int64") for text in texts.values()), ibis.literal(0))
    parts = []
    for number, (trait, kind) in enumerate(file.identifiers):
        reading = device_id(as_text(profiles[trait]), kind, hashed_file=file.hash is Hash.SHA1)
        id_ = reading.digest.coalesce(hashed(reading.value, Hash.SHA1)) if file.hash is Hash.SHA1 else reading.value
        part = profiles.select(
            "member_id",
            device=id_,
            fault=reading.fault,
            given=reading.given,
            control_characters=control,
            kind=ibis.literal(number),
            **{trait: clean(text) for trait, text in texts.items()},
        )
        parts.append(part.filter(part.given))
    given = ibis.union(*parts) if len(parts) > 1 else parts[0]
    # The same id may stand in both columns, once in either case.
    same_device = ibis.window(group_by=given.device.lower(), order_by=[given.member_id, given.kind])
    ranked = given.mutate(rank=ibis.row_number().over(same_device))
    shared = (ranked.fault.isnull() & (ranked.rank > 0)).ifelse(ibis.literal("device_shared"), ranked.fault)
    return ranked.mutate(reason=shared).drop("fault", "given", "kind", "rank").order_by("device")
