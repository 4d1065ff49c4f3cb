"""A worker in a process of its own that ends where it is told to, by ``kill -9`` or another signal.

Where it may end is seen from outside the package: Python tells of every call and every return, and the worker kills
itself at one of them. Nothing in the package knows of it.
"""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import liveramp_provider.core.pipeline.deliver
import liveramp_provider.core.transports.s3
import liveramp_provider.core.transports.sftp
from liveramp_provider.core.ledger import Ledger
from tests.deliveries import s3_client
from tests.faults.runner import tried, without_pauses

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import FrameType

    from tests.deliveries import Delivering

_CORE = Path(liveramp_provider.core.__file__).parent
_STEPS_IN = ("pipeline/deliver", "transports/sftp", "transports/s3", "ledger/ledger")
#: Neither the ledger nor the receiver changes around these: to die there is to die before or after them.
_IDLE = ("Stretch.", "Body.", "_find", "_values", "_facts", "_new", "_parts", "_base64", "_Sending._target", "_final")
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR

#: Children are forked from a process that has loaded everything and has no threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
# Its socket lies in a folder for temporary files, which must not be that of the case that comes first.
get_temp_dir()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A place in the code where a worker may die.

    :param at: Module, function, and whether it begins or has ended.
    :param count: Which time it comes there, from 1.
    """

    at: str
    count: int

    def __str__(self) -> str:
        return f"{self.at} ({self.count})" if self.count > 1 else self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One try of the deliver task, in a child.

    :param home: What the try says is written here to ``said``, every step it took to ``steps``.
    :param ends_at: Where the child gets `signal`; ``None``: nowhere.
    :param inside: A context manager to work in.
    """

    delivering: Delivering
    choices: dict[str, str]
    holder: str
    home: Path
    ends_at: Step | None
    signal: signal.Signals
    inside: Callable[[], AbstractContextManager[None]]


def do(work: Work) -> None:
    """Try."""
    home = work.home
    tempfile.tempdir = str(home / "tmp")
    os.chdir(home)
    root = logging.getLogger()
    root.handlers[:] = [logging.FileHandler(home / "worker.log")]
    root.setLevel(logging.DEBUG)
    signal.signal(signal.SIGTERM, leave)
    steps: list[Step] = []
    with without_pauses(), work.inside():
        watcher = _watcher(steps, work)
        # What talks to a server does so in a thread.
        threading.setprofile(watcher)
        sys.setprofile(watcher)
        try:
            said, text = tried(work.delivering, work.choices, holder=work.holder)
        finally:
            sys.setprofile(None)
    (home / "steps").write_text("".join(f"{step.count} {step.at}\n" for step in steps))
    (home / "said").write_text(f"{said.name}\n{text}")


def leave(*_: object) -> None:
    """What becomes of SIGTERM in a task of Airflow."""
    raise SystemExit


def load_everything() -> None:
    """Load what a worker loads late, so that children need not."""
    with tempfile.TemporaryDirectory() as home:
        Ledger.in_file(Path(home) / "ledger.sqlite")
    s3_client(aws_access_key_id="-", aws_secret_access_key="-")


load_everything()


def _watcher(steps: list[Step], work: Work) -> Callable[[FrameType, str, Any], None]:
    """Note every step, and die or sleep at the one."""
    counts: dict[str, int] = {}

    def watch(frame: FrameType, event: str, _: Any) -> None:
        name = _name(frame, event)
        if not name or (counts.get(name) and frame.f_code.co_flags & _SUSPENDS):
            return
        counts[name] = counts.get(name, 0) + 1
        step = Step(at=name, count=counts[name])
        if step == work.ends_at:
            # To this thread: another one would take SIGSTOP a moment later, with the ledger's lock in this one's hand.
            signal.pthread_kill(threading.get_ident(), work.signal)
        steps.append(step)

    return watch


def _name(frame: FrameType, event: str) -> str:
    """What to call this place; empty where it is none."""
    code = frame.f_code
    if event not in ("call", "return") or not code.co_filename.startswith(str(_CORE)):
        return ""
    module = code.co_filename[len(str(_CORE)) + 1 :].removesuffix(".py")
    if not module.startswith(_STEPS_IN) or "<" in code.co_qualname or code.co_qualname.startswith(_IDLE):
        return ""
    # What waits for the network comes and goes, how often depends on the weather: only its beginning is a step.
    if code.co_flags & _SUSPENDS and event == "return":
        return ""
    return f"{module} {code.co_qualname} {'begins' if event == 'call' else 'ended'}"
