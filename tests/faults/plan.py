"""All cases, and the few that run with the tests."""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING

from tests.faults import own_cases, process_cases, s3_cases, sftp_cases

if TYPE_CHECKING:
    from tests.faults.runner import Case


def every_case() -> list[Case]:
    """All of them, in the order of their rows."""
    return sorted(chain(every_cheap_case(), process_cases.cases()), key=lambda case: case.row)


def every_cheap_case() -> list[Case]:
    """Those that need no other process, in the order of their rows."""
    cases = chain(sftp_cases.cases(), s3_cases.cases(), own_cases.cases())
    return sorted(cases, key=lambda case: case.row)


def some_cases() -> list[Case]:
    """One of every row, at changing receivers, which is what every run of the tests can afford."""
    chosen = []
    for row, of_row in groupby(every_cheap_case(), key=lambda case: case.row):
        there = list(of_row)
        ways = list(dict.fromkeys(case.way for case in there))
        chosen.append(next(case for case in there if case.way == ways[row % len(ways)]))
    return chosen
