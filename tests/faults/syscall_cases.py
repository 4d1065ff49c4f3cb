"""Row 41: one system call of a worker fails, injected by strace, which has to be there and allowed to trace."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.child import Step
from tests.faults.outcomes import ONCE, STOPPED, Told
from tests.faults.process_cases import WAYS, started, state_of, what_it_said
from tests.faults.runner import Case, Scene, run, with_retries
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = frozenset((41,))
#: What touches files, the ledger's among them, and the network. How often a worker waits is a matter of the weather.
CALLS = (
    *("openat", "newfstatat", "read", "pread64", "write", "pwrite64", "fdatasync", "fcntl", "lseek", "unlink", "close"),
    *("socket", "connect", "sendto", "recvfrom", "epoll_ctl"),
)
_WAYS = ("SFTP B", "S3")
_BEGIN = Step(at="pipeline/deliver deliver begins", count=1)
#: So many of each call, from the first to the last but few.
_POINTS = 3
#: The first of a thread wakes asyncio's own loop up; without it asyncio waits until Airflow's timeout.
_FIRST = {"sendto": 2}
_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


def traced(scene: Scene, *options: str) -> str:
    """One try in a process of its own under strace, from where everything is loaded on; what strace wrote."""
    log = scene.home.parent / f"{scene.home.name}.strace"
    child = started(scene, _BEGIN, signal.SIGSTOP)
    pid = child.pid or 0
    wait_until(lambda: state_of(pid) == "T", "the worker to stop")
    command = ["strace", "-f", "-s", "0", "-o", str(log), "-p", str(pid), "-e", f"trace={','.join(CALLS)}", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        status = Path(f"/proc/{pid}/status")
        wait_until(lambda: f"TracerPid:\t{tracer.pid}" in status.read_text(), "strace to follow")
        os.kill(pid, signal.SIGCONT)
        child.join()
    scene.collect()
    text = log.read_text()
    log.unlink()
    return text


def counts_of(way: str) -> Counter[str]:
    """How often the busiest thread of a try makes each call."""
    counts: Counter[str] = Counter()

    def drive(scene: Scene) -> Told:
        made = Counter(_CALL.findall(traced(scene)))
        for (_, call), count in made.items():
            counts[call] = max(counts[call], count)
        return what_it_said(scene) or Told.UNTYPED

    run(Case(row=0, name="", way=way, promise=ONCE, receive=WAYS[way], drive=drive))
    return counts


def failing(scene: Scene, *, call: str, error: str, number: int, missed: list[str]) -> Told:
    """In the first try that call fails; then it goes on as ever.

    :param missed: Here comes what was tried in vain.
    """
    text = traced(scene, "-e", f"inject={call}:error={error}:when={number}")
    if "(INJECTED)" not in text:
        missed.append("nothing was injected")
    what_it_said(scene)
    return with_retries(scene)


def spread(first: int, count: int) -> Sequence[int]:
    """Some numbers from `first` on, the last a little below `count`, which is not the same each time."""
    last = max(first, count * 9 // 10)
    return sorted({first + (last - first) * step // (_POINTS - 1) for step in range(_POINTS)})


def cases() -> Iterator[Case]:
    """Every case of this row."""
    for way in _WAYS:
        for call, count in sorted(counts_of(way).items()):
            for error in ("EIO", "EINTR"):
                for number in spread(_FIRST.get(call, 1), count):
                    missed: list[str] = []
                    yield Case(
                        row=41,
                        name=f"{error} by {call}, the {number}th",
                        way=way,
                        promise=ONCE | STOPPED,
                        receive=WAYS[way],
                        drive=partial(failing, call=call, error=error, number=number, missed=missed),
                        complain=lambda _, missed=missed: "; ".join(missed),
                    )
