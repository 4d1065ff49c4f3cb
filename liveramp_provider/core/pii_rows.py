"""The PII file's rows: one a member that LiveRamp can match, ordered by the audience key."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.audience import Hash, Identifier, IdentifierColumn, SegmentColumn, TraitColumn
from liveramp_provider.core.identifiers import (
    Reading,
    as_text,
    clean,
    free_text,
    has_control_character,
    hash_of_length,
    hashed,
    reader,
)
from liveramp_provider.core.rows import Rows, nothing, staged, totals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import Column, PiiFile, Region

#: Why a given value cannot be used.
VALUE_REASONS = ("email_format", "prehashed_without_column", "phone_format", "zip_format")

#: Why a member has no row; the first that applies is counted.
REASONS = ("no_identifier", *VALUE_REASONS, "address_incomplete")


def pii_rows(file: PiiFile, profiles: ir.Table, *, region: Region, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out; `profiles` is in key order, and so are they.

    A row needs an e-mail, a phone, or first and last name with a ZIP or a whole address.
    """
    table = staged(engine, _judged(file, profiles, region), scratch / f"rows-{file.slot}.parquet")
    kept = table.filter(table.reason.isnull())
    counts = totals(engine, table, rows="members", **{reason: table.reason == reason for reason in REASONS})
    faults = [kept[_fault(trait)] for trait, _ in _identifier_traits(file)]
    blanked = totals(
        engine,
        kept,
        rows="rows",
        **{reason: _count_of(reason, faults) for reason in VALUE_REASONS},
        control_character=kept.control_characters,
    )
    rows = blanked.pop("rows")
    columns = {file.key_header: kept.member_id} | {column.header: _cell(column, kept) for column in file.columns}
    return Rows(
        table=kept.select(**columns),
        count=rows,
        members=rows,
        waterfall={**counts, "rows": rows},
        blanked=blanked,
    )


def _count_of(reason: str, faults: list[ir.StringColumn]) -> ir.IntegerColumn:
    return sum(((fault == reason).fill_null(False).cast("int64") for fault in faults), ibis.literal(0))


def _value(trait: str) -> str:
    return f"value of {trait}"


def _digest(trait: str) -> str:
    return f"digest of {trait}"


def _fault(trait: str) -> str:
    return f"fault of {trait}"


def _identifier_traits(file: PiiFile) -> list[tuple[str, Identifier]]:
    """The traits whose values LiveRamp matches by, each once."""
    pairs = ((column.trait, column.identifier) for column in file.columns if isinstance(column, IdentifierColumn))
    return list(dict.fromkeys(pairs))


def _judged(file: PiiFile, profiles: ir.Table, region: Region) -> ir.Table:
    """Every member with normalised values and, where there will be no row, the reason."""
    texts = {trait: as_text(profiles[trait]) for trait in _traits(file)}
    readings = {
        trait: _without_column(file, trait, reader(identifier, region)(texts[trait]))
        for trait, identifier in _identifier_traits(file)
    }
    columns: dict[str, ir.Value] = {"member_id": profiles.member_id}
    for trait, reading in readings.items():
        columns |= {_value(trait): reading.value, _digest(trait): reading.digest, _fault(trait): reading.fault}
    columns |= {
        _value(column.trait): clean(texts[column.trait])
        for column in file.columns
        if isinstance(column, TraitColumn) and column.trait not in readings
    }
    given = reduce(or_, (reading.given for reading in readings.values()))
    one_line = [trait for trait, identifier in _identifier_traits(file) if reader(identifier, region) is free_text]
    free = [column.trait for column in file.columns if isinstance(column, TraitColumn)]
    columns["given"] = given
    columns["control_characters"] = sum(
        (has_control_character(texts[trait]).cast("int64") for trait in [*one_line, *free]), ibis.literal(0)
    )
    table = profiles.select(**columns)
    return table.mutate(reason=_reason(file, table, faults=[table[_fault(trait)] for trait in readings])).drop("given")


def _traits(file: PiiFile) -> list[str]:
    return list(dict.fromkeys(c.trait for c in file.columns if not isinstance(c, SegmentColumn)))


def _without_column(file: PiiFile, trait: str, reading: Reading) -> Reading:
    """A value that came hashed is of use only where the file has a column of that hash."""
    algorithms = {c.hash for c in file.columns if isinstance(c, IdentifierColumn) and c.trait == trait and c.hash}
    usable = ibis.coalesce(nothing(), *(hash_of_length(reading.digest, algorithm) for algorithm in sorted(algorithms)))
    orphaned = reading.digest.notnull() & usable.isnull()
    return Reading(
        given=reading.given,
        value=reading.value,
        digest=usable,
        fault=orphaned.ifelse(ibis.literal("prehashed_without_column"), reading.fault),
    )


def _reason(file: PiiFile, table: ir.Table, *, faults: list[ir.StringValue]) -> ir.StringValue:
    """The first of :data:`REASONS` for a member that cannot be matched; null for one that can."""
    present: Mapping[Identifier, ir.BooleanValue] = {
        identifier: reduce(
            or_,
            (
                table[_value(trait)].notnull() | table[_digest(trait)].notnull()
                for trait, other in _identifier_traits(file)
                if other is identifier
            ),
            ibis.literal(False),
        )
        for identifier in Identifier
    }
    name = present[Identifier.FIRST_NAME] & present[Identifier.LAST_NAME]
    address = present[Identifier.ADDRESS1] & present[Identifier.CITY] & present[Identifier.STATE]
    matchable = present[Identifier.EMAIL] | present[Identifier.PHONE] | (name & (present[Identifier.ZIP] | address))
    by_fault = [
        (reduce(or_, ((fault == reason).fill_null(False) for fault in faults)), ibis.literal(reason))
        for reason in VALUE_REASONS
    ]
    return ibis.cases(
        (matchable, nothing()),
        (~table.given, ibis.literal(REASONS[0])),
        *by_fault,
        else_=ibis.literal(REASONS[-1]),
    )


def _cell(column: Column, rows: ir.Table) -> ir.Value:
    """What stands in one column; hashing waits until here, where only rows that are sent are left."""
    if isinstance(column, SegmentColumn):
        return ibis.literal(column.value)
    value: ir.StringValue = rows[_value(column.trait)]
    if isinstance(column, IdentifierColumn) and column.hash is not None:
        already: ir.StringValue = rows[_digest(column.trait)]
        return hash_of_length(already, Hash(column.hash)).coalesce(hashed(value, column.hash))
    return value
