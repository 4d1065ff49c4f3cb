"""The rows of a file of devices and their segments: one a device that is in a segment, ordered by the id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.destination import DeviceFile, TraitColumn
from liveramp_provider.core.destinations.audience_manager import COMMA, ID, REMOVED, SEGMENTS
from liveramp_provider.core.device_rows import device_rows
from liveramp_provider.core.identifiers import is_yes
from liveramp_provider.core.rows import Rows, nothing

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
