"""Revisions through Airflow: who may send a day again, what they have to say, and what then arrives."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import RevisionError
from liveramp_provider.dag import audience_dag
from liveramp_provider.revision import Revision, revision_of
from tests.airflow.conftest import REPOSITORY, Installation, Outcome
from tests.airflow.test_runs import DEVICE, PII, returned_by

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox

WHY = "LiveRamp lost the file"


def context(run_type: str = DagRunType.MANUAL, **params: Any) -> dict[str, Any]:
    return {"params": params, "dag_run": SimpleNamespace(run_type=run_type), "run_id": "manual__7"}


@pytest.mark.parametrize("params", [{}, {"revision": 1}, {"revision": 1, "revision_why": None}])
def test_without_a_word_it_is_the_first(params: dict[str, Any]) -> None:
    """A run delivers its day for the first time, and a rerun finds that done."""
    assert revision_of(context(**params)) == Revision(number=1, why="")


@pytest.mark.parametrize("run_type", [DagRunType.BACKFILL, DagRunType.OPERATOR_TRIGGERED, DagRunType.MANUAL])
def test_who_may_send_again(run_type: str) -> None:
    """Whoever starts runs with parameters: a person, a backfill, another DAG."""
    wanted = context(run_type, revision=2, revision_why=f" {WHY} ")
    assert revision_of(wanted) == Revision(number=2, why=WHY)


@pytest.mark.parametrize("run_type", [DagRunType.SCHEDULED, DagRunType.ASSET_TRIGGERED])
@pytest.mark.parametrize("params", [{"revision": 2, "revision_why": WHY}, {"revision": 2}, {"revision_why": WHY}])
def test_a_scheduled_run_is_always_the_first(run_type: str, params: dict[str, Any]) -> None:
    """Not even where somebody changed the defaults of the DAG's parameters."""
    assert revision_of(context(run_type, **params)) == Revision()


@pytest.mark.parametrize("why", [None, "", "  ", "two\nlines", "bell\a", "x" * 201])
def test_a_revision_needs_a_reason(why: str | None) -> None:
    """One printable line; the error says where to type it."""
    with pytest.raises(RevisionError, match=r"revision is 2, but revision_why.*say in it why"):
        revision_of(context(revision=2, revision_why=why))


def test_a_reason_without_a_revision_is_a_slip() -> None:
    """Whoever gives a reason and forgets the number is told, instead of sending nothing."""
    with pytest.raises(RevisionError, match="Write 2, or leave the reason out"):
        revision_of(context(revision=1, revision_why=WHY))


@pytest.mark.parametrize("number", [0, -1, 100, 2.0, "2", True, None])
def test_what_is_no_revision(number: object) -> None:
    """Only a whole number from 1 to 99 is one."""
    with pytest.raises(RevisionError, match="no number from 1 to 99"):
        revision_of(context(revision=number, revision_why=WHY))


def sent_again(installation: Installation, revision: int = 2, why: str | None = WHY) -> Outcome:
    """A run of the day that somebody triggers as a revision."""
    dag = installation.dag()
    trigger = dag.test
    dag.test = lambda run_conf: trigger(run_conf=run_conf | {"revision": revision, "revision_why": why})
    return installation.run(dag=dag)


def kept(installation: Installation) -> list[tuple[int, str, str]]:
    """What the ledger keeps of the revisions."""
    with sqlite3.connect(installation.ledger) as database:
        lines = database.execute("select revision, why, who from liveramp_revisions").fetchall()
    database.close()
    return lines


def test_sent_once_more_and_no_more(installation: Installation, box: LiveRampBox) -> None:
    """The day arrives a second time under names of its own; asked for again it is not sent; the reason is kept."""
    assert installation.run().state == "success"
    assert sent_again(installation).state == "success"
    names = [PII, DEVICE, *(name.replace(".csv", "_r2.csv") for name in (PII, DEVICE))]
    assert sorted(file.name for file in box.files()) == sorted(names)
    assert returned_by("liveramp.deliver_PII")["name"] == names[2]
    assert returned_by("liveramp.deliver_PII")["sent_now"] is True

    assert sent_again(installation, why="once more, please").state == "success"
    assert installation.run().state == "success"

    assert len(box.files()) == 4
    lines = kept(installation)
    assert [(revision, why) for revision, why, _ in lines] == [(2, WHY)] * 2
    assert all("high_value_customers/manual__" in who for _, _, who in lines)
    assert installation.leaks() == []


@pytest.mark.parametrize(
    ("revision", "why", "sentence"),
    [
        (2, None, "revision_why is no printable line"),
        (2, WHY, "revision 2 of 2026-11-20 follows revision 1, of which no file was delivered"),
    ],
)
def test_what_may_not_be_sent_again_fails_first(
    revision: int, why: str | None, sentence: str, installation: Installation, box: LiveRampBox
) -> None:
    """Preflight says what is missing, it is not retried, nothing is read, and nothing arrives."""
    outcome = sent_again(installation, revision, why)
    assert (outcome.tasks["preflight"], outcome.tries["preflight"]) == ("failed", 1)
    assert sentence in outcome.output
    assert not installation.staging.exists() or list(installation.staging.iterdir()) == []
    assert box.files() == ()


def test_the_form_explains_both() -> None:
    """Whoever triggers sees the number 1, and a line for the reason that may stay empty."""
    dag = audience_dag(load_audience(REPOSITORY / "dags" / "audiences" / "high_value_customers.yaml"))
    number, why = dag.params.get_param("revision"), dag.params.get_param("revision_why")
    assert (number.value, number.schema["type"], number.schema["minimum"]) == (1, "integer", 1)
    assert (why.value, why.schema["type"], why.schema["maxLength"]) == (None, ["null", "string"], 200)
    assert "under a new name" in number.description
    assert "No personal data" in why.description
