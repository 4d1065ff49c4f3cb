"""A delivery file's rows and their bytes, held to its receiver's limits: what build seals is what preview shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import DataError, SealBrokenError
from liveramp_provider.core.guards.limits import check_limits
from liveramp_provider.core.progress import step
from liveramp_provider.core.suppression import without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from liveramp_provider.core.artifacts import Base, Profiles
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.progress import Progress
    from liveramp_provider.core.rows import Rows
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.suppression import Suppressed

_BATCH_ROWS = 100_000


def file_rows(
    destination: Destination,
    file: DeliveryFile,
    profiles: Profiles,
    suppressed: Suppressed | None,
    *,
    stage: str,
    name: str,
    reader: Reader,
) -> Rows:
    """The rows of `file`, worked out in the reader's scratch folder.

    :param suppressed: Who is left out of it.
    :param stage: Who asks, as progress says it.
    :param name: What progress calls the file.
    :raises DataError: The rows break one of the receiver's limits.
    """
    table = reader.engine.read_parquet(profiles.path)
    if suppressed is not None:
        with step(f"{stage}: leaving out of {name} who has opted out"):
            table = without(suppressed, table, reader)
    with step(f"{stage}: working out the rows of {name}"):
        rows = file.rows(table, engine=reader.engine, scratch=reader.scratch)
    with step(f"{stage}: holding {name} against the limits"):
        check_limits(file, rows, receiver=destination.receiver, engine=reader.engine)
    return rows if suppressed is None else replace(rows, waterfall=_from_all_members(profiles, rows.waterfall))


def rows_since(file: DeliveryFile, rows: Rows, base: Base, *, stage: str, name: str, reader: Reader) -> Rows:
    """What of `rows` is new to a receiver that has `base`.

    :param stage: Who asks, as progress says it.
    :param name: What progress calls the file.
    """
    with step(f"{stage}: comparing {name} with {base.name}"):
        before = reader.engine.read_parquet(base.snapshot.path)
        return file.changes(rows, before, engine=reader.engine, scratch=reader.scratch)


def _from_all_members(profiles: Profiles, waterfall: dict[str, int]) -> dict[str, int]:
    """The waterfall with one step more: rules on rows saw only those who have not opted out."""
    members = profiles.members
    return {"members": members, "suppressed": members - waterfall["members"]} | {
        reason: count for reason, count in waterfall.items() if reason != "members"
    }


def csv_chunks(
    file: DeliveryFile, name: str, rows: Rows, writer: CsvWriter, *, progress: Progress, reader: Reader
) -> Iterator[bytes]:
    """The bytes of `rows` through `writer`; what must not be sealed fails at the latest after the last chunk.

    :param progress: Counts the rows as they go; whoever encrypts takes the chunks in another thread.
    :raises DataError: The keys are not unique and ascending, or the CSV is larger than the receiver takes.
    :raises SealBrokenError: Other than the counted rows were written.
    """
    batches = reader.engine.to_pyarrow_batches(rows.table, chunk_size=_BATCH_ROWS)
    yield from writer.chunks(_counted(batches, progress))
    if writer.rows != rows.count:
        raise SealBrokenError(f"{name}: {rows.count:,} rows were due and {writer.rows:,} written; not sealed.")
    limits = file.rules.limits
    if limits is not None and writer.size_bytes > limits.max_bytes:
        raise DataError(f"{name}: {writer.size_bytes:,} bytes before compression; {limits.max_bytes:,} are taken.")


def _counted(batches: Iterable[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress.add(batch.num_rows)
