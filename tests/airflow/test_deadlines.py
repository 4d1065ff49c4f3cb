"""From when a deadline counts, asked of Airflow's own runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.utils.types import DagRunType

from liveramp_provider.deadlines import ScheduledMoment

MIDNIGHT = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.mark.parametrize("run_type", DagRunType)
def test_only_scheduled_runs_have_a_deadline(airflow_database: None, run_type: DagRunType) -> None:
    """It counts from the scheduled moment, however late the run was made; whoever backfills or triggers is looking."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        run = DagRun(dag_id="deadlines", run_id=f"{run_type}__x", run_type=run_type, run_after=MIDNIGHT)
        session.add(run)
        session.flush()
        counts_from = ScheduledMoment()._evaluate_with(session=session, dag_id="deadlines", run_id=run.run_id)
        session.rollback()

    assert counts_from == (MIDNIGHT if run_type == DagRunType.SCHEDULED else None)


def test_a_run_that_is_gone_has_no_deadline(airflow_database: None) -> None:
    """A run that was deleted meanwhile does not stop the scheduler."""
    from airflow.utils.session import create_session

    with create_session() as session:
        assert ScheduledMoment()._evaluate_with(session=session, dag_id="deadlines", run_id="none") is None


def test_every_component_of_airflow_knows_it() -> None:
    """The plugin is found where Airflow looks; a scheduler that cannot read a deadline makes its run over and over."""
    from airflow.plugins_manager import get_deadline_references_plugins

    assert get_deadline_references_plugins()["liveramp_provider.deadlines.ScheduledMoment"] is ScheduledMoment
