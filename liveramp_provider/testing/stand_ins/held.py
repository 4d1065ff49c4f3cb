"""A file as its receiver has it, and how that differs from what was sent."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.report import adds_up

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.destination import Layout
    from liveramp_provider.core.ledger import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file as its receiver has it.

    :param times: How often it came.
    :param sha256: Of its newest bytes; empty where the receiver keeps no files.
    :param rows: How many the receiver reads in them.
    :param header: Its columns; empty where the receiver reads none.
    :param refusal: Why the receiver does not take it; empty: it does.
    :param shown: What people are shown of it: headings and cells; the last one says what became of it.
    """

    times: int
    sha256: str
    rows: int
    header: tuple[str, ...]
    refusal: str
    shown: dict[str, str | int]


def mismatches(file: SealedFile, delivery: Delivery, held: Held | None, *, receiver: str) -> list[str]:
    """Where the ledger, the sealed file and the receiver disagree on one file."""
    if held is None:
        return [f"{file.name}: {receiver} never got it"]
    checks = {
        f"{receiver} says {held.refusal}": not held.refusal,
        f"{receiver} got it {held.times} times": held.times == 1,
        f"{receiver} has other bytes": held.sha256 in ("", delivery.sha256),
        f"{receiver} counts {held.rows:,} rows, not {file.rows:,}": held.rows == file.rows,
        f"{receiver} reads another header": held.header in ((), file.header),
        "the waterfall does not add up": adds_up(file.waterfall),
        f"the ledger says {delivery.state}": delivery.committed_at is not None,
    }
    return [f"{file.name}: {problem}" for problem, good in checks.items() if not good]


def read_plain(content: bytes, layout: Layout) -> tuple[tuple[str, ...], int]:
    """The header, which may be empty, and the number of rows of a plain file."""
    lines = csv.reader(
        io.StringIO(content.decode(), newline=""),
        delimiter=layout.delimiter,
        quoting=csv.QUOTE_NONE if layout.quoting == "none" else csv.QUOTE_MINIMAL,
    )
    header = tuple(next(lines, ())) if layout.header else ()
    return header, sum(1 for _ in lines)


def in_words(rows: int, columns: int, *, encrypted: bool) -> str:
    """The size of a file that was read."""
    return f"{'decrypted, ' if encrypted else ''}{rows:,} rows, {columns} column{'' if columns == 1 else 's'}"
