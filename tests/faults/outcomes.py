"""What can become of a delivery, judged by what the receiver got and by what the last try said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a case ended."""

    ONCE = "exactly once"
    DOUBT = "in doubt"
    STOPPED = "stopped"
    FALSE_ALARM = "arrived, told as failed"
    UNTYPED = "an error of no type"
    DUPLICATE = "duplicate"
    PARTIAL = "partial"
    SILENT = "silent"


#: What may never be seen, whatever a row promises.
LIES = frozenset((Outcome.DUPLICATE, Outcome.PARTIAL, Outcome.SILENT, Outcome.UNTYPED))


ONCE = frozenset((Outcome.ONCE,))
DOUBT = frozenset((Outcome.DOUBT,))
STOPPED = frozenset((Outcome.STOPPED,))


class Told(StrEnum):
    """What one try said."""

    GREEN = "delivered"
    DOUBT = "in doubt"
    STOP = "no retry can help"
    RETRY = "try again"
    UNTYPED = "an error that is none of ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """The receiver's copies.

    :param whole: Copies of the very bytes that were sealed.
    :param torsos: Copies of anything else that came from us.
    """

    whole: int
    torsos: int

    @classmethod
    def of(cls, copies: list[bytes], sealed: bytes) -> Got:
        """Count `copies`."""
        whole = copies.count(sealed)
        return cls(whole=whole, torsos=len(copies) - whole)


def judge(got: Got, told: Told, *, torso_is_told: bool = False) -> Outcome:
    """How it ended.

    :param told: What the last try said.
    :param torso_is_told: The receiver takes files that are not finished, which no sender can prevent: then a torso is
        a lie only where the run does not say that somebody has to look.
    """
    if got.whole > 1:
        return Outcome.DUPLICATE
    if got.torsos and not (torso_is_told and told is Told.DOUBT):
        return Outcome.PARTIAL
    if told is Told.DOUBT:
        return Outcome.DOUBT
    if told is Told.GREEN:
        return Outcome.ONCE if got.whole else Outcome.SILENT
    if told is Told.UNTYPED:
        return Outcome.UNTYPED
    return Outcome.FALSE_ALARM if got.whole else Outcome.STOPPED
