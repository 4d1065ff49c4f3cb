"""What a guard refuses, through Airflow: who may have it sent all the same, what they have to say, and what is kept."""

from __future__ import annotations

import sqlite3
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from airflow.sdk.api.datamodels._generated import DagRunType

from liveramp_provider.acceptance import acceptance_of
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import AcceptError
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED, Acceptance, Guard
from liveramp_provider.core.ledger import Ledger, State
from liveramp_provider.dag import audience_dag
from tests.airflow.conftest import REPOSITORY, Installation, Outcome
from tests.airflow.test_runs import DEVICE, PII
from tests.core.test_ledger import claimed
from tests.deliveries import sealed_file

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox

WHY = "agreed with LiveRamp"


def context(run_type: str = DagRunType.MANUAL, **params: Any) -> dict[str, Any]:
    return {"params": params, "dag_run": SimpleNamespace(run_type=run_type), "run_id": "manual__7"}


@pytest.mark.parametrize("params", [{}, {"accept": []}, {"accept": None}, {"accept": [], "accept_why": None}])
def test_without_a_word_nothing_is_accepted(params: dict[str, Any]) -> None:
    """Every guard holds."""
    assert acceptance_of(context(**params)) == NOTHING_ACCEPTED


@pytest.mark.parametrize("run_type", [DagRunType.BACKFILL, DagRunType.OPERATOR_TRIGGERED, DagRunType.MANUAL])
def test_who_may_accept(run_type: str) -> None:
    """Whoever starts runs with parameters: a person, a backfill, another DAG."""
    wanted = context(run_type, accept=["header", "shrink"], accept_why=f" {WHY} ")
    assert acceptance_of(wanted) == Acceptance(guards=frozenset({Guard.HEADER, Guard.SHRINK}), why=WHY)


@pytest.mark.parametrize("run_type", [DagRunType.SCHEDULED, DagRunType.ASSET_TRIGGERED])
def test_a_scheduled_run_accepts_nothing(run_type: str) -> None:
    """Not even where somebody changed the defaults of the DAG's parameters."""
    assert acceptance_of(context(run_type, accept=["header"], accept_why=WHY)) == NOTHING_ACCEPTED


@pytest.mark.parametrize("why", [None, "", "  ", "two\nlines", "bell\a", "x" * 201])
def test_accepting_needs_a_reason(why: str | None) -> None:
    """One printable line; the error says where to type it."""
    with pytest.raises(AcceptError, match=r"accept has header, but accept_why.*say in it why"):
        acceptance_of(context(accept=["header"], accept_why=why))


def test_a_reason_for_nothing_is_a_slip() -> None:
    """Whoever gives a reason and forgets what for is told, instead of being refused a second time."""
    with pytest.raises(AcceptError, match="accept is empty"):
        acceptance_of(context(accept=[], accept_why=WHY))


@pytest.mark.parametrize("words", ["header", ["all"], ["header", "Shrink"], [["header"]], {"header": True}, True])
def test_what_is_no_guard(words: object) -> None:
    """Nothing but a list of the guards' words, so that none is switched off by accident."""
    with pytest.raises(AcceptError, match="list of backdated, header, shrink"):
        acceptance_of(context(accept=words, accept_why=WHY))


def accepting(installation: Installation, *words: str) -> Outcome:
    """A run of the day that somebody triggers with these words."""
    dag = installation.dag()
    trigger = dag.test
    dag.test = lambda run_conf: trigger(run_conf=run_conf | {"accept": list(words), "accept_why": WHY})
    return installation.run(dag=dag)


def test_sent_on_a_persons_word(installation: Installation, box: LiveRampBox) -> None:
    """Preflight stops another header before a row is read, deliver stops far fewer members; both words send the day."""
    ledger = Ledger.in_file(installation.ledger)
    for slot in ("PII", "D"):
        former = sealed_file(
            installation.home / "former",
            audience="high_value_customers",
            slot=slot,
            day=date(2026, 11, 19),
            members=10_000_000,
        )
        claimed(ledger, former, State.COMMITTED)

    outcome = installation.run()
    assert (outcome.tasks["preflight"], outcome.tries["preflight"]) == ("failed", 1)
    assert "accept: [header]" in outcome.output
    assert not installation.staging.exists() or list(installation.staging.iterdir()) == []

    outcome = accepting(installation, "header")
    for slot in ("PII", "D"):
        assert outcome.tasks[f"liveramp.deliver_{slot}"] == "failed"
        assert outcome.tries[f"liveramp.deliver_{slot}"] == 1
    assert "2026-11-19 had 10,000,000" in outcome.output
    assert box.files() == ()

    assert accepting(installation, "header", "shrink").state == "success"
    assert sorted(file.name for file in box.files()) == sorted([PII, DEVICE])
    with sqlite3.connect(installation.ledger) as database:
        lines = database.execute("select guard, why, who from liveramp_acceptances").fetchall()
    database.close()
    assert sorted((guard, why) for guard, why, _ in lines) == [("header", WHY)] * 2 + [("shrink", WHY)] * 2
    assert all(who.startswith("high_value_customers/manual__") for _, _, who in lines)
    assert installation.leaks() == []


def test_the_form_explains_both() -> None:
    """Whoever triggers sees a list to choose from, and a line for the reason that may stay empty."""
    dag = audience_dag(load_audience(REPOSITORY / "dags" / "audiences" / "high_value_customers.yaml"))
    words, why = dag.params.get_param("accept"), dag.params.get_param("accept_why")
    assert (words.value, words.schema["examples"]) == ([], list(Guard))
    assert set(words.schema["values_display"]) == set(Guard)
    jsonschema.validate(["shrink"], words.schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(["everything"], words.schema)
    assert (why.value, why.schema["type"], why.schema["maxLength"]) == (None, ["null", "string"], 200)
    assert "No personal data" in why.description
