"""Stage 3 of 4: the delivery files, by the receiver's rules, sealed.

Rows stream from the engine through CSV, gzip and gpg into a file that gets its name only when row count, keys and
gpg's status are good. With encryption on, no readable delivery file touches a disk.
"""

from __future__ import annotations

import io
import logging
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Profiles, SealedFile
from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.naming import delivered_name, inner_name
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.suppression import read_suppressed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from liveramp_provider.core.artifacts import SuppressionList
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.rows import Rows
    from liveramp_provider.core.suppression import Suppressed
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


def build(
    audience: Audience,
    destination: Destination,
    day: date,
    profiles: Profiles,
    *,
    workspace: Workspace,
    revision: int = 1,
) -> tuple[SealedFile, ...]:
    """Every file of `destination` for that day, each judged and sealed on its own.

    Safe to repeat: a sealed file is returned as it is, byte for byte, even where encrypting again would differ. Who has
    opted out is read anew every time: where that has changed since, the file is made without them.

    :param revision: More than 1 where the day is sent again on purpose; its files have names of their own.
    :raises DataError: A file breaks one of the receiver's limits, or the suppression list is empty.
    :raises SourceError: The suppression list lacks a column or a file.
    :raises SourceUnavailableError: The suppression list cannot be read now; nothing was sealed.
    :raises EncryptionKeyError: The key may not be used any more.
    :raises EncryptionError: gpg failed; nothing was sealed.
    """
    with read_suppressed(audience, destination, day, workspace=workspace) as suppressed:
        return tuple(
            _build_file(
                audience,
                destination,
                day,
                file.of_day(day, revision=revision),
                revision=revision,
                profiles=profiles,
                suppressed=suppressed,
                workspace=workspace,
            )
            for file in destination.files
        )


def rebuild(audience: Audience, destination: Destination, sealed: SealedFile, *, workspace: Workspace) -> SealedFile:
    """`sealed` as opt-outs are now: itself where the list is still the same, else the file made anew.

    For a file that waited between build and deliver, before anything of it is at the receiver.

    :raises DataError: The file breaks one of the receiver's limits now, or the suppression list is empty or too old.
    :raises SourceError: The suppression list lacks a column or a file.
    :raises SourceUnavailableError: The suppression list cannot be read now; nothing may be sent.
    :raises SealBrokenError: It has to be made anew, and what it was made from is not staged any more.
    """
    with read_suppressed(audience, destination, sealed.day, workspace=workspace) as suppressed:
        if _digest_of_list(suppressed.record if suppressed else None) == _digest_of_list(sealed.suppression):
            return sealed
        log.info(f"build: the opt-outs have changed since {sealed.name} was sealed; it is made anew")
        profiles = workspace.staging.find(
            Profiles, sealed.made_from, audience_id=audience.id, day=sealed.day, stage="enrich"
        )
        if profiles is None:
            raise SealBrokenError(
                f"{sealed.name}: somebody has opted out since it was sealed, and the profiles it was made from are not "
                "staged any more; it was not sent. Clear the run from its extract task on."
            )
        file = next(file for file in destination.files if file.slot == sealed.slot)
        return _build_file(
            audience,
            destination,
            sealed.day,
            file.of_day(sealed.day, revision=sealed.revision),
            revision=sealed.revision,
            profiles=profiles,
            suppressed=suppressed,
            workspace=workspace,
        )


def _digest_of_list(record: SuppressionList | None) -> str:
    return record.sha256 if record else ""


def _build_file(
    audience: Audience,
    destination: Destination,
    day: date,
    file: DeliveryFile,
    *,
    revision: int,
    profiles: Profiles,
    suppressed: Suppressed | None,
    workspace: Workspace,
) -> SealedFile:
    started = monotonic()
    name = delivered_name(destination, audience_id=audience.id, slot=file.slot, day=day, revision=revision)
    inputs = _inputs(destination, file, profiles=profiles, suppressed=suppressed, name=name)
    stage = f"build-{destination.id}-{file.slot}"
    place = workspace.staging.place(audience_id=audience.id, day=day, stage=stage, inputs=inputs)
    if (sealed := place.sealed(SealedFile)) is not None:
        log.info(f"build: {sealed.name} is sealed already, {sealed.rows:,} rows")
        return sealed
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.file_rows import csv_chunks, file_rows

    with workspace.reader(audience, day) as reader:
        rows = file_rows(destination, file, profiles, suppressed, stage="build", name=name, reader=reader)
        writer = CsvWriter(file)
        path = reader.scratch / name
        inner = inner_name(destination, audience_id=audience.id, slot=file.slot, day=day, revision=revision)
        with step(f"build: writing {name}", total=rows.count) as progress:
            chunks = csv_chunks(file, name, rows, writer, progress=progress, reader=reader)
            recipient = _write(destination, chunks, path=path, inner=inner)
        with step(f"build: sealing {name}"):
            made = _sealed_file(
                audience,
                destination,
                day,
                file.of_day(day, revision=revision),
                revision=revision,
                profiles=profiles,
                suppressed=suppressed,
                rows=rows,
                writer=writer,
                path=path,
                recipient=recipient,
            )
            sealed = place.seal(reader.scratch, made)
    log.info(
        f"build: sealed {sealed.name}: {sealed.rows:,} rows, {sealed.size_bytes:,} bytes "
        f"({pace(monotonic() - started, sealed.rows)})"
    )
    return sealed


def _inputs(
    destination: Destination,
    file: DeliveryFile,
    *,
    profiles: Profiles,
    suppressed: Suppressed | None,
    name: str,
) -> dict[str, object]:
    """All that the sealed bytes depend on."""
    return {
        "profiles": profiles.sha256,
        "suppressed": _digest_of_list(suppressed.record if suppressed else None),
        "file": file,
        "name": name,
        "recipient": ",".join(destination.encryption.recipients) if destination.encryption else "",
    }


def _write(destination: Destination, chunks: Iterator[bytes], *, path: Path, inner: str) -> str:
    """CSV chunks → gzip → gpg → `path`, as the destination asks; whom it is encrypted to, empty where it is not."""
    from liveramp_provider.core.csv import ChunkReader, gzipped
    from liveramp_provider.core.pgp import encrypt

    if destination.compression == "gzip":
        chunks = gzipped(chunks)
        inner += ".gz"
    if destination.encryption is None:
        with path.open("xb") as file:
            file.writelines(chunks)
        return ""
    reader = ChunkReader(chunks)
    key = encrypt(
        io.BufferedReader(reader, 1 << 20),
        destination.encryption,
        target=path,
        inner_name=inner,
        now=datetime.now(UTC),
    )
    if reader.failure is not None:
        raise reader.failure
    log.info(f"build: {path.name} is encrypted to subkey {key.subkey} of {key.primary}")
    return key.primary


def _sealed_file(
    audience: Audience,
    destination: Destination,
    day: date,
    file: DeliveryFile,
    *,
    revision: int,
    profiles: Profiles,
    suppressed: Suppressed | None,
    rows: Rows,
    writer: CsvWriter,
    path: Path,
    recipient: str,
) -> SealedFile:
    return SealedFile(
        path=path,
        audience=audience.id,
        destination=destination.id,
        slot=file.slot,
        day=day,
        name=path.name,
        rows=writer.rows,
        members=rows.members,
        header=file.headers,
        csv_bytes=writer.size_bytes,
        csv_sha256=writer.sha256,
        size_bytes=path.stat().st_size,
        sha256=digest_of(path),
        made_from=profiles.sha256,
        recipient=recipient,
        waterfall=rows.waterfall,
        blanked=rows.blanked,
        suppression=suppressed.record if suppressed else None,
        revision=revision,
        delimiter=file.rules.layout.delimiter,
    )
