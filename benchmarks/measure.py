"""A piece of work in a process of its own: its time, and the most memory it held."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a piece of work took.

    :param wall_s: Seconds by the clock, once all is loaded; of several runs, the median.
    :param cpu_s: Seconds of user and system time; of several runs, the median.
    :param peak_mb: The most memory that the process ever held, with all it has loaded; of several runs, the highest.
    :param told: What the work says of its outcome; the same in every run.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    told: dict[str, Any]


def measured(module: str, *arguments: str) -> Measured:
    """Run ``python -m module arguments`` once; it writes its times and its outcome as JSON.

    :raises subprocess.CalledProcessError: It fails.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own modules
        written = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(peak_mb=usage.ru_maxrss * unit / 1e6, **json.loads(written))


def middle(runs: Sequence[Measured]) -> Measured:
    """Several runs of the same work as one.

    :raises ValueError: They had different outcomes.
    """
    if any(run.told != runs[0].told for run in runs):
        raise ValueError("the runs had different outcomes")
    return Measured(
        wall_s=statistics.median(run.wall_s for run in runs),
        cpu_s=statistics.median(run.cpu_s for run in runs),
        peak_mb=max(run.peak_mb for run in runs),
        told=runs[0].told,
    )


def in_turns(cases: Mapping[str, Callable[[], Measured]], runs: int) -> dict[str, Measured]:
    """Every case so often, after one run that does not count; in turns, so that a busy minute harms all alike."""
    for case in cases.values():
        case()
    taken = [{name: case() for name, case in cases.items()} for _ in range(runs)]
    return {name: middle([turn[name] for turn in taken]) for name in cases}
