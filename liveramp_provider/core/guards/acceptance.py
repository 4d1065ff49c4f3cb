"""What a person may have sent although a guard refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Guard(StrEnum):
    """What may speak against a file, by the word with which a person accepts it."""

    BACKDATED = "backdated"
    HEADER = "header"
    SHRINK = "shrink"

    @property
    def meaning(self) -> str:
        """What is let through where it is accepted."""
        return _MEANING[self]


_MEANING = {
    Guard.BACKDATED: "an older day after a newer one",
    Guard.HEADER: "a header that is not the last one's",
    Guard.SHRINK: "far fewer members than the day before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a person wants sent although a guard refuses it, and why."""

    guards: frozenset[Guard] = frozenset()
    why: str = ""


NOTHING_ACCEPTED = Acceptance()
