"""The rows of a file of e-mail addresses: one an address, ordered by what is sent of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.identifiers import (
    EMAIL,
    digest_of,
    fault_of,
    given_of,
    hash_of_length,
    hashed,
    is_formula,
    read,
    value_of,
)
from liveramp_provider.core.rows import Rows, nothing, staged, totals

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destinations.liveintent import EmailFile

#: Why a given address has no row.
REASONS = ("email_format", "prehashed_without_column", "formula", "email_shared")

# What would need quotes, and may have none.
_QUOTED = "[\"',\\s]"


def email_rows(file: EmailFile, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
    """Work the rows out: an address that several members have stands once, and counts for the smallest member id."""
    table = staged(engine, _judged(file, profiles), scratch / f"rows-{file.slot}.parquet")
    kept = table.filter(table.reason.isnull())
    counts = totals(engine, table, rows="addresses", **{reason: table.reason == reason for reason in REASONS})
    usable = table.reason.isnull()
    found = table.aggregate(
        given=table.member_id.nunique(), members=table.member_id.nunique(where=usable), rows=table.count(where=usable)
    )
    unique = engine.to_pyarrow(found).to_pylist()[0]
    members = int(engine.to_pyarrow(profiles.count()).as_py())
    return Rows(
        table=kept.select(kept.sent.name(file.key_header)),
        count=unique["rows"],
        members=unique["members"],
        waterfall={"members": members, "no_identifier": members - unique["given"], **counts, "rows": unique["rows"]},
        blanked={},
    )


def _judged(file: EmailFile, profiles: ir.Table) -> ir.Table:
    """Every given address as it is sent, with the reason where it will have no row; ordered by what is sent."""
    table = read(profiles, dict.fromkeys(file.traits, EMAIL))
    parts = []
    for number, trait in enumerate(file.traits):
        value, digest, fault = table[value_of(trait)], table[digest_of(trait)], table[fault_of(trait)]
        sent = value if file.hash is None else hash_of_length(digest, file.hash).coalesce(hashed(value, file.hash))
        part = table.filter(table[given_of(trait)].notnull()).select(
            "member_id",
            number=ibis.literal(number),
            sent=sent,
            fault=ibis.cases(
                (fault.notnull(), fault),
                (digest.notnull() & sent.isnull(), "prehashed_without_column"),
                *_plain_faults(sent) if file.hash is None else (),
                else_=nothing(),
            ),
        )
        parts.append(part)
    given = ibis.union(*parts) if len(parts) > 1 else parts[0]
    usable = given.fault.isnull()
    same = ibis.window(group_by=[usable, given.sent], order_by=[given.member_id, given.number])
    ranked = given.mutate(rank=ibis.row_number().over(same))
    shared = (ranked.fault.isnull() & (ranked["rank"] > 0)).ifelse(ibis.literal("email_shared"), ranked.fault)
    return ranked.mutate(reason=shared).drop("fault", "number", "rank").order_by("sent")


def _plain_faults(sent: ir.StringValue) -> tuple[tuple[ir.BooleanValue, str], ...]:
    return (sent.re_search(_QUOTED), "email_format"), (is_formula(sent), "formula")
