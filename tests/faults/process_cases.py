"""Rows 29 to 33: workers that die, are told to go, come back too late, or are too many."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger import State, recorded
from liveramp_provider.testing.sftp import Pickup
from tests.faults import s3_cases, sftp_cases
from tests.faults.child import CONTEXT, Step, Work, do
from tests.faults.outcomes import ONCE, Told
from tests.faults.runner import Case, Receiver, Scene, run, with_retries
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from multiprocessing.context import ForkServerProcess

    from liveramp_provider.core.ledger import Delivery

    Receive = Callable[[Path], AbstractContextManager[Receiver]]

ROWS = frozenset((27, 29, 30, 31, 32, 33))
HOLDER = "dag/run 1/deliver"
WAYS: dict[str, Receive] = {
    **{f"SFTP {kind.name}": partial(sftp_cases.receive, pickup=kind) for kind in Pickup},
    **s3_cases.RECEIVE,
}
#: Where a worker sleeps with the ledger's lock in its hand, others cannot even ask who is at it.
_UNDER_THE_LOCK = ("Ledger.", "_")
_UNRENAMED = tuple(f"SFTP {kind.name}" for kind in sftp_cases.DIRECT)
_TWICE = ("SFTP B", "SFTP D", "S3")
#: The steps around which the ledger or the receiver changes: a matrix of all steps by all would take hours.
_DECIDING = ("Claim.advance", "Ledger.claim", "_move", "_remove", "_write", "_take_back", "_Sending._at_once")


def started(scene: Scene, ends_at: Step | None, by: signal.Signals = signal.SIGKILL) -> ForkServerProcess:
    """A try in a process of its own."""
    (scene.home / "said").unlink(missing_ok=True)
    scene.delivering.transport = scene.receiver.transport
    work = Work(
        delivering=scene.delivering,
        choices=scene.receiver.choices,
        holder=HOLDER,
        home=scene.home,
        ends_at=ends_at,
        signal=by,
        inside=scene.receiver.in_worker,
    )
    child = CONTEXT.Process(target=do, args=(work,))
    child.start()
    scene.heard += seen_from_outside(child.pid)
    return child


def try_in_a_child(scene: Scene, ends_at: Step | None = None, by: signal.Signals = signal.SIGKILL) -> Told | None:
    """One try; ``None`` when it was ended on its way."""
    child = started(scene, ends_at, by)
    child.join()
    scene.collect()
    return what_it_said(scene)


def what_it_said(scene: Scene) -> Told | None:
    """What the child said, if it came that far."""
    said = scene.home / "said"
    if not said.exists():
        return None
    name, _, text = said.read_text().partition("\n")
    scene.heard.append(text)
    return Told[name]


def seen_from_outside(pid: int | None) -> list[str]:
    """What every user of the machine can see of a process, and its own environment."""
    found = []
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/{name}").read_text(errors="replace"))
    return found


def steps_of(way: str, *before: Step) -> list[Step]:
    """Every step of a try, on a fresh scene, after tries that died at the steps `before`."""
    found: list[Step] = []

    def drive(scene: Scene) -> Told:
        for step in before:
            try_in_a_child(scene, step)
        said = try_in_a_child(scene)
        lines = (scene.home / "steps").read_text().splitlines()
        found.extend(Step(at=at, count=int(count)) for count, at in (line.split(" ", 1) for line in lines))
        return said or Told.UNTYPED

    run(Case(row=0, name="", way=way, promise=ONCE, receive=WAYS[way], drive=drive))
    return found


def killed(scene: Scene, *, steps: tuple[Step, ...]) -> Told:
    """The first tries die at these steps, one after the other; then it goes on as ever."""
    for step in steps:
        try_in_a_child(scene, step)
    return with_retries(scene)


def told_to_go(scene: Scene, *, step: Step, untidy: list[str]) -> Told:
    """The first try is told to go at that step; then it goes on as ever.

    :param untidy: Here comes what it left behind.
    """
    try_in_a_child(scene, step, signal.SIGTERM)
    for known in begun(scene):
        on_s3 = known.folder.startswith("s3://")
        # Parts at S3 are kept for the next try.
        if known.state is State.UPLOADING and not on_s3 and scene.receiver.leftovers():
            untidy.append("the upload stays")
        if (
            known.state is not State.COMMITTED
            and step.at.startswith("transports/")
            and known.lease_until > datetime.now(UTC)
        ):
            untidy.append("the lease is not released")
    return with_retries(scene)


def begun(scene: Scene) -> list[Delivery]:
    """What the ledger knows; none where it was not made yet."""
    with suppress(LedgerError):
        return recorded(scene.delivering.ledger_file)
    return []


def asleep(scene: Scene, *, step: Step) -> Told:
    """The first try falls asleep at that step; others take over and end; then it wakes up and goes on."""
    child = started(scene, step, signal.SIGSTOP)
    pid = child.pid or 0
    wait_until(lambda: state_of(pid) in "TZ", "the worker to fall asleep")
    scene.somebody_is_at_it = True
    with_retries(scene)
    os.kill(pid, signal.SIGCONT)
    child.join()
    what_it_said(scene)
    scene.somebody_is_at_it = False
    scene.collect()
    return with_retries(scene)


def state_of(pid: int) -> str:
    """The process's state as ``ps`` shows it; ``Z`` when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def all_at_once(scene: Scene, *, workers: int, holders: int) -> Told:
    """So many workers begin the same delivery at the same time, for so many runs."""
    scene.somebody_is_at_it = True
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda number: scene.attempt(holder=f"dag/run {number % holders}/deliver"), range(workers)))
    scene.somebody_is_at_it = False
    scene.collect()
    return with_retries(scene)


def cases(ways: dict[str, Receive] = WAYS, *, every: int = 1) -> Iterator[Case]:
    """Every case of these rows.

    :param every: Of the steps, only each so-manieth.
    """
    for way, receive in ways.items():
        promise = sftp_cases.ONCE_OR_DOUBT if way in _UNRENAMED else ONCE
        at = partial(Case, way=way, promise=promise, receive=receive)
        steps = steps_of(way)
        for step in steps[::every]:
            # In parts, the killed tries are those of row 27.
            row = 27 if way == "S3 in parts" else 29
            yield at(row=row, name=f"kill -9 when {step}", drive=partial(killed, steps=(step,)))
        for step in steps[:: 6 * every]:
            untidy: list[str] = []
            yield at(
                row=31,
                name=f"SIGTERM when {step}",
                drive=partial(told_to_go, step=step, untidy=untidy),
                complain=lambda _, untidy=untidy: "; ".join(untidy),
            )
        # A matrix costs minutes; other kinds of servers differ in what they take, not in what they answer.
        for first in deciding(steps)[::every] if way in _TWICE else ():
            for second in deciding(steps_of(way, first))[::every]:
                name = f"kill -9 when {first}, and again when {second}"
                yield at(row=30, name=name, drive=partial(killed, steps=(first, second)))
        for step in awake(steps)[::every]:
            yield at(row=32, name=f"asleep when {step}", drive=partial(asleep, step=step))
        for workers in (2, 4, 8, 16):
            for holders in (1, workers):
                name = f"{workers} workers of {holders} runs"
                yield at(row=33, name=name, drive=partial(all_at_once, workers=workers, holders=holders))


def deciding(steps: list[Step]) -> list[Step]:
    """Those around which something changes."""
    return [step for step in steps if step.at.split()[1] in _DECIDING]


def awake(steps: list[Step]) -> list[Step]:
    """Those at which the worker does not hold the ledger's lock."""
    return [
        step
        for step in steps
        if not step.at.startswith("ledger/") or not step.at.split()[1].startswith(_UNDER_THE_LOCK)
    ]
