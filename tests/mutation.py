"""How many small changes of the code that delivers are seen by its tests: ``make mutants``.

mutmut makes the changes and knows which tests come near each of them. Here is what it lacks: a limit to the time that
one change may take, and the table in ``docs/reliability.md``. It leaves what it found in ``mutants/``, beside its copy
of each module, and goes on from there when it is run again.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from mutmut import __main__ as mutmut
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.workers.isolation import ForkRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FOUND = Path("mutants")

#: A change that gets through tests of so many seconds counts as not seen, though a longer test may see it.
SECONDS_PER_CHANGE = 10

#: Two cores, and tests that wait.
AT_ONCE = 3

#: Where the score is lower, in percent, the run fails.
LEAST_PERCENT = 90

#: A test fails, or does not end.
SEEN = ("killed", "timeout", "segfault")


class QuickestTests(ForkRunner):
    """Tries each change with the quickest of the tests that come near it, some of every file."""

    def submit(self, mutant_name: str, tests: list[str], cpu_time_limit: int, estimated_time: float) -> None:
        """Begin to try one change."""
        chosen = quickest(tests)
        super().submit(mutant_name, chosen, cpu_time_limit, sum(state().duration_by_test[test] for test in chosen))

    def run_clean_tests(self, tests: Iterable[str]) -> int:
        """All is well without a change: that was seen while the tests were timed."""
        return 0


def quickest(tests: Iterable[str]) -> list[str]:
    """As many tests as fit in the time: of every file the quickest, then of every file the next."""
    by_file = defaultdict(list)
    for test in sorted(tests, key=lambda test: (state().duration_by_test[test], test)):
        by_file[test.partition("::")[0]].append(test)
    in_turn = [test for turn in itertools.zip_longest(*by_file.values()) for test in turn if test]
    chosen, seconds = [], 0.0
    for test in in_turn:
        if seconds + state().duration_by_test[test] <= SECONDS_PER_CHANGE:
            chosen.append(test)
            seconds += state().duration_by_test[test]
    return chosen


def outcomes() -> Iterator[tuple[str, dict[str, str]]]:
    """Every module that was changed, with what became of each change."""
    for path in sorted(_FOUND.rglob("*.py.meta")):
        exit_codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if exit_codes:
            module = path.relative_to(_FOUND / "liveramp_provider" / "core").with_suffix("")
            yield str(module), {change: status_by_exit_code[code] for change, code in exit_codes.items()}


def row(name: str, found: Counter[str]) -> str:
    """A row of the table in ``docs/reliability.md``."""
    seen = sum(found[outcome] for outcome in SEEN)
    counts = (found.total(), seen, found.total() - seen)
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {share_seen(found):.1%} |"


def share_seen(found: Counter[str]) -> float:
    """The mutation score: the share of all changes that a test sees."""
    return sum(found[outcome] for outcome in SEEN) / found.total()


def main() -> int:
    """Try what was not tried, print the table, and each change that got through; returns the exit code.

    Names of changes on the command line, with ``*`` for anything: these are tried again.
    """
    mutmut.get_mutant_runner = lambda max_workers: QuickestTests(max_workers, mutmut.PytestRunner())
    mutmut._run(tuple(sys.argv[1:]), max_children=AT_ONCE)
    found = dict(outcomes())
    in_all = Counter(outcome for changes in found.values() for outcome in changes.values())
    lines = [
        "| module | changes | seen by a test | not seen | score |",
        "|---|---|---|---|---|",
        *(row(f"`{module}`", Counter(changes.values())) for module, changes in found.items()),
        row("**all**", in_all),
        "",
    ]
    for changes in found.values():
        lines += [f"{change}: {outcome}" for change, outcome in changes.items() if outcome not in SEEN]
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if share_seen(in_all) * 100 >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
