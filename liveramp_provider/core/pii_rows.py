"""The PII file's rows: one a member that its receiver can match, ordered by the audience key."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.destination import Detail, Form, Identifier, IdentifierColumn, SegmentColumn, TraitColumn
from liveramp_provider.core.identifiers import (
    FREE_TEXT,
    HEX_DIGITS,
    as_text,
    clean,
    digest_of,
    fault_of,
    given_of,
    has_control_character,
    hash_of_length,
    hashed,
    is_formula,
    read,
    rule_of,
    value_of,
)
from liveramp_provider.core.rows import HIDDEN_KEY, Rows, count_where, nothing, staged, totals

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destination import Column, PiiFile

#: Why a given value cannot be used at LiveRamp.
VALUE_REASONS = ("email_format", "prehashed_without_column", "phone_format", "zip_format", "formula")

#: … and, beyond that, at receivers who want other forms.
MORE_REASONS = {
    Form.LOWER_NAME: "name_format",
    Form.LETTERS: "name_format",
    Form.TWO_LETTERS: "code_format",
    Form.LOWER_DEVICE: "device_format",
    Form.GENDER: "gender_format",
    Form.YEAR: "birth_format",
    Form.MONTH: "birth_format",
    Form.DAY: "birth_format",
}

#: Why a member has no row at LiveRamp; the first that applies is counted.
REASONS = ("key_formula", "no_identifier", *VALUE_REASONS, "address_incomplete")

_CONTROL_CHARACTERS = "control characters"
_FORMULAS = "formulas"


def pii_rows(file: PiiFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out; `profiles` is in key order, and so are they.

    A row needs what its receiver can match: one of the sets of identifiers in the file's rules.
    """
    table = staged(engine, _judged(file, profiles), scratch / f"rows-{file.slot}.parquet")
    kept = table.filter(table.reason.isnull())
    values = _value_reasons(file)
    reasons = ("key_formula", "no_identifier", *values, "address_incomplete")
    counts = totals(engine, table, rows="members", **{reason: table.reason == reason for reason in reasons})
    faults = [kept[fault_of(trait)] for trait, _ in file.matching]
    blanked = totals(
        engine,
        kept,
        rows="rows",
        **{reason: count_where(fault.identical_to(reason) for fault in faults) for reason in values},
        control_character=kept[_CONTROL_CHARACTERS],
        formulas=kept[_FORMULAS],
    )
    rows, fields = blanked.pop("rows"), blanked.pop(_FORMULAS)
    blanked["formula"] += fields
    return Rows(
        table=kept.select(
            kept.member_id.name(file.key_header or HIDDEN_KEY), *(_cell(column, kept) for column in file.columns)
        ),
        count=rows,
        members=rows,
        waterfall={**counts, "rows": rows},
        blanked=blanked,
    )


def _value_reasons(file: PiiFile) -> tuple[str, ...]:
    """The reasons that the forms of this file know."""
    more = dict.fromkeys(MORE_REASONS[form] for form in file.rules.forms.values() if form in MORE_REASONS)
    zeros = ["device_zero"] if "device_format" in more else []
    return (*VALUE_REASONS, *more, *zeros)


def _text(trait: str) -> str:
    return f"text of {trait}"


def _judged(file: PiiFile, profiles: ir.Table) -> ir.Table:
    """Every member with normalised values and, where there will be no row, the reason."""
    rules = {trait: rule_of(identifier, file.rules) for trait, identifier in file.matching}
    fields = list(dict.fromkeys(column.trait for column in file.columns if isinstance(column, TraitColumn)))
    one_line = [
        column.trait
        for column in file.columns
        if isinstance(column, TraitColumn)
        or (isinstance(column, IdentifierColumn) and rules[column.trait] is FREE_TEXT)
    ]
    table = read(profiles, rules)
    table = table.mutate(
        **{fault_of(trait): _fault(file, trait, table) for trait in rules},
        **{_text(trait): clean(as_text(table[trait])) for trait in fields},
        **{_CONTROL_CHARACTERS: count_where(has_control_character(as_text(table[trait])) for trait in one_line)},
    )
    table = _without_formulas(file, table)
    parts = [column_of(trait) for trait in rules for column_of in (value_of, digest_of, fault_of)]
    return table.select(
        "member_id", *parts, *map(_text, fields), _CONTROL_CHARACTERS, _FORMULAS, _reason(file, table).name("reason")
    )


def _without_formulas(file: PiiFile, table: ir.Table) -> ir.Table:
    """`table` without what a spreadsheet would run: identifiers get a fault, segment fields are blank and counted."""
    plain = [c for c in file.columns if not isinstance(c, SegmentColumn) and c.formula == "blank"]
    names = {value_of(c.trait): c.trait for c in plain if isinstance(c, IdentifierColumn) and c.hash is None}
    texts = [_text(c.trait) for c in plain if isinstance(c, TraitColumn)]
    fault = ibis.literal("formula")
    return table.mutate(
        **{name: is_formula(table[name]).ifelse(nothing(), table[name]) for name in (*names, *texts)},
        **{
            fault_of(trait): is_formula(table[name]).ifelse(fault, table[fault_of(trait)])
            for name, trait in names.items()
        },
        **{_FORMULAS: count_where(is_formula(table[text]) for text in dict.fromkeys(texts))},
    )


def _fault(file: PiiFile, trait: str, table: ir.Table) -> ir.StringValue:
    """A value that came hashed is of use only where the file has a column of that hash."""
    hashes = {c.hash for c in file.columns if isinstance(c, IdentifierColumn) and c.trait == trait and c.hash}
    digest = table[digest_of(trait)]
    orphaned = digest.notnull() & ~digest.length().isin([HEX_DIGITS[algorithm] for algorithm in sorted(hashes)])
    return orphaned.ifelse(ibis.literal("prehashed_without_column"), table[fault_of(trait)])


def _reason(file: PiiFile, table: ir.Table) -> ir.StringValue:
    """The first of :data:`REASONS` for a member that cannot be matched; null for one that can."""
    given = [table[given_of(trait)].notnull() for trait, _ in file.matching]
    present: dict[Identifier | Detail, ir.BooleanValue] = dict.fromkeys((*Identifier, *Detail), ibis.literal(False))
    for trait, identifier in file.matching:
        present[identifier] |= table[given_of(trait)].notnull() & table[fault_of(trait)].isnull()
    matchable = reduce(or_, (reduce(and_, (present[one] for one in enough)) for enough in file.rules.matched_by))
    by_fault = [
        (reduce(or_, (table[fault_of(trait)].identical_to(reason) for trait, _ in file.matching)), reason)
        for reason in _value_reasons(file)
    ]
    no_key = is_formula(table.member_id) if file.key_header and file.key_formula == "blank" else ibis.literal(False)
    return ibis.cases(
        (no_key, "key_formula"),
        (matchable, nothing()),
        (~reduce(or_, given), "no_identifier"),
        *by_fault,
        else_="address_incomplete",
    )


def _cell(column: Column, rows: ir.Table) -> ir.Value:
    """What stands in one column; hashing waits until here, where only rows that are sent are left."""
    if isinstance(column, SegmentColumn):
        cell = ibis.literal(column.value)
    elif isinstance(column, TraitColumn):
        cell = rows[_text(column.trait)]
    else:
        cell = rows[value_of(column.trait)]
        if column.hash is not None:
            cell = hash_of_length(rows[digest_of(column.trait)], column.hash).coalesce(hashed(cell, column.hash))
    return cell.name(column.header)
