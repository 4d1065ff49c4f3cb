"""How a step is going: a line every ten seconds while it runs, and counts, durations and rates in one form."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

#: Seconds between two lines; a step that takes less says nothing.
INTERVAL_S = 10.0

# A rate over less time than this is noise.
_SHORTEST_S = 0.1

Unit = Literal["rows", "bytes"]


@dataclass(slots=True, kw_only=True)
class Progress:
    """A step that is under way; as text, the line that is logged.

    :param what: The stage and what it does, such as ``extract: reading membership``.
    :param total: How many rows or bytes there will be; ``None`` where nobody knows before.
    """

    what: str
    unit: Unit
    total: int | None
    done: int = 0
    started: float = field(default_factory=monotonic)

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count

    def __str__(self) -> str:
        seconds = monotonic() - self.started
        parts = [duration(seconds)]
        if self.total:
            parts.append(f"{self.done:,} of {self.total:,} {self.unit} ({self.done / self.total:.0%})")
        elif self.done:
            parts.append(f"{self.done:,} {self.unit}")
        if self.done and seconds >= _SHORTEST_S:
            parts.append(rate(self.done, seconds, self.unit))
        return f"{self.what}: {', '.join(parts)}"


_innermost: ContextVar[Progress | None] = ContextVar("innermost step", default=None)


@contextmanager
def step(what: str, *, unit: Unit = "rows", total: int | None = None) -> Iterator[Progress]:
    """A step that says every :data:`INTERVAL_S` seconds how it is going, also where one long call hides all counts."""
    progress = Progress(what=what, unit=unit, total=total)
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(progress, over), name="progress", daemon=True)
    teller.start()
    outer = _innermost.set(progress)
    try:
        yield progress
    finally:
        _innermost.reset(outer)
        over.set()
        teller.join()


def count(done: int) -> None:
    """So many more are done of the innermost step of this thread; sources count so, who do not know their stage."""
    if (progress := _innermost.get()) is not None:
        progress.add(done)


def _tell(progress: Progress, over: threading.Event) -> None:
    while not over.wait(INTERVAL_S):
        log.info("%s", progress)


def pace(seconds: float, done: int, unit: Unit = "rows") -> str:
    """What a finished stage says of its time: ``1.9 s, 5,300 rows/s``, and no rate where it would be noise."""
    took = duration(seconds)
    return f"{took}, {rate(done, seconds, unit)}" if done and seconds >= _SHORTEST_S else took


def duration(seconds: float) -> str:
    """A time as people say it: ``under 0.1 s``, ``1.9 s``, ``20 s``, ``3 min 20 s``, ``6 h``, ``1 h 30 min``."""
    whole = round(seconds)
    if seconds < _SHORTEST_S:
        return f"under {_SHORTEST_S} s"
    if whole < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(divmod(whole, 60), "min", "s")
    return _two(divmod(whole // 60, 60), "h", "min")


def _two(amounts: tuple[int, int], large: str, small: str) -> str:
    return f"{amounts[0]} {large}" + (f" {amounts[1]} {small}" if amounts[1] else "")


def rate(done: int, seconds: float, unit: Unit) -> str:
    """Two digits that count: ``5,300 rows/s``, ``1.9 MB/s``."""
    per_second = done / seconds
    if unit == "rows":
        return f"{_rounded(per_second)} rows/s"
    scale, name = next(pair for pair in ((1e6, "MB"), (1e3, "kB"), (0, "bytes")) if per_second >= pair[0])
    return f"{_rounded(per_second / (scale or 1))} {name}/s"


def _rounded(amount: float) -> str:
    shown = float(f"{amount:.2g}")
    return f"{shown:,.0f}" if shown >= 10 else f"{shown:g}"
