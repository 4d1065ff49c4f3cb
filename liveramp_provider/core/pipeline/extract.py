"""Stage 1 of 4: who is in the audience on that day."""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Membership
from liveramp_provider.core.engine import write_parquet
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of

if TYPE_CHECKING:
    from datetime import date

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


def extract(audience: Audience, day: date, *, workspace: Workspace, refresh: str = "") -> Membership:
    """The members of `audience` on `day`: their keys, unique, in byte order, sealed.

    Safe to repeat: a day that is sealed is returned as it was last read, whatever the source says now.

    :param refresh: Why the day is to be read once more although it is sealed, and for whom; it is kept with what is
        sealed beside the old. Asked again for the same, it is not read again.
    :raises DataError: The source has no rows of that day, or no dates where it says from when a row holds.
    :raises SourceError: The source lacks a column, a file, or the day.
    :raises SourceUnavailableError: The source broke off; nothing was sealed.
    """
    started = monotonic()
    # The zone says when the day ends.
    inputs = {"membership": audience.membership, "zone": audience.schedule.timezone}
    place = workspace.staging.place(audience_id=audience.id, day=day, stage="extract", inputs=inputs, refresh=refresh)
    if (sealed := place.sealed(Membership)) is not None:
        log.info(f"extract: {day} is sealed already, {sealed.members:,} members")
        return sealed
    refreshed = place.refreshing(Membership)
    if refreshed is not None:
        log.info(f"extract: {day} is read once more: {refresh}. What was delivered of it stays as it was delivered")
    with workspace.reader(audience, day) as reader:
        sealed = place.seal(reader.scratch, replace(_members(audience, day, reader), refresh=refreshed))
    log.info(
        f"extract: {sealed.rows_read:,} rows, {sealed.blank_keys:,} without a key, {sealed.repeated_keys:,} repeated: "
        f"{sealed.members:,} members ({pace(monotonic() - started, sealed.rows_read)})"
    )
    return sealed


def _members(audience: Audience, day: date, reader: Reader) -> Membership:
    """The unique keys of the source in byte order, with the account of the other rows."""
    from liveramp_provider.core.identifiers import as_text, clean
    from liveramp_provider.core.traits.as_of import rows_of_day, validity, validity_columns

    key, as_of = audience.membership.key, audience.membership.as_of
    with step("extract: reading membership"):
        rows = reader.table(audience.membership.source, [key, *validity_columns(as_of)], label="membership")
        keyed = rows.select(member_id=clean(as_text(rows[key])), **validity(rows, as_of))
        if as_of is not None:
            keyed = rows_of_day(keyed, as_of, reader=reader, label="membership")
    path = reader.scratch / "membership.parquet"
    with step("extract: putting keys in order, each once"):
        write_parquet(reader.engine, keyed.filter(keyed.member_id.notnull()).distinct().order_by("member_id"), path)
    with step("extract: counting"):
        counted = keyed.aggregate(rows=keyed.count(), given=keyed.member_id.count())
        counts = reader.engine.to_pyarrow(counted).to_pylist()[0]
        unique = int(reader.engine.to_pyarrow(reader.engine.read_parquet(path).count()).as_py())
    if not counts["rows"]:
        # Sealed, an empty day would stay empty, although it may just not be written yet.
        raise DataError(
            f"membership: the source has no rows of {day}; nothing was sealed. "
            "If the day is not written yet, clear this task when it is."
        )
    return Membership(
        path=path,
        sha256=digest_of(path),
        rows_read=counts["rows"],
        blank_keys=counts["rows"] - counts["given"],
        repeated_keys=counts["given"] - unique,
        members=unique,
        sources=tuple(reader.records),
    )
