"""What a day's files would be: names, counts and the shape of their first rows. No value of a person is in it.

Nothing here can send or encrypt: neither a transport nor PGP is imported, and nothing is sealed as a delivery.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.bases import NO_BASES
from liveramp_provider.core.destination import SegmentColumn
from liveramp_provider.core.naming import delivered_name
from liveramp_provider.core.progress import step
from liveramp_provider.core.suppression import read_suppressed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from liveramp_provider.core.artifacts import Base, Profiles
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination, Sync
    from liveramp_provider.core.rows import Rows
    from liveramp_provider.core.sources import Reader
    from liveramp_provider.core.suppression import Suppressed
    from liveramp_provider.core.workspace import Workspace

# Which places of a hash or device id hold digits is enough to know it among millions, so all its digits look alike.
_HEXADECIMAL = r"(?<![0-9A-Za-z])(?=[0-9-]*[A-Fa-f])(?:[0-9a-f-]{16,}|[0-9A-F-]{16,})(?![0-9A-Za-z])"
_PARTS = re.compile(f"{_HEXADECIMAL}|.", re.DOTALL)
_KEPT = frozenset(f"{string.punctuation} ")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePreview:
    """One delivery file as it would be.

    :param name: As it would be delivered.
    :param csv_bytes: Before compression and encryption.
    :param waterfall: From members to rows, by reason; it adds up.
    :param blanked: How many given values the rows leave blank, by reason.
    :param delimiter: What parts the fields.
    :param sample: The first rows; every value but a fixed segment is masked.
    """

    destination: str
    slot: str
    name: str
    header: tuple[str, ...]
    delimiter: str
    rows: int
    members: int
    csv_bytes: int
    waterfall: dict[str, int]
    blanked: dict[str, int]
    sample: tuple[tuple[str, ...], ...]


def preview_files(
    audience: Audience,
    destination: Destination,
    day: date,
    profiles: Profiles,
    *,
    sample_rows: int,
    workspace: Workspace,
    bases: Mapping[str, Base] = NO_BASES,
) -> Iterator[FilePreview]:
    """Every file of `destination` for that day, by the rules that build seals by.

    :param bases: What files that bring only changes build on, by slot; without one, a file brings everything.
    :raises DataError: A file breaks one of the receiver's limits, or the suppression list is empty.
    :raises SourceError: The suppression list lacks a column or a file.
    :raises SourceUnavailableError: The suppression list cannot be read now.
    """
    with read_suppressed(audience, destination, day, workspace=workspace) as suppressed:
        for file in destination.files:
            base = bases.get(file.slot)
            sync: Sync = "iter" if base else "full"
            name = delivered_name(destination, audience_id=audience.id, slot=file.slot, day=day, sync=sync)
            with workspace.reader(audience, day) as reader:
                yield _preview(
                    file.of_day(day, revision=1),
                    profiles,
                    suppressed=suppressed,
                    base=base,
                    destination=destination,
                    name=name,
                    sample_rows=sample_rows,
                    reader=reader,
                )


def _preview(
    file: DeliveryFile,
    profiles: Profiles,
    *,
    suppressed: Suppressed | None,
    base: Base | None,
    destination: Destination,
    name: str,
    sample_rows: int,
    reader: Reader,
) -> FilePreview:
    from liveramp_provider.core.csv import CsvWriter
    from liveramp_provider.core.file_rows import csv_chunks, file_rows, rows_since

    rows = file_rows(destination, file, profiles, suppressed, stage="preview", name=name, reader=reader)
    if base is not None:
        rows = rows_since(file, rows, base, stage="preview", name=name, reader=reader)
    writer = CsvWriter(file)
    with step(f"preview: counting {name}", total=rows.count) as progress:
        for _ in csv_chunks(file, name, rows, writer, progress=progress, reader=reader):
            pass  # counted and judged, and kept nowhere
    return FilePreview(
        destination=destination.id,
        slot=file.slot,
        name=name,
        header=file.headers,
        delimiter=file.rules.layout.delimiter,
        rows=writer.rows,
        members=rows.members,
        csv_bytes=writer.size_bytes,
        waterfall=rows.waterfall,
        blanked=rows.blanked,
        sample=_sample(file, rows, sample_rows, reader),
    )


def _sample(file: DeliveryFile, rows: Rows, count: int, reader: Reader) -> tuple[tuple[str, ...], ...]:
    from liveramp_provider.core.rows import HIDDEN_KEY

    fixed = {column.header for column in file.columns if isinstance(column, SegmentColumn)}
    shown = rows.table.select(column for column in rows.table.columns if column != HIDDEN_KEY)
    first = reader.engine.to_pyarrow(shown.limit(count)).to_pylist()
    return tuple(
        tuple(cell or "" if header in fixed else mask(cell or "") for header, cell in row.items()) for row in first
    )


def mask(value: str) -> str:
    """The shape of a value without its content: ``x`` and ``X`` for letters, ``9`` for digits, punctuation as it is.

    The digits of a hash, a device id or another long hexadecimal number become ``h`` or ``H``.

    >>> mask("Ann.Lee7@example.com"), mask("AEBE52E7-03EE-455A-B3C4-E57283966239")
    ('Xxx.Xxx9@xxxxxxx.xxx', 'HHHHHHHH-HHHH-HHHH-HHHH-HHHHHHHHHHHH')
    """
    return _PARTS.sub(lambda part: _hexadecimal(part[0]) if len(part[0]) > 1 else _sign(part[0]), value)


def _hexadecimal(digits: str) -> str:
    return re.sub("[^-]", "H" if digits.isupper() else "h", digits)


def _sign(character: str) -> str:
    if character in _KEPT:
        return character
    if character.isnumeric():
        return "9"
    return "X" if character.isupper() else "x"
