"""Who has opted out by now: read whenever files are made, whatever their day, and never kept."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import SuppressionList
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.progress import step
from liveramp_provider.core.sources import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from liveramp_provider.core.audience import Audience, Suppression
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """The people to leave out.

    :param path: Scratch Parquet file with one column ``member_id``, unique and in byte order.
    :param record: What may be kept of it.
    """

    path: Path
    record: SuppressionList


@contextmanager
def read_suppressed(audience: Audience, day: date, *, workspace: Workspace) -> Iterator[Suppressed | None]:
    """Who has opted out of `audience`, as the source says now; ``None`` where the audience has no suppression list.

    :param day: The day of the files. It does not matter who had opted out by then.
    :raises DataError: The list is empty and may not be, or none of its rows has a key.
    :raises SourceError: The source lacks a column or a file.
    :raises SourceUnavailableError: The source cannot be reached or broke off.
    """
    if audience.suppression is None:
        yield None
        return
    with workspace.staging.scratch() as scratch:
        with workspace.reader(audience, day) as reader:
            now = replace(reader, day=reader.today)
            suppressed = _read(audience.suppression, now, target=scratch / "suppressed.parquet")
        yield suppressed


def _read(suppression: Suppression, reader: Reader, *, target: Path) -> Suppressed:
    from liveramp_provider.core.identifiers import as_text, clean

    read_at = datetime.now(UTC)
    with step("suppression: reading who has opted out"):
        rows = reader.table(suppression.source, [suppression.key], label="suppression")
        keyed = rows.select(member_id=clean(as_text(rows[suppression.key])))
        reader.engine.to_parquet(keyed.filter(keyed.member_id.notnull()).distinct().order_by("member_id"), target)
        counted = keyed.aggregate(rows=keyed.count(), given=keyed.member_id.count())
        counts = reader.engine.to_pyarrow(counted).to_pylist()[0]
        keys, sha256 = _digest_of_keys(target, reader)
    _check_filled(suppression, rows=counts["rows"], keys=keys)
    log.info(f"suppression: {keys:,} people have opted out; {counts['rows'] - counts['given']:,} rows without a key")
    record = SuppressionList(
        source=name_of(suppression.source),
        read_at=read_at,
        updated_at="",
        keys=keys,
        emails=0,
        phones=0,
        sha256=sha256,
    )
    return Suppressed(path=target, record=record)


def _digest_of_keys(path: Path, reader: Reader) -> tuple[int, str]:
    """How many keys there are, and the SHA-256 over them."""
    count, digest = 0, hashlib.sha256()
    for batch in reader.engine.to_pyarrow_batches(reader.engine.read_parquet(path)):
        count += batch.num_rows
        # No clean key holds a line break.
        digest.update("".join(f"{key}\n" for key in batch.column(0).to_pylist()).encode())
    return count, digest.hexdigest()


def _check_filled(suppression: Suppression, *, rows: int, keys: int) -> None:
    # An empty list is more often a broken job than good news, and whoever is sent by mistake cannot be called back.
    if rows and not keys:
        raise DataError(
            f"suppression: none of the {rows:,} rows has a key in {suppression.key}; nothing was sealed. "
            "Correct the key in the audience file, or the source."
        )
    if not rows and not suppression.allow_empty:
        raise DataError(
            "suppression: the list is empty; nothing was sealed. Mend the source and clear this task, or write "
            "`allow_empty: true` if it may be that nobody has opted out."
        )
