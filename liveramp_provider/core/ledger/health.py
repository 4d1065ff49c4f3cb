"""How an audience is doing, so that people are told when that changes and not every night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the newest day told of an audience.

    :param trouble: What is wrong, in words that stay the same as long as the same is wrong; empty when all is well.
    :param since: The first day of the trouble, or of the time without.
    """

    audience: str
    day: date
    trouble: str
    since: date

    @classmethod
    def before_all(cls, audience: str) -> Health:
        """The health of an audience of which nothing is known: all is well."""
        return cls(audience=audience, day=date.min, trouble="", since=date.min)

    def after(self, day: date, trouble: str) -> Health:
        """The health when a run of `day` has ended; a day older than the newest does not say how things are now."""
        if day < self.day:
            return self
        still = bool(trouble) == bool(self.trouble)
        return Health(audience=self.audience, day=day, trouble=trouble, since=self.since if still else day)
