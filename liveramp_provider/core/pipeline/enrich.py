"""Stage 2 of 4: what is known of every member, by a left join on the key."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Profiles
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

    from liveramp_provider.core.artifacts import Membership
    from liveramp_provider.core.audience import Audience, TraitSource
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


def enrich(audience: Audience, day: date, membership: Membership, *, workspace: Workspace) -> Profiles:
    """Every member of `membership` with the traits of that day, in byte order of the key, sealed.

    A member that no source knows keeps a row without traits. Safe to repeat, like extract.

    :raises DataError: A source has several rows for one key where one was promised.
    :raises SourceError: A source lacks a column, a file, or the day.
    :raises SourceUnavailableError: A source broke off; nothing was sealed.
    """
    started = monotonic()
    inputs = {"membership": membership.sha256, "sources": audience.traits}
    place = workspace.staging.place(audience_id=audience.id, day=day, stage="enrich", inputs=inputs)
    if (sealed := place.sealed(Profiles)) is not None:
        log.info(f"enrich: {day} is sealed already, {sealed.members:,} members")
        return sealed
    with workspace.reader(audience, day) as reader:
        members = reader.engine.read_parquet(membership.path)
        profiles = members
        for number, source in enumerate(audience.traits, start=1):
            with step(f"enrich: reading traits source {number}"):
                traits = _traits(reader, source, members=members, label=f"traits source {number}")
            # The source's own key gets a name that no trait can have.
            profiles = profiles.left_join(traits, "member_id", rname="other {name}").drop("other member_id")
        path = reader.scratch / "profiles.parquet"
        with step("enrich: joining traits to members, in order of the key"):
            reader.engine.to_parquet(profiles.order_by("member_id"), path)
        names = audience.trait_names
        sealed = place.seal(
            reader.scratch,
            Profiles(
                path=path,
                sha256=digest_of(path),
                made_from=membership.sha256,
                members=membership.members,
                traits=names,
                sources=tuple(reader.records),
                cut={},
            ),
        )
    log.info(
        f"enrich: {sealed.members:,} members, {len(names)} traits from {len(audience.traits)} sources "
        f"({pace(monotonic() - started, sealed.members)})"
    )
    return sealed


def _traits(reader: Reader, source: TraitSource, *, members: ir.Table, label: str) -> ir.Table:
    """The source's rows of members: the key as ``member_id`` and the traits under our names."""
    from liveramp_provider.core.identifiers import as_text, clean

    rows = reader.table(source.source, [source.key, *(trait.column for trait in source.traits)], label=label)
    named = rows.select(
        clean(as_text(rows[source.key])).name("member_id"),
        *(rows[trait.column].name(trait.name) for trait in source.traits),
    )
    traits = named.semi_join(members, "member_id")
    per_key = traits.group_by("member_id").aggregate(rows=traits.count())
    repeated = int(reader.engine.to_pyarrow(per_key.filter(per_key.rows > 1).count()).as_py())
    if repeated:
        raise DataError(
            f"{label}: {repeated:,} members have more than one row by {source.key}; a trait has one value a member. "
            "Aggregate in the query, or read the rows from a source with one row a key."
        )
    return traits
