"""A file beside what was delivered of it before: read from an installation's ledger and staging, written to neither."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.artifacts import Membership, Profiles, SealedFile
from liveramp_provider.core.ledger.reading import reading
from liveramp_provider.core.ledger.records import State, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.ledger.reading import LedgerAt
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
    :param columns: ``None`` when the file of `before` is not staged here, or not any more.
    :param delimiter: What parted its fields; ``None`` as before.
    :param members: ``None`` when the membership of `before` is not.
    """

    same_day: Delivered | None
    before: Delivered | None
    columns: ColumnChanges | None
    delimiter: str | None
    members: MemberChanges | None


def compare(
    file: FilePreview,
    membership: Membership,
    *,
    audience: Audience,
    day: date,
    ledger: LedgerAt,
    staging: Staging | None,
    workspace: Workspace,
) -> Comparison:
    """What is new in `file` of `day` against what was delivered.

    :param membership: The members behind `file`.
    :param ledger: What was delivered.
    :param staging: Where the installation's sealed artefacts lie; ``None``: only what the ledger says is compared.
    :raises LedgerError: The ledger cannot be read.
    """
    with reading(ledger) as connection:
        delivered = _delivered(file, audience_id=audience.id)
        same_day = _newest(connection, delivered.where(deliveries.c.day == day))
        before = _newest(connection, delivered.where(deliveries.c.day < day))
    sealed = _sealed(staging, before, file, audience) if staging and before else None
    earlier = _membership(staging, sealed) if staging and sealed else None
    return Comparison(
        same_day=same_day,
        before=before,
        columns=column_changes(sealed.header, file.header) if sealed else None,
        delimiter=sealed.delimiter if sealed else None,
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


def _delivered(file: FilePreview, *, audience_id: str) -> sa.Select[Any]:
    """All that was delivered of `file`."""
    columns = deliveries.c
    return sa.select(columns.day, columns.rows, columns.members, columns.sha256, columns.committed_at).where(
        columns.destination == file.destination,
        columns.audience == audience_id,
        columns.slot == file.slot,
        columns.state == State.COMMITTED,
    )


def _newest(connection: sa.Connection, delivered: sa.Select[Any]) -> Delivered | None:
    """The newest day of it, and of a day that was sent again the last delivery."""
    newest = delivered.order_by(deliveries.c.day.desc(), deliveries.c.committed_at.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    return None if row is None else Delivered(**row)


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
