"""What a source says of the members: one value of a trait each, or several in a stated order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.errors import DataError
from liveramp_provider.core.identifiers import as_text, clean
from liveramp_provider.core.rows import staged, totals
from liveramp_provider.core.traits.as_of import rows_of_day, validity, validity_columns

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from liveramp_provider.core.audience import Trait, TraitSource
    from liveramp_provider.core.sources import Reader

# No trait can be called like this column: a trait's name has no space.
_ORDER = "order of rows"


def source_traits(
    source: TraitSource, members: ir.Table, *, reader: Reader, label: str
) -> tuple[list[ir.Table], dict[str, int]]:
    """The traits of a source as tables of ``member_id`` and columns of its names, one row a member that has some.

    :returns: The tables, and how many values were cut off, by trait.
    :raises DataError: Members have more rows or values than were promised, or rows in no order.
    :raises SourceError: The source lacks a column, a file, or the day.
    :raises SourceUnavailableError: The source broke off.
    """
    rows = _rows(source, members, reader=reader, label=label)
    repeated = _repeated(rows, reader)
    if repeated and source.max_per_member == 1 and source.keep == "all":
        together = f" that hold since the same {source.as_of.valid_from}" if source.as_of else ""
        raise DataError(
            f"{label}: {repeated:,} members have more than one row by {source.key}{together}; a trait has one value a "
            "member. Aggregate in the query, read from a source with one row a key, or allow several (max_per_member)."
        )
    if repeated and source.keep != "all" and not source.order_by:
        raise DataError(
            f"{label}: {repeated:,} members have more than one row by {source.key}, and nothing says which is "
            f"{source.keep}. Name the column that puts rows in order in order_by."
        )
    several = [trait for trait in source.traits if _may_be_several(rows, trait, source)]
    single = [trait.name for trait in source.traits if trait not in several]
    tables = [rows.select("member_id", *single)] if single else []
    cut = {}
    for trait in several:
        table, cut[trait.name] = _collected(rows, trait, source, reader=reader, label=label)
        tables.append(table)
    return tables, {name: count for name, count in cut.items() if count}


def _rows(source: TraitSource, members: ir.Table, *, reader: Reader, label: str) -> ir.Table:
    """The source's rows of members, as of the day: traits under our names, values of plain types or lists."""
    columns = [source.key, *(trait.column for trait in source.traits), *validity_columns(source.as_of)]
    rows = reader.table(source.source, [*columns, *filter(None, [source.order_by])], label=label)
    order = {_ORDER: rows[source.order_by]} if source.order_by else {}
    kept = rows.select(
        clean(as_text(rows[source.key])).name("member_id"),
        *(_plain(rows[trait.column]).name(trait.name) for trait in source.traits),
        **order,
        **validity(rows, source.as_of),
    ).semi_join(members, "member_id")
    if source.as_of is not None:
        kept = rows_of_day(kept, source.as_of, reader=reader, label=label)
    # Read once: what follows goes over the rows several times.
    return staged(reader.engine, kept, reader.scratch / f"members in {label}.parquet")


def _plain(value: ir.Value) -> ir.Value:
    """The value as it is, or as text where it is of a type that files and frames have no word for."""
    kind = value.type()
    plain = kind.is_string() or kind.is_boolean() or kind.is_numeric() or kind.is_date() or kind.is_timestamp()
    return value if plain or kind.is_array() else as_text(value)


def _repeated(rows: ir.Table, reader: Reader) -> int:
    """How many members have several rows."""
    per_key = rows.group_by("member_id").aggregate(rows=rows.count())
    return totals(reader.engine, per_key, rows="members", repeated=per_key.rows > 1)["repeated"]


def _may_be_several(rows: ir.Table, trait: Trait, source: TraitSource) -> bool:
    return source.max_per_member > 1 or source.keep != "all" or rows[trait.name].type().is_array()


def _collected(
    rows: ir.Table, trait: Trait, source: TraitSource, *, reader: Reader, label: str
) -> tuple[ir.Table, int]:
    """The values of one trait in columns, and how many there were beyond the last column."""
    most = source.max_per_member
    numbered = staged(reader.engine, _numbered(rows, trait), reader.scratch / f"values of {trait.name}.parquet")
    beyond = totals(
        reader.engine, numbered, rows="values", cut=numbered.number >= most, members=numbered.number == most
    )
    if beyond["cut"] and source.keep == "all":
        raise DataError(
            f"{label}: {beyond['members']:,} members have more than {most:,} {'values' if most > 1 else 'value'} of "
            f"{trait.name}. Raise max_per_member, or say which to keep (first or last)."
        )
    skipped = ibis.greatest(numbered.total - most, 0) if source.keep == "last" else ibis.literal(0)
    placed = numbered.mutate(place=numbered.number - skipped)
    if most == 1:
        value = placed.text if rows[trait.name].type().is_array() else placed.value
        return placed.filter(placed.place == 0).select("member_id", value.name(trait.name)), beyond["cut"]
    names = [trait.name, *(f"{trait.name}{number}" for number in range(2, most + 1))]
    cells = {name: placed.text.max(where=placed.place == place) for place, name in enumerate(names)}
    table = staged(
        reader.engine,
        placed.group_by("member_id").aggregate(**cells),
        reader.scratch / f"columns of {trait.name}.parquet",
    )
    return table, beyond["cut"]


def _numbered(rows: ir.Table, trait: Trait) -> ir.Table:
    """Every member's values, blank ones left out and equal ones once, numbered from 0 in their order."""
    order = {"order": rows[_ORDER]} if _ORDER in rows.columns else {}
    values = rows.select("member_id", value=rows[trait.name], **order)
    if rows[trait.name].type().is_array():
        values = values.unnest("value", offset="position")
    else:
        values = values.mutate(position=ibis.literal(0))
    values = values.mutate(text=clean(as_text(values.value)))
    values = values.filter(values.text.notnull())
    by = [*(ibis.asc(name, nulls_first=True) for name in order), "position", "text"]
    occurrence = ibis.row_number().over(group_by=["member_id", "text"], order_by=by)
    once = values.mutate(occurrence=occurrence)
    once = once.filter(once.occurrence == 0)
    return once.select(
        "member_id",
        "value",
        "text",
        number=ibis.row_number().over(group_by="member_id", order_by=by),
        total=once.count().over(group_by="member_id"),
    )
