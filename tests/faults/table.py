"""The table as Markdown, and whether every promise was kept."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.outcomes import LIES, Outcome
from tests.faults.rows import ROWS, Row
from tests.faults.stock import WAYS, compared, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.runner import Seen

_TESTS = Path(__file__).parents[1]
HEADING = "| # | fault | where | tried | promised | seen | |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table, as it turned out.

    :param broken: What broke the promise, a sentence each.
    """

    row: Row
    where: str
    tried: int
    seen: str
    broken: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Whether the promise was kept; a dash where nobody tried."""
        if self.broken:
            return "✗"
        return "✓" if self.tried or self.row.tests else "–"

    def __str__(self) -> str:
        tried = f"{self.tried}×" if self.tried else ""
        cells = (str(self.row.number), self.row.fault, self.where, tried, self.row.promise, self.seen, self.mark)
        return f"| {' | '.join(cells)} |"


def line_of(row: Row, seen: Sequence[Seen]) -> Line:
    """What was seen of `row`."""
    here = [one for one in seen if one.case.row == row.number]
    counts = Counter(one.outcome for one in here)
    ways = list(dict.fromkeys(one.case.way for one in here))
    told = [f"{count}× {outcome}" for outcome, count in sorted(counts.items())]
    torsos = sum(1 for one in here if one.torsos)
    if torsos:
        told.append(f"of these {torsos}× with a torso at the receiver")
    if row.tests:
        told.append("tests: " + ", ".join(_short(name) for name in row.tests))
    if row.why:
        told.append(row.why)
    return Line(
        row=row,
        where=_where(ways) or ("tests" if row.tests else "–"),
        tried=len(here),
        seen="; ".join(told),
        broken=(*_broken(here), *missing_tests(row)),
    )


def _broken(here: Sequence[Seen]) -> Iterator[str]:
    for one in here:
        if not one.kept or one.outcome in LIES:
            yield f"{one.case}: {one.outcome}{', ' + one.complaint if one.complaint else ''}"


def missing_tests(row: Row) -> Iterator[str]:
    """The tests that `row` names and that are not there."""
    for test in row.tests:
        path, _, name = test.partition("::")
        file = _TESTS / path
        if not file.is_file() or name not in _functions(file):
            yield f"row {row.number} names tests/{test}, which is not there"


@cache
def _functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"`{path.rpartition('/')[2].removesuffix('.py')}::{name.removeprefix('test_')}`"


def _where(ways: list[str]) -> str:
    sftp = [way.removeprefix("SFTP ") for way in ways if way.startswith("SFTP ")]
    others = [way for way in ways if not way.startswith("SFTP ")]
    return ", ".join([*([f"SFTP {', '.join(sftp)}"] if sftp else []), *others])


def table(seen: Sequence[Seen], numbers: frozenset[int] = frozenset()) -> tuple[list[str], list[str]]:
    """The table's lines, and what broke a promise.

    :param numbers: Only these rows; none: all.
    """
    lines = [line_of(row, seen) for row in ROWS if not numbers or row.number in numbers]
    counts = Counter(one.outcome for one in seen)
    traces = [f"{one.case}: {trace}" for one in seen for trace in one.traces]
    total = "; ".join(f"{count:,}× {outcome}" for outcome, count in sorted(counts.items()))
    text = [
        HEADING,
        "|" + "---|" * (HEADING.count("|") - 1),
        *map(str, lines),
        "",
        f"{len(seen):,} deliveries: {total}. Planted people and credentials were found {len(traces)} times.",
    ]
    return text, [*(sentence for line in lines for sentence in line.broken), *traces]


def comparison(seen: Sequence[Seen]) -> list[str]:
    """The second table: the same faults, and what became of them with what Airflow brings along."""
    lines = ["| sender | where | tried | after its retries | after a clear & rerun as well |", "|---|---|---|---|---|"]
    for way in WAYS:
        rows = {case.row for case in faults_of(way)}
        ours = [one for one in seen if one.case.way == way and one.case.row in rows]
        if ours:
            retries = Counter(one.before_the_clear for one in ours if one.before_the_clear)
            ends = Counter(one.outcome for one in ours)
            lines.append(f"| this provider | {way} | {len(ours)}× | {_counted(retries)} | {_counted(ends)} |")
        for name, retries, ends in compared(way):
            lines.append(f"| {name} | {way} | {ends.total()}× | {_counted(retries)} | {_counted(ends)} |")
    return lines


def _counted(counts: Counter[Outcome]) -> str:
    return "; ".join(f"{count}× {outcome}" for outcome, count in sorted(counts.items()))
