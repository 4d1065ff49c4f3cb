"""Rows 37, 38 and 58, which need no server of their own kind: the ledger, and how many members there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from liveramp_provider.core.staging import Staging
from liveramp_provider.core.transports.remembering import RememberingTransport
from tests.faults.outcomes import DOUBT, ONCE, STOPPED, Outcome, Told
from tests.faults.process_cases import WAYS
from tests.faults.runner import TRIES, Case, Scene, with_retries

if TYPE_CHECKING:
    from pathlib import Path

_WAYS = ("SFTP B", "S3")
_SMALLEST = 25


def cases() -> Iterator[Case]:
    """Every case of these rows."""
    for way in _WAYS:
        at = partial(Case, way=way, receive=WAYS[way])
        for name, ruin in {"bytes that are no database": garbage, "a folder in its place": folder}.items():
            yield at(row=37, name=f"{name}, from the beginning", promise=STOPPED, inject=partial(before, ruin=ruin))
            told_as_failed = frozenset((Outcome.FALSE_ALARM,))
            yield at(row=37, name=f"{name}, after a delivery", promise=told_as_failed, drive=partial(after, ruin=ruin))
        for members in range(_SMALLEST + 2):
            promise = ONCE if members >= _SMALLEST else STOPPED
            inject = partial(with_members, members=members)
            yield at(row=58, name=f"{members} members", promise=promise, inject=inject)
    for way, receive in WAYS.items():
        drive = partial(after, ruin=lost)
        yield Case(
            row=38,
            name="lost after a delivery",
            way=way,
            promise=DOUBT,
            receive=receive,
            inject=remembering,
            drive=drive,
        )


def garbage(ledger: Path) -> None:
    """Make of it what nobody can read."""
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_bytes(b"?" * 5000)


def folder(ledger: Path) -> None:
    """Put a folder in its place."""
    ledger.unlink(missing_ok=True)
    ledger.mkdir(parents=True)


def lost(ledger: Path) -> None:
    """Lose it."""
    ledger.unlink()


def remembering(scene: Scene) -> None:
    """Every try remembers in staging that it began, as in Airflow."""
    staging = Staging(scene.home / "staging")
    scene.ways = [RememberingTransport(scene.receiver.transport, staging) for _ in range(1 + 2 * TRIES)]


def before(scene: Scene, *, ruin: object) -> None:
    """The ledger is ruined before the first try."""
    assert callable(ruin)
    ruin(scene.delivering.ledger_file)


def after(scene: Scene, *, ruin: object) -> Told:
    """The ledger is ruined after the file was delivered, and the task is cleared."""
    assert callable(ruin)
    scene.attempt()
    ruin(scene.delivering.ledger_file)
    return with_retries(scene)


def with_members(scene: Scene, *, members: int) -> None:
    """The file is of so many members."""
    scene.delivering.file = replace(scene.delivering.file, members=members)
