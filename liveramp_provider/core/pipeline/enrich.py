"""Stage 2 of 4: what is known of every member, one step of the audience file after the other."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Profiles
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of

if TYPE_CHECKING:
    from datetime import date

    from liveramp_provider.core.artifacts import Membership
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


def enrich(
    audience: Audience, day: date, membership: Membership, *, workspace: Workspace, refresh: str = ""
) -> Profiles:
    """Every member of `membership` with the traits of that day, in byte order of the key, sealed.

    A member that no source knows keeps a row without traits; an audience without traits has the keys alone. Safe to
    repeat, like extract: of a function only its name counts, so changed code takes a refresh.

    :param refresh: Why the traits are to be read once more, as in extract.
    :raises DataError: A source has more rows or values for one key than were promised, or a function or an expression
        cannot take what it gets.
    :raises SourceError: A source lacks a column, a file, or the day; a function cannot be had.
    :raises SourceUnavailableError: A source broke off; nothing was sealed.
    """
    started = monotonic()
    # The zone says when the day ends.
    inputs = {"membership": membership.sha256, "steps": audience.traits, "zone": audience.schedule.timezone}
    place = workspace.staging.place(audience_id=audience.id, day=day, stage="enrich", inputs=inputs, refresh=refresh)
    if (sealed := place.sealed(Profiles)) is not None:
        log.info(f"enrich: {day} is sealed already, {sealed.members:,} members")
        return sealed
    # It loads pandas, which a parsed DAG does without.
    from liveramp_provider.core.traits.steps import GrowingProfiles

    refreshed = place.refreshing(Profiles)
    with workspace.reader(audience, day) as reader:
        profiles = GrowingProfiles(reader.engine.read_parquet(membership.path), reader)
        profiles.grow(audience.traits)
        path = reader.scratch / "profiles.parquet"
        with step("enrich: joining traits to members, in order of the key"):
            profiles.write(path)
        sealed = place.seal(
            reader.scratch,
            Profiles(
                path=path,
                sha256=digest_of(path),
                made_from=membership.sha256,
                members=membership.members,
                traits=audience.trait_names,
                sources=tuple(reader.records),
                cut=profiles.cut,
                refresh=refreshed,
            ),
        )
    cut = "".join(f", {count:,} of {trait} cut off" for trait, count in sealed.cut.items())
    log.info(
        f"enrich: {sealed.members:,} members, {len(sealed.traits)} traits from {len(audience.traits)} steps{cut} "
        f"({pace(monotonic() - started, sealed.members)})"
    )
    return sealed
