"""How many small changes of the code that delivers are seen by its tests: ``make mutants``.

mutmut makes the changes and knows which tests come near each of them. Here is what it lacks: tests that are collected
once for all changes, a limit to the time that one change may take, and the table in ``docs/reliability.md``. It leaves
what it found in ``mutants/``, beside its copy of each module, and goes on from there when it is run again.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.runners.harness import PytestRunner, TestRunner
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.workers.isolation import ForkRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FOUND = Path("mutants")

#: A change that gets through tests of so many seconds counts as not seen, though a longer test may see it.
SECONDS_PER_CHANGE = 15

#: Two cores, and tests that wait.
AT_ONCE = 3

#: Where the score is lower, in percent, the run fails.
LEAST_PERCENT = 90

#: A test fails, or does not end.
SEEN = ("killed", "timeout", "segfault")


class CollectedOnce(TestRunner):
    """Tests of a session of pytest that has collected them all; each change gets a copy of its process."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._tests = {item.nodeid: item for item in session.items}

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        """Run `tests` until one fails; this process ends with what is returned."""
        with Path(os.devnull).open("w") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)
        os.chdir(_FOUND)
        chosen = [self._tests[test] for test in tests]
        for test, following in itertools.zip_longest(chosen, chosen[1:]):
            test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
            if self._session.testsfailed:
                self._session._setupstate.teardown_exact(None)
                return 1
        return 0


class Loop:
    """What pytest does in place of running the tests: it tries all `names` of changes."""

    def __init__(self, names: tuple[str, ...], home: Path) -> None:
        self._names = names
        self._home = home

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the changes; those that were tried before only if they are named."""
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all
        os.chdir(self._home)
        runner = ForkRunner(AT_ONCE, CollectedOnce(session))
        changes, _ = mutmut.collect_source_file_mutation_data(mutant_names=self._names)
        due = [(module, name) for module, name, before in changes if self._names or before is None]
        module_of = {name: module for module, name in due}
        random.Random(0).shuffle(due)  # whoever stops this early has a fair sample
        done = 0

        def wait() -> None:
            nonlocal done
            mutmut._register_mutant_result(runner.wait_for_result(), module_of)
            done += 1
            sys.stderr.write(f"\r{done:,} of {len(due):,} changes")

        runner.startup()
        for _, name in due:
            while not runner.has_capacity():
                wait()
            tests = quickest(state().tests_by_mangled_function_name[mutmut.mangled_name_from_mutant_name(name)])
            seconds = sum(state().duration_by_test[test] for test in tests)
            limit = (seconds + config().timeout_constant) * config().timeout_multiplier
            runner.submit(name, tests, cpu_time_limit=int(limit), estimated_time=seconds)
        while runner.pending_count():
            wait()
        runner.shutdown()
        os.chdir(_FOUND)
        return True


def quickest(tests: Iterable[str]) -> list[str]:
    """As many tests as fit in the time, which their files share alike; what one leaves over, the next ones have."""
    by_file = defaultdict(list)
    for test in sorted(tests, key=lambda test: (state().duration_by_test[test], test)):
        by_file[test.partition("::")[0]].append(test)
    files = sorted(by_file.values(), key=lambda tests: sum(state().duration_by_test[test] for test in tests))
    chosen, left = [], float(SECONDS_PER_CHANGE)
    for number, file in enumerate(files):
        share = left / (len(files) - number)
        for test in file:
            if state().duration_by_test[test] <= share:
                chosen.append(test)
                share -= state().duration_by_test[test]
                left -= state().duration_by_test[test]
    return chosen


def make_changes() -> None:
    """Change every module in every way, and find out which tests come near what, where that is not known yet."""
    mutmut.set_mutant_under_test("mutant_generation")
    _FOUND.mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(AT_ONCE)
    mutmut.collect_or_load_stats(ForkRunner(1, PytestRunner()), apply_config_invalidation=True)
    mutmut.set_mutant_under_test("")
    # What these import, no copy of this process has to import again.
    if PytestRunner().run_tests(mutant_name=None, tests=quickest(state().duration_by_test)):
        sys.exit("A test fails without any change.")


def try_changes(names: tuple[str, ...]) -> None:
    """Try each change that was not tried yet, or that is among `names`, which may have ``*`` for anything."""
    home = Path.cwd()
    os.chdir(_FOUND)
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--rootdir=.", "--capture=no", f"--basetemp={scratch}/tests", "-o", "tmp_path_retention_policy=none"]
        pytest.main(
            [*options, *config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection],
            plugins=[Loop(names, home)],
        )
    os.chdir(home)


def outcomes() -> Iterator[tuple[str, dict[str, str]]]:
    """Every module that was changed, with what became of each change."""
    for path in sorted(_FOUND.rglob("*.py.meta")):
        exit_codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if exit_codes:
            module = path.relative_to(_FOUND / "liveramp_provider" / "core").with_suffix("")
            yield str(module), {change: status_by_exit_code[code] for change, code in exit_codes.items()}


def row(name: str, outcome_of: dict[str, str], refused: set[str]) -> str:
    """A row of the table in ``docs/reliability.md``.

    :param refused: The changes that mypy refuses.
    """
    seen = [change for change, outcome in outcome_of.items() if outcome in SEEN]
    pass_mypy = outcome_of.keys() - refused
    counts = (len(outcome_of), len(seen), len(outcome_of) - len(seen), len(pass_mypy))
    seen_too = f"{len(pass_mypy.intersection(seen)) / len(pass_mypy):.1%}" if pass_mypy else "–"
    *told, passed = (f"{count:,}" for count in counts)
    return f"| {name} | {' | '.join(told)} | {share_seen(outcome_of):.1%} | {passed} | {seen_too} |"


def share_seen(outcome_of: dict[str, str]) -> float:
    """The mutation score: the share of all changes that a test sees."""
    return sum(outcome in SEEN for outcome in outcome_of.values()) / len(outcome_of)


def main() -> int:
    """Try what was not tried, print the table, and each change that got through; returns the exit code.

    Names of changes on the command line are tried again.
    """
    make_changes()
    try_changes(tuple(sys.argv[1:]))
    found = dict(outcomes())
    refused = set(mutmut.filter_mutants_with_type_checker())
    in_all = {change: outcome for changes in found.values() for change, outcome in changes.items()}
    lines = [
        "| module | changes | seen by a test | not seen | score | mypy lets pass | of these seen |",
        "|---|---|---|---|---|---|---|",
        *(row(f"`{module}`", changes, refused) for module, changes in found.items()),
        row("**all**", in_all, refused),
        "",
        *(f"{change}: {outcome}" for change, outcome in in_all.items() if outcome not in SEEN),
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if share_seen(in_all) * 100 >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
