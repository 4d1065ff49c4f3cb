"""All cases, and the few that run with the tests."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from tests.faults import own_cases, process_cases, s3_cases, sftp_cases, syscall_cases

if TYPE_CHECKING:
    from tests.faults.runner import Case


def every_case() -> list[Case]:
    """All of them, in the order of their rows."""
    return sorted(chain(every_cheap_case(), process_cases.cases(), syscall_cases.cases()), key=lambda case: case.row)


def cases_of(rows: frozenset[int]) -> list[Case]:
    """Those of some rows; children are started only where one of them needs any."""
    costly = [module.cases() for module in (process_cases, syscall_cases) if rows & module.ROWS]
    return [case for case in chain(every_cheap_case(), *costly) if case.row in rows]


def every_cheap_case() -> list[Case]:
    """Those that need no other process, in the order of their rows."""
    cases = chain(sftp_cases.cases(), s3_cases.cases(), own_cases.cases())
    return sorted(cases, key=lambda case: case.row)


def some_cases() -> list[Case]:
    """One of every row and kind of fault, at changing receivers: what every run of the tests can afford."""
    kinds: dict[tuple[int, str], list[Case]] = {}
    for case in every_cheap_case():
        kinds.setdefault((case.row, _kind(case)), []).append(case)
    return [there[number % len(there)] for number, there in enumerate(kinds.values())]


def _kind(case: Case) -> str:
    """What goes wrong, however often and wherever; but just enough and one too few are not the same."""
    return (
        case.name
        if case.row == 58 and case.name.startswith(("24", "25"))
        else re.sub(r"(, )?\d[\d,]*×?", "", case.name)
    )
