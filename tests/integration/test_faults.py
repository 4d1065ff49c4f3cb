"""A fast slice of the fault table, by the same runner; and the runner itself sees what it is there to see."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import process_cases, s3_cases, stock, syscall_cases
from tests.faults.canary import PEOPLE
from tests.faults.outcomes import LIES, ONCE, Got, Outcome, Told, judge
from tests.faults.plan import every_cheap_case, some_cases
from tests.faults.rows import ROWS, Row
from tests.faults.runner import Case, Scene, run, with_retries, without_pauses
from tests.faults.table import missing_tests, table

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Tries follow each other at once."""
    with without_pauses():
        yield


@pytest.mark.parametrize("case", some_cases(), ids=str)
def test_promise(case: Case) -> None:
    """A delivery that meets with this fault ends as promised, and leaves no trace of anybody."""
    seen = run(case)
    assert (seen.outcome in case.promise, seen.complaint, seen.traces) == (True, "", ()), seen.outcome


def test_workers_that_die_or_sleep() -> None:
    """Killed, killed while it recovers, asleep while others take over, or many at once: one file arrives."""
    way = "SFTP B"
    seen = [run(case) for case in process_cases.cases({way: process_cases.WAYS[way]}, every=30)]
    assert {one.case.row for one in seen} == process_cases.ROWS - {27}
    assert [(str(one.case), one.outcome, one.traces) for one in seen if not one.kept or one.traces] == []


# The runner.


@pytest.mark.parametrize(
    ("whole", "torsos", "told", "outcome"),
    [
        (1, 0, Told.GREEN, Outcome.ONCE),
        (0, 0, Told.GREEN, Outcome.SILENT),
        (2, 0, Told.GREEN, Outcome.DUPLICATE),
        (2, 0, Told.DOUBT, Outcome.DUPLICATE),
        (1, 1, Told.GREEN, Outcome.PARTIAL),
        (0, 1, Told.DOUBT, Outcome.PARTIAL),
        (0, 0, Told.DOUBT, Outcome.DOUBT),
        (1, 0, Told.DOUBT, Outcome.DOUBT),
        (0, 0, Told.STOP, Outcome.STOPPED),
        (0, 0, Told.RETRY, Outcome.STOPPED),
        (1, 0, Told.RETRY, Outcome.FALSE_ALARM),
        (0, 0, Told.UNTYPED, Outcome.UNTYPED),
    ],
)
def test_judgement(whole: int, torsos: int, told: Told, outcome: Outcome) -> None:
    """What the receiver got counts first, then what was said of it."""
    assert judge(Got(whole=whole, torsos=torsos), told) is outcome


def test_a_torso_that_nobody_can_prevent() -> None:
    """Where a receiver takes unfinished files, a torso is a lie unless somebody is told to look."""
    got = Got(whole=0, torsos=1)
    assert judge(got, Told.DOUBT, torso_is_told=True) is Outcome.DOUBT
    assert judge(got, Told.GREEN, torso_is_told=True) is Outcome.PARTIAL
    assert judge(got, Told.STOP, torso_is_told=True) is Outcome.PARTIAL


def in_the_log(scene: Scene) -> None:
    logging.getLogger("any.library").debug("row %s", PEOPLE[5].email)


def printed(scene: Scene) -> None:
    sys.stdout.write(PEOPLE[5].hashed("sha1"))


def in_an_error(scene: Scene) -> None:
    scene.heard.append(f"cannot send {PEOPLE[700].phone}")


def in_a_temporary_file(scene: Scene) -> None:
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(PEOPLE[3].email.upper())


def in_a_files_name(scene: Scene) -> None:
    (scene.home / f"{PEOPLE[0].key}.csv").touch()


def in_the_ledger(scene: Scene) -> None:
    with scene.delivering.ledger_file.open("ab") as ledger:
        ledger.write(PEOPLE[100].hashed("md5").encode())


def a_password(scene: Scene) -> None:
    logging.getLogger("any.library").info("login %s", scene.receiver.secrets[0])


@pytest.mark.parametrize(
    "leak", [in_the_log, printed, in_an_error, in_a_temporary_file, in_a_files_name, in_the_ledger, a_password]
)
def test_the_search_finds_what_is_planted(leak: Callable[[Scene], None]) -> None:
    """A trace of a planted person or of a credential is seen wherever it may lie."""

    def drive(scene: Scene) -> Told:
        said = with_retries(scene)
        leak(scene)
        return said

    case = Case(row=56, name="a leak", way="S3", promise=ONCE, receive=s3_cases.at_once, drive=drive)
    assert len(run(case).traces) == 1


def test_a_worker_of_a_broken_promise_is_seen() -> None:
    """Airflow's own operator, which asks for the file that was taken already, is found to send it again."""
    cases = [case for case in stock.faults_of("SFTP B") if case.row == 12]
    drive = partial(stock.retried_and_cleared, send=partial(stock.sftp_operator, confirm=True), before_the_clear=[])
    seen = [run(replace(case, drive=drive)) for case in cases]
    assert [one.outcome for one in seen] == [Outcome.DUPLICATE]
    _, broken = table(seen)
    assert any("duplicate" in sentence for sentence in broken)


def test_no_lie_is_a_promise() -> None:
    """No case promises what may never be seen."""
    assert [str(case) for case in every_cheap_case() if case.promise & LIES] == []


# The page.


def test_every_named_test_is_there() -> None:
    """What the table says is tried by a test is."""
    assert [sentence for row in ROWS for sentence in missing_tests(row)] == []


def test_a_test_that_is_gone_is_seen() -> None:
    """A row may name only tests that there are."""
    row = Row(number=1, fault="", promise="", tests=("core/test_pgp.py::test_gone", "core/gone.py::test_gone"))
    assert len(list(missing_tests(row))) == 2


def test_every_row_is_tried_or_explained() -> None:
    """Every fault is met by a case or a test, or the table says why not."""
    tried = {case.row for case in every_cheap_case()} | process_cases.ROWS | syscall_cases.ROWS
    assert [row.number for row in ROWS if not (row.number in tried or row.tests or row.why)] == []


def test_the_page_has_every_row() -> None:
    """docs/reliability.md shows the table of today's rows, with what is promised, and none that broke a promise."""
    cells = [[cell.strip() for cell in line.split("|")] for line in PAGE.read_text().splitlines()]
    shown = {int(row[1]): (row[2], row[5], row[7]) for row in cells if len(row) == 9 and re.fullmatch(r"\d+", row[1])}
    assert {number: (fault, promise) for number, (fault, promise, _) in shown.items()} == {
        row.number: (row.fault, row.promise) for row in ROWS
    }
    assert {mark for _, _, mark in shown.values()} <= {"✓", "–"}
