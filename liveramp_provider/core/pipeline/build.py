"""Stage 3 of 4: the delivery files, by the receiver's rules, sealed.

Rows stream from the engine through CSV, gzip and gpg into a file that gets its name only when row count, keys and
gpg's status are good. With encryption on, no readable delivery file touches a disk.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Profiles, SealedFile, Snapshot
from liveramp_provider.core.bases import NO_BASES
from liveramp_provider.core.engine import write_parquet
from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.naming import delivered_name, inner_name
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.suppression import read_suppressed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from liveramp_provider.core.artifacts import Base, SuppressionList
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.naming import FileOfDay
    from liveramp_provider.core.rows import Rows
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.staging import Place
    from liveramp_provider.core.suppression import Suppressed
    from liveramp_provider.core.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """A file that is to be made, and what it is made from."""

    audience: Audience
    destination: Destination
    day: date
    file: DeliveryFile
    revision: int
    profiles: Profiles
    suppressed: Suppressed | None
    base: Base | None

    @property
    def name(self) -> str:
        """At the receiver, as a whole."""
        return delivered_name(self.destination, **self.named(0))

    @property
    def rows_from(self) -> dict[str, object]:
        """All that its rows depend on, but for the base."""
        suppressed = _digest_of_list(self.suppressed.record if self.suppressed else None)
        return {"profiles": self.profiles.sha256, "suppressed": suppressed, "file": self.file}

    @property
    def inputs(self) -> dict[str, object]:
        """All that the sealed bytes depend on."""
        encryption = self.destination.encryption
        recipient = ",".join(encryption.recipients) if encryption else ""
        since = {"base": self.base.delivery_id, "before": self.base.snapshot.sha256} if self.base else {}
        limit, mark = self.destination.part_bytes, self.destination.part_mark(1)
        split = {"split": [limit, mark]} if limit is not None else {}
        return {**self.rows_from, "name": self.name, "recipient": recipient, **since, **split}

    def named(self, part: int) -> FileOfDay:
        """What its names are made of; 0: of the whole."""
        return {
            "audience_id": self.audience.id,
            "slot": self.file.slot,
            "day": self.day,
            "revision": self.revision,
            "sync": "iter" if self.base else "full",
            "part": part,
        }

    def slot(self, part: int) -> str:
        """The main file has the slot of the whole."""
        return self.file.slot if part < 2 else f"{self.file.slot}_{part}"

    def place(self, stage: str, inputs: dict[str, object], workspace: Workspace, *, part: int = 0) -> Place:
        """Where what is made of it in a stage belongs."""
        stage = f"{stage}-{self.destination.id}-{self.slot(part)}"
        return workspace.staging.place(audience_id=self.audience.id, day=self.day, stage=stage, inputs=inputs)


def build(
    audience: Audience,
    destination: Destination,
    day: date,
    profiles: Profiles,
    *,
    workspace: Workspace,
    revision: int = 1,
    bases: Mapping[str, Base] = NO_BASES,
) -> tuple[SealedFile, ...]:
    """Every file of `destination` for that day, each judged and sealed on its own.

    Safe to repeat: a sealed file is returned as it is, byte for byte, even where encrypting again would differ. Who has
    opted out is read anew every time: where that has changed since, the file is made without them.

    :param revision: More than 1 where the day is sent again on purpose; its files have names of their own.
    :param bases: What files that bring only changes build on, by slot; without one, a file brings everything.
    :raises DataError: A file breaks one of the receiver's limits, or the suppression list is empty.
    :raises SourceError: The suppression list lacks a column or a file.
    :raises SourceUnavailableError: The suppression list cannot be read now; nothing was sealed.
    :raises EncryptionKeyError: The key may not be used any more.
    :raises EncryptionError: gpg failed; nothing was sealed.
    """
    with read_suppressed(audience, destination, day, workspace=workspace) as suppressed:
        making = [
            _Making(
                audience=audience,
                destination=destination,
                day=day,
                file=file.of_day(day, revision=revision),
                revision=revision,
                profiles=profiles,
                suppressed=suppressed,
                base=bases.get(file.slot),
            )
            for file in destination.files
        ]
        return tuple(_build_file(one, workspace) for one in making)


def rebuild(
    audience: Audience,
    destination: Destination,
    sealed: SealedFile,
    *,
    workspace: Workspace,
    bases: Mapping[str, Base] = NO_BASES,
) -> SealedFile:
    """`sealed` as opt-outs, and what the receiver knows, are now: itself where they are the same, else made anew.

    For a file that waited between build and deliver, before anything of it is at the receiver.

    :param bases: As for :func:`build`.
    :raises DataError: The file breaks one of the receiver's limits now, or the suppression list is empty or too old.
    :raises SourceError: The suppression list lacks a column or a file.
    :raises SourceUnavailableError: The suppression list cannot be read now; nothing may be sent.
    :raises SealBrokenError: It has to be made anew, and what it was made from is not staged any more.
    """
    base = bases.get(sealed.slot)
    with read_suppressed(audience, destination, sealed.day, workspace=workspace) as suppressed:
        same_list = _digest_of_list(suppressed.record if suppressed else None) == _digest_of_list(sealed.suppression)
        if same_list and sealed.base in ("", base.delivery_id if base else ""):
            return sealed
        why = "another day was delivered" if same_list else "somebody has opted out"
        log.info(f"build: {why} since {sealed.name} was sealed; it is made anew")
        profiles = workspace.staging.find(
            Profiles, sealed.made_from, audience_id=audience.id, day=sealed.day, stage="enrich"
        )
        if profiles is None:
            raise SealBrokenError(
                f"{sealed.name}: {why} since it was sealed, and the profiles it was made from are not "
                "staged any more; it was not sent. Clear the run from its extract task on."
            )
        file = next(file for file in destination.files if file.slot == sealed.slot)
        making = _Making(
            audience=audience,
            destination=destination,
            day=sealed.day,
            file=file.of_day(sealed.day, revision=sealed.revision),
            revision=sealed.revision,
            profiles=profiles,
            suppressed=suppressed,
            base=base,
        )
        return _build_file(making, workspace)


def _digest_of_list(record: SuppressionList | None) -> str:
    return record.sha256 if record else ""


def _build_file(making: _Making, workspace: Workspace) -> SealedFile:
    started = monotonic()
    name = making.name
    place = making.place("build", making.inputs, workspace)
    if (sealed := place.sealed(SealedFile)) is not None:
        log.info(f"build: {sealed.name} is sealed already, {sealed.rows:,} rows")
        return sealed
    from liveramp_provider.core.file_rows import file_rows, rows_since

    with workspace.reader(making.audience, making.day) as reader:
        rows = file_rows(
            making.destination,
            making.file,
            making.profiles,
            making.suppressed,
            stage="build",
            name=name,
            reader=reader,
        )
        snapshot = _snapshot(making, rows, reader, workspace)
        if making.base is not None:
            rows = rows_since(making.file, rows, making.base, stage="build", name=name, reader=reader)
        written = list(_written(making, rows, _part_count(making, rows, reader), reader))
        with step(f"build: sealing {name}"):
            sealed = _seal(making, rows, written, snapshot=snapshot, reader=reader, workspace=workspace)
    log.info(
        f"build: sealed {sealed.name}: {sealed.rows:,} rows, {sealed.size_bytes:,} bytes "
        f"({pace(monotonic() - started, sealed.rows)})"
    )
    return sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """Finished bytes, not sealed yet."""

    path: Path
    rows: int
    csv_bytes: int
    csv_sha256: str
    recipient: str


def _part_count(making: _Making, rows: Rows, reader: Reader) -> int:
    """How many parts there will be: names say whether a file is one, so it has to be known before the first byte."""
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.file_rows import csv_chunks
    from liveramp_provider.core.splitting import parts_of_lines

    limit = making.destination.part_bytes
    if limit is None:
        return 1
    with step(f"build: measuring {making.name}", total=rows.count) as progress:
        chunks = csv_chunks(making.file, making.name, rows, CsvWriter(making.file), progress=progress, reader=reader)
        count = 0
        for part in parts_of_lines(chunks, limit):
            for _ in part.chunks():
                pass  # counted, and kept nowhere
            count += 1
        return count


def _written(making: _Making, rows: Rows, parts: int, reader: Reader) -> Iterator[_Written]:
    """The file, or each of its parts, in order."""
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.file_rows import csv_chunks
    from liveramp_provider.core.splitting import parts_of_lines

    destination, writer, limit = making.destination, CsvWriter(making.file), making.destination.part_bytes
    with step(f"build: writing {making.name}", total=rows.count) as progress:
        chunks = csv_chunks(making.file, making.name, rows, writer, progress=progress, reader=reader)
        if limit is None or parts < 2:
            path = reader.scratch / making.name
            recipient = _write(destination, chunks, path=path, inner=inner_name(destination, **making.named(0)))
            sizes = {"rows": writer.rows, "csv_bytes": writer.size_bytes}
            yield _Written(path=path, recipient=recipient, csv_sha256=writer.sha256, **sizes)
            return
        for number, part in enumerate(parts_of_lines(chunks, limit), 1):
            path = reader.scratch / delivered_name(destination, **making.named(number))
            inner = inner_name(destination, **making.named(number))
            recipient = _write(destination, part.chunks(), path=path, inner=inner)
            sizes = {"rows": part.rows, "csv_bytes": part.size_bytes}
            yield _Written(path=path, recipient=recipient, csv_sha256=part.sha256, **sizes)


def _seal(
    making: _Making, rows: Rows, written: Sequence[_Written], *, snapshot: str, reader: Reader, workspace: Workspace
) -> SealedFile:
    """Seal the parts, and last the main file, which names them: it is there when all of them are."""
    others = []
    for number, part in reversed(list(enumerate(written[1:], 2))):
        scratch = reader.scratch / f"part {number}"
        scratch.mkdir()
        place = making.place("build", {**making.inputs, "part": number}, workspace, part=number)
        # Where an earlier try had sealed it, that one stays, and the digest is its own.
        others.append(place.seal(scratch, _sealed_file(making, rows, part, number=number, snapshot=snapshot)).sha256)
    main = _sealed_file(making, rows, written[0], parts=tuple(reversed(others)), snapshot=snapshot)
    return making.place("build", making.inputs, workspace).seal(reader.scratch, main)


def _snapshot(making: _Making, rows: Rows, reader: Reader, workspace: Workspace) -> str:
    """Seal what the receiver will know, for files that build on it; its digest, empty where none does."""
    if not making.file.iterative:
        return ""
    place = making.place("snapshot", making.rows_from, workspace)
    sealed = place.sealed(Snapshot)
    if sealed is None:
        scratch = reader.scratch / "snapshot"
        scratch.mkdir()
        path = scratch / "snapshot.parquet"
        with step(f"build: keeping what {making.name} leaves at the receiver"):
            write_parquet(reader.engine, rows.table, path)
            sealed = place.seal(scratch, Snapshot(path=path, sha256=digest_of(path), rows=rows.count))
    return sealed.sha256


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
    making: _Making, rows: Rows, written: _Written, *, snapshot: str, number: int = 1, parts: tuple[str, ...] = ()
) -> SealedFile:
    return SealedFile(
        path=written.path,
        audience=making.audience.id,
        destination=making.destination.id,
        slot=making.slot(number),
        day=making.day,
        name=written.path.name,
        rows=written.rows,
        members=rows.members,
        header=making.file.headers,
        csv_bytes=written.csv_bytes,
        csv_sha256=written.csv_sha256,
        size_bytes=written.path.stat().st_size,
        sha256=digest_of(written.path),
        made_from=making.profiles.sha256,
        recipient=written.recipient,
        waterfall=rows.waterfall,
        blanked=rows.blanked,
        suppression=making.suppressed.record if making.suppressed else None,
        revision=making.revision,
        delimiter=making.file.rules.layout.delimiter,
        parts=parts,
        after=tuple(making.slot(before) for before in range(1, number)),
        base=making.base.delivery_id if making.base else "",
        snapshot=snapshot,
    )
