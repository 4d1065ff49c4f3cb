"""A snapshot day as people write it."""

from __future__ import annotations

from datetime import date


def parse_day(written: str) -> date:
    """The day of a text of the form YYYY-MM-DD.

    :raises ValueError: It is of another form. Python also reads 20261120 and 2026-W47-5, but a day has one spelling
        here, since it names files and folders and is compared in queries.
    """
    day = date.fromisoformat(written)
    if day.isoformat() != written:
        raise ValueError("not of the form YYYY-MM-DD")
    return day
