"""What a demo has delivered, and what the receivers hold of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from liveramp_provider.core.artifacts import Membership, SealedFile
from liveramp_provider.core.ledger import EVIDENCE, Delivery, Ledger, delivery_id
from liveramp_provider.core.staging import load
from liveramp_provider.report import membership_table, waterfall_table
from liveramp_provider.testing.stand_ins import mismatches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from rich.console import Console

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.staging import Artifact
    from liveramp_provider.testing.installation import Installation
    from liveramp_provider.testing.stand_ins import Held, StandIns


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One file of one destination: sealed, in the ledger, and at its receiver.

    :param held: ``None``: it never came there.
    """

    file: SealedFile
    delivery: Delivery
    held: Held | None


def report(demo: Installation, receivers: StandIns, day: date, *, sent: int, out: Console) -> list[str]:
    """Show what was delivered and what the receivers hold; returns every mismatch between the two.

    :param sent: How many files this run has sent.
    """
    every = [(there, _delivered(demo, receivers, day, there)) for there in demo.audience.destinations]
    out.print()
    if not sent:
        out.print(f"[bold]Already delivered: nothing was sent.[/] What {day} delivered earlier:")
    for there, files in every:
        if sent:
            out.print(f"[bold]Delivered to {_place(demo, there)}[/]")
        out.print(_sent_files(files))
    for grade in sorted({one.delivery.evidence for _, files in every for one in files}):
        out.print(f"evidence {grade}: {EVIDENCE[grade]}", style="dim", soft_wrap=True)
    out.print()
    out.print(membership_table(_staged(demo, Membership, day, "extract-*")))
    for there, files in every:
        if len(every) > 1:
            out.print()
            out.print(f"[bold]{_place(demo, there)}[/]")
        for one in files:
            out.print()
            out.print(waterfall_table(one.file))
    for there, files in every:
        out.print()
        out.print(_held(there, [one.held for one in files]))
    return [
        problem
        for there, files in every
        for one in files
        for problem in mismatches(one.file, one.delivery, one.held, receiver=there.receiver)
    ]


def _place(demo: Installation, there: Destination) -> str:
    """Where a destination is; which one, where there are several."""
    where = there.receiver if there.by_api else there.path
    return where if len(demo.audience.destinations) == 1 else f"{there.id}: {where}"


def _delivered(demo: Installation, receivers: StandIns, day: date, there: Destination) -> list[Delivered]:
    """The files of a destination."""
    found = []
    for file in there.files:
        key = delivery_id(destination=there.id, audience=demo.audience.id, slot=file.slot, day=day)
        delivery = Ledger.in_file(demo.home / "liveramp" / "ledger.sqlite").find(key)
        if delivery is None:
            raise SystemExit(f"the ledger knows of no delivery of {there.id}/{file.slot} on {day}")
        sealed = _staged(demo, SealedFile, day, f"build-{there.id}-{file.slot}-*", sha256=delivery.sha256)
        held = receivers.of(there).held(there, file, delivery.name)
        found.append(Delivered(file=sealed, delivery=delivery, held=held))
    return found


def _staged(demo: Installation, kind: type[Artifact], day: date, stage: str, *, sha256: str = "") -> Artifact:
    """The sealed artefact of a stage; where a changed audience file has left several, the one with that digest."""
    places = (demo.home / "liveramp" / "staging" / demo.audience.id / day.isoformat()).glob(stage)
    found = [load(kind, place) for place in sorted(places, key=lambda place: place.stat().st_mtime)]
    return next(artifact for artifact in reversed(found) if sha256 in ("", artifact.sha256))


def _sent_files(files: Sequence[Delivered]) -> Table:
    """Name, rows, bytes and evidence of each file."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("rows", "bytes", "evidence"):
        table.add_column(heading, justify="right")
    for one in files:
        delivery = one.delivery
        table.add_row(delivery.name, f"{one.file.rows:,}", f"{delivery.size_bytes:,}", delivery.evidence)
    return table


def _held(there: Destination, files: Sequence[Held | None]) -> Table:
    """What a receiver says it got, opened and took."""
    title = f"What {there.receiver} holds now"
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    rows = [held.shown for held in files if held is not None]
    for heading, cell in (rows[0] if rows else {}).items():
        table.add_column(heading, justify="right" if isinstance(cell, int) else "left")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row.values()))
    return table
