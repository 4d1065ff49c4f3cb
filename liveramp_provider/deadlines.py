"""From when a delivery's deadline counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


class ScheduledMoment(BaseDeadlineReference):
    """The moment for which the schedule made the run; a backfill or a manual run has none, and so no deadline.

    Airflow's own references do not say that: the logical date is missing from partitioned runs and fires at once for
    every backfilled day, and the moment of queueing hides that a scheduler was down for hours.
    """

    required_kwargs = {"dag_id", "run_id"}  # noqa: RUF012 - Airflow reads the class attribute

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str, **_: Any) -> datetime | None:
        """The moment of one run. Airflow calls this in the scheduler, where its own models may be used."""
        from airflow.models import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        return run.run_after if run and run.run_type == DagRunType.SCHEDULED else None
