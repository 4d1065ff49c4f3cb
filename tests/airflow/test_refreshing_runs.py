"""Refresh through Airflow: who may ask, what they have to say, and what becomes of what was delivered."""

from __future__ import annotations

import json
import shutil
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import RefreshError
from liveramp_provider.dag import audience_dag
from liveramp_provider.refresh import refresh_of
from tests.airflow.conftest import DAY, REPOSITORY, Installation, Outcome
from tests.airflow.test_operators import folded
from tests.airflow.test_runs import returned_by

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.testing import LiveRampBox

WHY = "the CRM wrote late rows"


def context(run_type: str = DagRunType.MANUAL, **params: Any) -> dict[str, Any]:
    return {"params": params, "dag_run": SimpleNamespace(run_type=run_type), "run_id": "manual__7"}


@pytest.mark.parametrize("params", [{}, {"refresh": False}, {"refresh": False, "refresh_why": None}])
def test_without_a_word_nothing_is_refreshed(params: dict[str, Any]) -> None:
    """A run goes on with what is sealed."""
    assert refresh_of(context(**params)) == ""


def test_the_reason_names_the_run() -> None:
    """So that clearing the run does not read a third time, and another run with the same reason does read."""
    assert refresh_of(context(refresh=True, refresh_why=f"  {WHY} ")) == f"{WHY} (manual__7)"


@pytest.mark.parametrize("run_type", [DagRunType.BACKFILL, DagRunType.OPERATOR_TRIGGERED, DagRunType.MANUAL])
def test_who_may_refresh(run_type: str) -> None:
    """Whoever starts runs with parameters: a person, a backfill, another DAG."""
    assert refresh_of(context(run_type, refresh=True, refresh_why=WHY))


@pytest.mark.parametrize("run_type", [DagRunType.SCHEDULED, DagRunType.ASSET_TRIGGERED])
@pytest.mark.parametrize("params", [{"refresh": True, "refresh_why": WHY}, {"refresh": True}, {"refresh_why": WHY}])
def test_a_scheduled_run_never_refreshes(run_type: str, params: dict[str, Any]) -> None:
    """Not even where somebody changed the defaults of the DAG's parameters."""
    assert refresh_of(context(run_type, **params)) == ""


@pytest.mark.parametrize("why", [None, "", "  ", "two\nlines", "bell\a", "x" * 201])
def test_a_refresh_needs_a_reason(why: str | None) -> None:
    """One printable line; the error says where to type it."""
    with pytest.raises(RefreshError, match="Trigger again and say in it why"):
        refresh_of(context(refresh=True, refresh_why=why))


def test_a_reason_without_a_refresh_is_a_slip() -> None:
    """Whoever gives a reason and forgets the switch is told, instead of getting the old day."""
    with pytest.raises(RefreshError, match="Switch refresh on"):
        refresh_of(context(refresh=False, refresh_why=WHY))


def refreshed(installation: Installation, why: str | None) -> Outcome:
    """A run of the day that somebody triggers with refresh switched on."""
    dag = installation.dag()
    trigger = dag.test
    dag.test = lambda run_conf: trigger(run_conf=run_conf | {"refresh": True, "refresh_why": why})
    return installation.run(dag=dag)


@pytest.fixture
def warehouse(installation: Installation, sample_warehouse: Path, tmp_path: Path) -> sqlite3.Connection:
    """The sample customers, to be changed."""
    own = shutil.copy(sample_warehouse, tmp_path / "own.db")
    installation.connect("warehouse", json.dumps({"conn_type": "sqlite", "host": str(own)}))
    return sqlite3.connect(own)


def test_what_was_delivered_stays(
    installation: Installation, box: LiveRampBox, warehouse: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """After a refresh with other rows the files differ, nothing is sent, and the log says so."""
    installation.run()
    before, sent = returned_by("extract"), box.files()
    with warehouse:
        warehouse.execute("delete from vip where customer_id like '%7' and snapshot_date = ?", [DAY.isoformat()])
    assert installation.run().state == "success"
    assert returned_by("extract") == before
    caplog.clear()
    assert refreshed(installation, WHY).state == "success"

    after = returned_by("extract")
    assert after["members"] < before["members"]
    assert box.files() == sent
    lines, _ = folded(caplog)
    assert any(line.startswith(f"extract: {DAY} is read once more: {WHY} (manual__") for line in lines)
    assert sum("would differ by now; LiveRamp keeps what was delivered" in line for line in lines) == 2
    manifests = [json.loads(path.read_text()) for path in installation.staging.rglob("extract-*/manifest.json")]
    (kept,) = [manifest["refresh"] for manifest in manifests if manifest["refresh"]]
    assert kept["why"].startswith(f"{WHY} (manual__")
    assert kept["replaces"] == before["sha256"]
    assert installation.run().state == "success"
    assert returned_by("extract") == after
    assert installation.leaks() == []


def test_a_refresh_without_a_reason_fails_first(installation: Installation, box: LiveRampBox) -> None:
    """Preflight says what to type, and nothing is read."""
    outcome = refreshed(installation, None)
    assert (outcome.tasks["preflight"], outcome.tries["preflight"]) == ("failed", 1)
    assert "refresh_why is no printable line" in outcome.output
    assert not installation.staging.exists() or list(installation.staging.iterdir()) == []


def test_the_form_explains_both() -> None:
    """Whoever triggers sees a switch that is off, and a line for the reason that may stay empty."""
    dag = audience_dag(load_audience(REPOSITORY / "dags" / "audiences" / "high_value_customers.yaml"))
    switch, why = dag.params.get_param("refresh"), dag.params.get_param("refresh_why")
    assert (switch.value, switch.schema["type"]) == (False, "boolean")
    assert (why.value, why.schema["type"], why.schema["maxLength"]) == (None, ["null", "string"], 200)
    assert "once more" in switch.description
    assert "No personal data" in why.description
