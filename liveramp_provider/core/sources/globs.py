"""Paths with wild cards, read as :func:`glob.glob` reads them also where there is no file system; and their days."""

from __future__ import annotations

import re
from contextlib import suppress
from fnmatch import fnmatchcase
from string import Formatter
from typing import TYPE_CHECKING

from liveramp_provider.core.days import parse_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

# A day may overlap what looks like one, as in 2026-11-2026-11-20.
_DAY = re.compile(r"(?=(\d{4}-\d\d-\d\d))", re.ASCII)


def path_of_day(path: str, day: date) -> str:
    """The path with `day` in its places; doubled braces are single ones then."""
    return path.format(snapshot_date=day.isoformat())


def path_of_any_day(path: str) -> str:
    """The path with wild cards in the places of the day; it may match more than days."""
    return path.format(snapshot_date="????-??-??")


def places_of_the_day(path: str) -> int:
    """How often ``{snapshot_date}`` stands in the path."""
    return sum(name == "snapshot_date" for _, name, _, _ in Formatter().parse(path))


def fixed_prefix(pattern: str) -> str:
    """What comes before the first wild card."""
    return re.split(r"[*?[]", pattern, maxsplit=1)[0]


def matches(name: str, pattern: str) -> bool:
    """Whether a file called `name` is one of ``glob.glob(pattern, recursive=True)``."""
    parts = pattern.split("/")
    return _match(name.split("/"), [*parts, "*"] if parts[-1] == "**" else parts)


def _match(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not (names and parts):
        return not names and not parts
    if parts[0] == "**":
        return _match(names, parts[1:]) or (_shown(names[0]) and _match(names[1:], parts))
    return _fits(names[0], parts[0]) and _match(names[1:], parts[1:])


def _fits(name: str, part: str) -> bool:
    if bool(name) != bool(part):
        return False
    return fnmatchcase(name, part) and (_shown(name) or part.startswith("."))


def _shown(name: str) -> bool:
    # Wild cards leave out what begins with a dot.
    return not name.startswith(".")


def days_among(names: Iterable[str], path: str) -> list[date]:
    """The days of which `path` has a file among `names`, newest first."""
    found = set()
    for name in names:
        for written in set(_DAY.findall(name)):
            with suppress(ValueError):
                day = parse_day(written)
                if matches(name, path_of_day(path, day)):
                    found.add(day)
    return sorted(found, reverse=True)
