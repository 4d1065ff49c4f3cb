"""The rows of a file of devices and their segments: one a device that is in a segment, ordered by the id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.destination import DeviceFile, TraitColumn
from liveramp_provider.core.destinations.audience_manager import COMMA, ID, REMOVED, SEGMENTS
from liveramp_provider.core.device_rows import device_rows
from liveramp_provider.core.identifiers import is_yes
from liveramp_provider.core.rows import Rows, nothing, staged, totals

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destinations.audience_manager import SegmentFile

# No trait can be called like it.
_LISTED = "listed segments"


def segment_rows(file: SegmentFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out: of the members who are in a segment and share an id, the smallest member id has it."""
    listed = profiles.mutate(**{_LISTED: _listed(file, profiles)})
    found = listed.filter(listed[_LISTED] != "")
    rows = device_rows(_devices(file), found, engine=engine, scratch=scratch)
    members = int(engine.to_pyarrow(profiles.count()).as_py())
    steps = {"members": members, "no_segment": members - rows.waterfall["members"]}
    steps |= {reason: count for reason, count in rows.waterfall.items() if reason != "members"}
    segments = rows.table[SEGMENTS].substr(len(COMMA))
    table = rows.table.select(ID, segments.name(SEGMENTS), nothing().name(REMOVED))
    return replace(rows, table=table, waterfall=steps)


def changed_rows(file: SegmentFile, rows: Rows, before: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """The devices whose segments are not what they were: all that each is in now, and what it has left.

    :param before: ``ID`` and ``SEGMENTS`` as the receiver knows them. In which order segments stand does not matter.
    """
    former = before.select(former_id=before[ID], former=before[SEGMENTS])
    now = rows.table.select(ID, SEGMENTS)
    both = now.outer_join(former, now[ID] == former.former_id)
    listed, former_listed = _as_list(both[SEGMENTS]), _as_list(both.former)
    entered = listed.filter(lambda segment: ~former_listed.contains(segment))
    left = former_listed.filter(lambda segment: ~listed.contains(segment))
    compared = both.select(
        both[ID].coalesce(both.former_id).name(ID),
        both[SEGMENTS].fill_null("").name(SEGMENTS),
        left.join(COMMA).fill_null("").name(REMOVED),
        gone=both[ID].isnull(),
        changed=(entered.length() > 0) | (left.length() > 0),
    )
    table = staged(engine, compared.filter(compared.changed).order_by(ID), scratch / f"changes-{file.slot}.parquet")
    counts = totals(engine, table, rows="rows", gone=table.gone)
    devices = rows.count + counts["gone"]
    steps = {step: count for step, count in rows.waterfall.items() if step != "rows"}
    steps |= {"devices": rows.count, "devices_and_former": devices, "unchanged": devices - counts["rows"]}
    return replace(
        rows,
        table=table.select(ID, SEGMENTS, REMOVED),
        count=counts["rows"],
        waterfall=steps | {"rows": counts["rows"]},
    )


def _as_list(segments: ir.StringValue) -> ir.ArrayValue:
    return segments.fill_null("").split(COMMA).filter(lambda segment: segment != "")


def _listed(file: SegmentFile, profiles: ir.Table) -> ir.StringValue:
    """The segments of each member in their order, a comma before each: so written, no mapping reads as blank."""
    segments = [column for column in file.columns if isinstance(column, TraitColumn)]
    cells = [is_yes(profiles[column.trait]).ifelse(ibis.literal(column.header), nothing()) for column in segments]
    # Nulls leave no comma behind.
    return ibis.literal(COMMA).join([ibis.literal(""), *cells])


def _devices(file: SegmentFile) -> DeviceFile:
    """The same devices, with their segments as one text."""
    return DeviceFile(
        slot=file.slot,
        key_header=ID,
        columns=(TraitColumn(header=SEGMENTS, trait=_LISTED, formula="allow"),),
        rules=file.rules,
        identifiers=file.identifiers,
        hash=None,
    )
