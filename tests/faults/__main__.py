"""Prints the fault table, and says with its exit code whether every promise was kept.

Numbers of rows as arguments: only those, without the comparison.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

from rich.console import Console
from rich.progress import track


def main(rows: frozenset[int]) -> int:
    """Try everything, or these rows; returns 1 where a promise was broken."""
    with tempfile.TemporaryDirectory(prefix="lr-faults-airflow-") as home:
        # Airflow reads its environment when it is imported.
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        from tests.faults.plan import cases_of, every_case
        from tests.faults.runner import run, without_pauses
        from tests.faults.table import comparison, table

        started, console = time.monotonic(), Console(file=sys.__stderr__)
        with without_pauses():
            cases = cases_of(rows) if rows else every_case()
            seen = [run(case) for case in track(cases, "Faults", console=console)]
            lines, broken = table(seen, rows)
            beside = [] if rows else comparison(seen)
        print("\n".join([*lines, "", *beside]))  # noqa: T201 - a command
        console.print(f"{time.monotonic() - started:,.0f} seconds")
        for sentence in broken:
            console.print(f"✗ {sentence}", markup=False)
        return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(frozenset(map(int, sys.argv[1:]))))
