"""What ``make mutants`` found out: of every module, how many changes the tests saw, and which they did not.

mutmut leaves what it found in ``mutants/``, beside its copy of each module.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mutmut.stats import status_by_exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOUND = Path("mutants")

#: Where the score is lower, in percent, the run fails.
LEAST_PERCENT = 90

#: A test fails, or does not end.
BY_A_TEST = ("killed", "timeout", "segfault")
#: mypy refuses it, before a test is run.
BY_THE_TYPES = "caught by type check"


def outcomes() -> Iterator[tuple[str, dict[str, str]]]:
    """Every module that was changed, with what became of each change."""
    for path in sorted(_FOUND.rglob("*.py.meta")):
        exit_codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if exit_codes:
            module = path.relative_to(_FOUND / "liveramp_provider" / "core").with_suffix("")
            yield str(module), {change: status_by_exit_code[code] for change, code in exit_codes.items()}


def row(name: str, found: Counter[str]) -> str:
    """A row of the table in ``docs/reliability.md``."""
    by_a_test = sum(found[outcome] for outcome in BY_A_TEST)
    other = found.total() - found[BY_THE_TYPES] - by_a_test - found["survived"]
    counts = (found.total(), found[BY_THE_TYPES], by_a_test, found["survived"], other)
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {share_seen(found):.1%} |"


def share_seen(found: Counter[str]) -> float:
    """The mutation score: the share of all changes that do not get through."""
    return sum(found[outcome] for outcome in (*BY_A_TEST, BY_THE_TYPES)) / found.total()


def main() -> int:
    """Print the table, and each change that got through; returns the exit code."""
    found = dict(outcomes())
    in_all = Counter(outcome for changes in found.values() for outcome in changes.values())
    lines = [
        "| module | changes | refused by mypy | seen by a test | not seen | not tried | score |",
        "|---|---|---|---|---|---|---|",
        *(row(f"`{module}`", Counter(changes.values())) for module, changes in found.items()),
        row("**all**", in_all),
        "",
    ]
    for changes in found.values():
        passed = (change for change in changes.items() if change[1] not in (*BY_A_TEST, BY_THE_TYPES))
        lines += [f"{change}: {outcome}" for change, outcome in passed]
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if share_seen(in_all) * 100 >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
