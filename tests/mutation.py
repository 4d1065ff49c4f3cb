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

#: Where less of all changes is seen, in percent, the run fails.
LEAST_PERCENT = 90

#: A test fails, or does not end.
SEEN = ("killed", "timeout", "segfault")


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
    other = found.total() - seen - found["survived"]
    return f"| {name} | {found.total():,} | {seen:,} | {found['survived']:,} | {other:,} | {seen / found.total():.1%} |"


def main() -> int:
    """Print the table, and each change that no test saw; returns the exit code."""
    found = dict(outcomes())
    in_all = Counter(outcome for changes in found.values() for outcome in changes.values())
    lines = ["| module | changes | seen | not seen | not tried | score |", "|---|---|---|---|---|---|"]
    lines += [row(f"`{module}`", Counter(changes.values())) for module, changes in found.items()]
    lines += [row("**all**", in_all), ""]
    lines += [
        f"{change}: {outcome}"
        for changes in found.values()
        for change, outcome in changes.items()
        if outcome not in SEEN
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if sum(in_all[outcome] for outcome in SEEN) * 100 >= LEAST_PERCENT * in_all.total() else 1


if __name__ == "__main__":
    sys.exit(main())
