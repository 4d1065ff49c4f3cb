"""A Device file's rows: one a device id, ordered by that id.

The order is the id's and not the member's on purpose: two files in member order could be laid side by side, and
known and pseudonymous identifiers linked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.destination import Hash, SegmentColumn, TraitColumn
from liveramp_provider.core.identifiers import (
    as_text,
    clean,
    device_rule,
    digest_of,
    fault_of,
    given_of,
    has_control_character,
    hashed,
    is_formula,
    read,
    value_of,
)
from liveramp_provider.core.rows import Rows, count_where, nothing, staged, totals

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destination import Column, DeviceFile

#: Why a given device id has no row.
REASONS = ("device_format", "device_zero", "device_shared")


def device_rows(file: DeviceFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out: an id that several members have goes with the smallest member id, bytewise."""
    table = staged(engine, _judged(file, profiles), scratch / f"rows-{file.slot}.parquet")
    kept = table.filter(table.reason.isnull())
    counts = totals(engine, table, rows="device_ids", **{reason: table.reason == reason for reason in REASONS})
    changed = totals(engine, kept, rows="rows", formula=kept.formulas, control_character=kept.control_characters)
    rows = changed.pop("rows")
    found = table.aggregate(
        given=table.member_id.nunique(), members=table.member_id.nunique(where=table.reason.isnull())
    )
    unique = engine.to_pyarrow(found).to_pylist()[0]
    members = int(engine.to_pyarrow(profiles.count()).as_py())
    return Rows(
        table=kept.select(kept.device.name(file.key_header), *(_cell(column, kept) for column in file.columns)),
        count=rows,
        members=unique["members"],
        waterfall={"members": members, "no_identifier": members - unique["given"], **counts, "rows": rows},
        blanked=changed,
    )


def _field(trait: str) -> str:
    # No trait can be called like it, nor like the columns beside it.
    return f"text of {trait}"


def _cell(column: Column, rows: ir.Table) -> ir.Value:
    value = ibis.literal(column.value) if isinstance(column, SegmentColumn) else rows[_field(column.trait)]
    return value.name(column.header)


def _judged(file: DeviceFile, profiles: ir.Table) -> ir.Table:
    """Every given device id, normalised, with the reason where it will have no row; ordered by the id."""
    hashed_file = file.hash is Hash.SHA1
    table = read(profiles, {trait: device_rule(kind, hashed_file=hashed_file) for trait, kind in file.identifiers})
    traits = [column.trait for column in file.columns if isinstance(column, TraitColumn)]
    table = table.mutate(**{_field(trait): clean(as_text(table[trait])) for trait in traits})
    allowed = {column.trait for column in file.columns if isinstance(column, TraitColumn) and column.formula == "allow"}
    formulas = {_field(trait): is_formula(table[_field(trait)]) for trait in traits if trait not in allowed}
    texts = {_field(trait): table[_field(trait)] for trait in traits}
    texts |= {name: found.ifelse(nothing(), table[name]) for name, found in formulas.items()}
    control = count_where(has_control_character(as_text(table[trait])) for trait in traits)
    parts = []
    for number, (trait, _) in enumerate(file.identifiers):
        value, digest = table[value_of(trait)], table[digest_of(trait)]
        part = table.filter(table[given_of(trait)].notnull()).select(
            "member_id",
            kind=ibis.literal(number),
            device=digest.coalesce(hashed(value, Hash.SHA1)) if hashed_file else value,
            fault=table[fault_of(trait)],
            control_characters=control,
            formulas=count_where(formulas.values()),
            **texts,
        )
        parts.append(part)
    given = ibis.union(*parts) if len(parts) > 1 else parts[0]
    # The same id may stand in both columns, once in either case.
    same_device = ibis.window(group_by=given.device.lower(), order_by=[given.member_id, given.kind])
    ranked = given.mutate(rank=ibis.row_number().over(same_device))
    shared = (ranked.fault.isnull() & (ranked["rank"] > 0)).ifelse(ibis.literal("device_shared"), ranked.fault)
    return ranked.mutate(reason=shared).drop("fault", "kind", "rank").order_by("device")
