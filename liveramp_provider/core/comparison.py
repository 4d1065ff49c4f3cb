"""A file beside what was delivered of it before: read from an installation's ledger and staging, written to neither."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import sqlalchemy as sa

from liveramp_provider.core.artifacts import Membership, Profiles, SealedFile
from liveramp_provider.core.ledger.reading import reading
from liveramp_provider.core.ledger.records import State, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.home import Home
    from liveramp_provider.core.preview import FilePreview
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What the ledger says of one delivered file."""

    day: date
    rows: int
    members: int
    sha256: str
    committed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChanges:
    """How the membership moved between two days."""

    entered: int
    left: int
    same: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChanges:
    """How the header row changed, by header."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A file of a day beside the last delivered one.

    :param same_day: The delivery of the day itself, where it was made already.
    :param before: The newest delivery of an earlier day; ``None``: there is none.
    :param columns: ``None`` when the file of `before` is not staged any more.
    :param members: ``None`` when the membership of `before` is not staged any more.
    """

    same_day: Delivered | None
    before: Delivered | None
    columns: ColumnChanges | None
    members: MemberChanges | None


def compare(
    file: FilePreview, membership: Membership, *, audience: Audience, day: date, home: Home, workspace: Workspace
) -> Comparison:
    """What is new in `file` of `day` against what `home` delivered.

    :param membership: The members behind `file`.
    :raises LedgerError: The ledger cannot be read.
    """
    newest = _newest_delivered(home.ledger, file, audience_id=audience.id, until=day)
    same_day = next((delivered for delivered in newest if delivered.day == day), None)
    before = next((delivered for delivered in newest if delivered.day < day), None)
    sealed = _sealed(home.staging, before, file, audience) if before else None
    earlier = _membership(home.staging, sealed) if sealed else None
    return Comparison(
        same_day=same_day,
        before=before,
        columns=column_changes(sealed.header, file.header) if sealed else None,
        members=_member_changes(earlier, membership, audience, day, workspace) if earlier else None,
    )


def column_changes(old: Sequence[str], new: Sequence[str]) -> ColumnChanges:
    """What became of the headers `old`; moved are those that left the order of the others."""
    kept = [header for header in old if header in new]
    now = [header for header in new if header in old]
    blocks = SequenceMatcher(None, kept, now, autojunk=False).get_matching_blocks()
    in_order = {header for block in blocks for header in kept[block.a : block.a + block.size]}
    return ColumnChanges(
        added=tuple(header for header in new if header not in old),
        removed=tuple(header for header in old if header not in new),
        moved=tuple(header for header in now if header not in in_order),
    )


def _newest_delivered(ledger: Path, file: FilePreview, *, audience_id: str, until: date) -> list[Delivered]:
    """The last two days of `file` that were delivered up to and with `until`, newest first."""
    columns = deliveries.c
    statement = (
        sa.select(columns.day, columns.rows, columns.members, columns.sha256, columns.committed_at)
        .where(
            columns.destination == file.destination,
            columns.audience == audience_id,
            columns.slot == file.slot,
            columns.state == State.COMMITTED,
            columns.day <= until,
        )
        .order_by(columns.day.desc())
        .limit(2)
    )
    with reading(ledger) as connection:
        return [Delivered(**row) for row in connection.execute(statement).mappings()]


def _sealed(staging: Staging, delivered: Delivered, file: FilePreview, audience: Audience) -> SealedFile | None:
    stage = f"build-{file.destination}-{file.slot}"
    return staging.find(SealedFile, delivered.sha256, audience_id=audience.id, day=delivered.day, stage=stage)


def _membership(staging: Staging, file: SealedFile) -> Membership | None:
    """The members that `file` was made from, back through the profiles."""
    profiles = staging.find(Profiles, file.made_from, audience_id=file.audience, day=file.day, stage="enrich")
    if profiles is None:
        return None
    return staging.find(Membership, profiles.made_from, audience_id=file.audience, day=file.day, stage="extract")


def _member_changes(
    before: Membership, now: Membership, audience: Audience, day: date, workspace: Workspace
) -> MemberChanges:
    # The engine compares, out of core where it must: both have one row a member.
    with workspace.reader(audience, day) as reader:
        members, earlier = reader.engine.read_parquet(now.path), reader.engine.read_parquet(before.path)
        same = int(reader.engine.to_pyarrow(members.semi_join(earlier, "member_id").count()).as_py())
    return MemberChanges(entered=now.members - same, left=before.members - same, same=same)
