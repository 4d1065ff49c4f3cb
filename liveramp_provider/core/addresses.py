"""E-mails and phones on an opt-out list, and the members who have one of them: plain or hashed, on either side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import ibis

from liveramp_provider.core.destination import Hash, Identifier
from liveramp_provider.core.destinations.liveramp import REGIONS
from liveramp_provider.core.engine import write_parquet
from liveramp_provider.core.identifiers import (
    HEX_DIGITS,
    digest_of,
    given_of,
    hashed,
    read,
    rule_of,
    value_of,
)
from liveramp_provider.core.rows import staged, totals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.destination import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAddresses:
    """The addresses of one kind on a list.

    :param identifier: E-mails or phones.
    :param path: Scratch Parquet file with one column ``address``: every form that means one of these people.
    :param people: Scratch Parquet file of the addresses as they were read, each once: ``plain`` or ``digest``.
    :param hashes: Algorithms that came hashed; members' plain values have to be hashed by them to be found.
    :param given: Rows with a value.
    :param unreadable: Of these, how many are neither an address nor a hash.
    :param count: How many addresses, each counted once.
    """

    identifier: Identifier
    path: Path
    people: Path
    region: Region
    hashes: tuple[Hash, ...]
    given: int
    unreadable: int
    count: int


def listed_addresses(
    values: ir.Table, identifier: Identifier, *, region: Region, engine: Backend, path: Path
) -> ListedAddresses:
    """The addresses in the column of `values` that is called like `identifier`.

    :param region: Says how phone numbers are read.
    :param path: Where to put every form of them; beside it lies what was read.
    """
    name = identifier.value
    table = read(values.select(name), {name: rule_of(identifier, REGIONS[region].files)})
    plain = _canonical(table[value_of(name)], identifier)
    table = staged(
        engine,
        table.select(given=table[given_of(name)], plain=plain, digest=table[digest_of(name)]),
        path.with_name(f"read {path.name}"),
    )
    given = totals(engine, table, rows="rows", given=table.given.notnull(), read=_is_read(table))
    people = staged(
        engine,
        table.filter(_is_read(table)).select("plain", "digest").distinct().order_by("plain", "digest"),
        path.with_name(f"people {path.name}"),
    )
    lengths = {algorithm.value: people.digest.length() == HEX_DIGITS[algorithm] for algorithm in Hash}
    counts = totals(engine, people, rows="people", **lengths)
    forms = _forms(people.plain, identifier, region)
    meant = [people.plain, people.digest, *(hashed(form, algorithm) for form in forms for algorithm in Hash)]
    write_parquet(engine, _column(people, meant), path)
    return ListedAddresses(
        identifier=identifier,
        path=path,
        people=path.with_name(f"people {path.name}"),
        region=region,
        hashes=tuple(algorithm for algorithm in Hash if counts[algorithm.value]),
        given=given["given"],
        unreadable=given["given"] - given["read"],
        count=counts["people"],
    )


def _is_read(table: ir.Table) -> ir.BooleanValue:
    return table.plain.notnull() | table.digest.notnull()


def members_with(listed: ListedAddresses, profiles: ir.Table, traits: Iterable[str], *, engine: Backend) -> ir.Table:
    """The ``member_id`` of everybody of `profiles` who has one of the listed addresses in one of `traits`."""
    rule = rule_of(listed.identifier, REGIONS[listed.region].files)
    addresses = engine.read_parquet(listed.path)
    found = []
    for trait in traits:
        table = read(profiles.select("member_id", trait), {trait: rule})
        plain = _canonical(table[value_of(trait)], listed.identifier)
        forms = _forms(plain, listed.identifier, listed.region)
        meant = [plain, table[digest_of(trait)], *(hashed(f, algorithm) for f in forms for algorithm in listed.hashes)]
        found.append(_column(table, meant, "member_id").semi_join(addresses, "address").select("member_id"))
    return reduce(lambda one, other: one.union(other), found).distinct()


def _canonical(value: ir.StringValue, identifier: Identifier) -> ir.StringValue:
    """One spelling for one address: international numbers come with and without their plus sign."""
    return value.re_replace(r"^\+", "") if identifier is Identifier.PHONE else value


def _forms(canonical: ir.StringValue, identifier: Identifier, region: Region) -> list[ir.StringValue]:
    """The spellings that somebody may have hashed; receivers differ in how they want a phone number."""
    if identifier is not Identifier.PHONE:
        return [canonical]
    if region == "us":
        return [canonical, ibis.literal("1") + canonical, ibis.literal("+1") + canonical]
    return [canonical, ibis.literal("+") + canonical]


def _column(table: ir.Table, values: Iterable[ir.StringValue], *beside: str) -> ir.Table:
    """All `values` of every row in one column ``address``."""
    rows = [table.select(*beside, address=value) for value in values]
    stacked = reduce(lambda one, other: one.union(other), rows)
    return stacked.filter(stacked.address.notnull())
