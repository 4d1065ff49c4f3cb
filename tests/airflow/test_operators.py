"""What the operators leave for people: readable logs, a word about every error, and retries that can be changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import SourceError
from liveramp_provider.operators.base import RETRY_POLICY, LiveRampOperator, PatientOperator
from liveramp_provider.operators.build import LiveRampBuildOperator
from liveramp_provider.operators.deliver import LiveRampDeliverOperator
from liveramp_provider.operators.enrich import LiveRampEnrichOperator
from liveramp_provider.operators.extract import LiveRampExtractOperator
from liveramp_provider.operators.preflight import LiveRampPreflightOperator
from liveramp_provider.operators.retention import LiveRampRetentionOperator
from tests.airflow.conftest import FOLDER, REPOSITORY, Installation

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox

AUDIENCE = load_audience(REPOSITORY / "dags" / "audiences" / "high_value_customers.yaml")
PII = "3242_high_value_customers-PII_2026-11-20.csv.gz.gpg"

OPERATORS: list[Callable[..., PatientOperator]] = [
    lambda **more: LiveRampPreflightOperator(task_id="preflight", audience=AUDIENCE, **more),
    lambda **more: LiveRampExtractOperator(task_id="extract", audience=AUDIENCE, **more),
    lambda **more: LiveRampEnrichOperator(task_id="enrich", audience=AUDIENCE, membership={}, **more),
    lambda **more: LiveRampBuildOperator(
        task_id="build", audience=AUDIENCE, destination="liveramp", profiles={}, **more
    ),
    lambda **more: LiveRampDeliverOperator(
        task_id="deliver", audience=AUDIENCE, destination="liveramp", slot="PII", files={}, **more
    ),
    lambda **more: LiveRampRetentionOperator(task_id="remove_old", **more),
]
NAMES = ["preflight", "extract", "enrich", "build", "deliver", "retention"]


def retries_of(task: PatientOperator) -> tuple[Any, ...]:
    return task.retries, task.retry_delay, task.retry_exponential_backoff, task.max_retry_delay, task.retry_policy


@pytest.mark.parametrize("operator", OPERATORS, ids=NAMES)
def test_retries_are_patient_by_default(operator: Callable[..., PatientOperator]) -> None:
    """Where nobody says otherwise, what passes by itself is tried for an hour and more."""
    with DAG("audience"):
        task = operator()
    assert retries_of(task) == (5, timedelta(minutes=1), 2.0, timedelta(minutes=30), RETRY_POLICY)


@pytest.mark.parametrize("operator", OPERATORS, ids=NAMES)
def test_default_args_replace_the_retries(operator: Callable[..., PatientOperator]) -> None:
    """A DAG's ``default_args`` count more than ours, and a task's own argument more than both."""
    arguments: dict[str, Any] = {
        "retries": 2,
        "retry_delay": timedelta(seconds=7),
        "retry_exponential_backoff": 3.0,
        "max_retry_delay": timedelta(hours=1),
        "retry_policy": None,
        "doc_md": "house rules",
    }
    with DAG("audience", default_args=arguments):
        task = operator()
    with DAG("audience", default_args=arguments):
        exceptional = operator(retries=9, retry_delay=timedelta(seconds=1), doc_md="mine")

    assert (*retries_of(task), task.doc_md) == tuple(arguments.values())
    assert retries_of(exceptional) == (9, timedelta(seconds=1), 3.0, timedelta(hours=1), None)
    assert exceptional.doc_md == "mine"


class XComs(dict[str, Any]):
    """A task instance, as far as an operator sees it."""

    def xcom_push(self, key: str, value: Any) -> None:
        self[key] = value


class Unreachable:
    """A task instance whose Airflow does not answer."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise ConnectionError("Airflow does not answer")


class Failing(LiveRampOperator):
    """Fails as it is told."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(audience=AUDIENCE, **kwargs)
        self.error = error

    def perform(self, context: Any) -> dict[str, Any]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (
            SourceError("membership: no file matches vip-2026-11-20.csv."),
            "membership: no file matches vip-2026-11-20.csv.",
        ),
        (ValueError("'jane.doe@example.com' is not a number"), "ValueError"),
    ],
    ids=["ours", "foreign"],
)
def test_an_error_leaves_a_word(error: Exception, word: str) -> None:
    """Our own error leaves its text for the notice; a foreign one, which may quote a person's data, only its kind."""
    xcoms = XComs()
    with pytest.raises(type(error)):
        Failing(task_id="failing", error=error).execute({"ti": xcoms})
    assert xcoms == {"error": word}


def test_the_error_itself_counts_most() -> None:
    """When not even the word can be left, the task still fails with its own error."""
    error = SourceError("membership: no file matches.")
    with pytest.raises(SourceError, match="no file matches"):
        Failing(task_id="failing", error=error).execute({"ti": Unreachable()})


def test_the_word_is_found_in_airflow(installation: Installation) -> None:
    """After a failed run Airflow itself has the error's text, under the key ``error`` of the task that failed."""
    installation.edit("conn_id: liveramp_default", "conn_id: nobody_there")

    outcome = installation.run()

    assert outcome.tasks["preflight"] == "failed"
    word = word_left_by("preflight")
    assert "nobody_there" in word
    assert word in outcome.output


def test_logs_for_people(installation: Installation, box: LiveRampBox, caplog: pytest.LogCaptureFixture) -> None:
    """Each stage says in one line what it did, with counts and its time; the details are folded below it."""
    assert installation.run().state == "success"

    open_lines, groups = folded(caplog)
    time = r"\((under 0\.1 s|[\d.]+ s, [\d,.]+ (rows|[kM]B|bytes)/s)\)"
    for line in (
        r"preflight: ready for liveramp \((under )?[\d.]+ s\)",
        rf"extract: [\d,]+ rows, \d+ without a key, \d+ repeated: [\d,]+ members {time}",
        rf"enrich: [\d,]+ members, 11 traits from 2 steps {time}",
        rf"build: sealed {PII}: [\d,]+ rows, [\d,]+ bytes {time}",
        rf"deliver: {PII}, [\d,]+ rows, [\d,]+ bytes, E3 {time}",
    ):
        assert sum(1 for said in open_lines if re.fullmatch(line, said)) == 1, line
    assert [words(line) for line in groups["Membership: from rows read to members"]] == [
        "rows read", "− without a key", "− duplicate", "members"
    ]  # fmt: skip
    waterfall = groups["PII: from members to rows"]
    assert waterfall[0] == PII
    assert waterfall[2].startswith("columns: CCID, FIRSTNAME, ")
    assert [words(line) for line in waterfall[3:5]] == ["members", "− have no identifier"]
    receipt = groups[f"Receipt of {PII}"]
    assert "evidence   E3: size read back on the open file; close and rename acknowledged" in receipt
    assert f"folder     {FOLDER}" in receipt
    assert installation.leaks() == []


def test_a_rerun_says_that_nothing_was_sent(
    installation: Installation, box: LiveRampBox, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of a rerun tells when the file was delivered, and that this task sent nothing."""
    installation.run()
    caplog.clear()
    installation.run()

    open_lines, groups = folded(caplog)

    delivered = rf"deliver: {PII} was delivered at [\d-]+ [\d:]+ UTC; nothing is sent"
    assert [line for line in open_lines if re.fullmatch(delivered, line)]
    (committed,) = [line for line in groups[f"Receipt of {PII}"] if line.startswith("committed")]
    assert committed.endswith("sent earlier; nothing was sent now")


def folded(log: pytest.LogCaptureFixture) -> tuple[list[str], dict[str, list[str]]]:
    """Our log as Airflow's page shows it: the lines in the open, and those folded, by the title they are under."""
    open_lines: list[str] = []
    groups: dict[str, list[str]] = {}
    under = open_lines
    for line in (record.getMessage() for record in log.records if record.name.startswith("liveramp_provider.")):
        if line.startswith("::group::"):
            under = groups[line.removeprefix("::group::")] = []
        elif line == "::endgroup::":
            under = open_lines
        else:
            under.append(line)
    return open_lines, groups


def words(line: str) -> str:
    """A line of an account without its count."""
    return line.rstrip("0123456789,").strip()


def word_left_by(task_id: str) -> Any:
    """What the newest failure of the task said."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        statement = select(XComModel).where(XComModel.task_id == task_id, XComModel.key == "error")
        return XComModel.deserialize_value(session.scalars(statement.order_by(XComModel.timestamp.desc())).first())
