"""Tells people that deliveries have begun to fail, and that they work again: a DAG's callback, in the DAG processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from liveramp_provider.core.errors import SnapshotDayError
from liveramp_provider.notifications.channels import send
from liveramp_provider.notifications.notice import Notice
from liveramp_provider.notifications.standing import file_states, run_url, task_states
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from liveramp_provider.core.ledger import Health
    from liveramp_provider.notifications.watched import Watched


class OutcomeNotifier(BaseNotifier):
    """One notice when an audience begins to fail, or fails in another way; one when it works again; else none.

    Failing every night in the same way is one state, and so one notice. A run of a day older than the newest one says
    nothing of how things are now: whoever backfills is looking.

    :param delivered: Whether this is the callback of runs that succeed, or of those that fail.
    """

    def __init__(self, watched: Watched, *, delivered: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = watched
        self.delivered = delivered

    def notify(self, context: Context) -> None:
        """Look at the run that has ended, and send what is new."""
        from liveramp_provider import settings

        try:
            day = snapshot_day(context)
        except SnapshotDayError:
            self.log.info("notice: the run has no day; nobody is told")
            return
        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        tasks = () if self.delivered else task_states(dag_id, run_id)
        ledger = settings.ledger()
        before = ledger.health(self.watched.audience)
        now = before.after(day, "" if self.delivered else ", ".join(task.task_id for task in tasks) or "the run")
        if now.trouble != before.trouble:
            self._tell(
                Notice(
                    kind="failed" if now.trouble else "recovered",
                    audience=self.watched.audience,
                    name=self.watched.name,
                    day=day.isoformat(),
                    headline=_headline(before, now),
                    files=file_states(self.watched, day),
                    tasks=tasks,
                    run_url=run_url(dag_id, run_id),
                )
            )
        # Only now: a notice that reached nobody is tried again with the next run.
        ledger.note_health(now)

    def _tell(self, notice: Notice) -> None:
        try:
            send(notice, self.watched.channels)
        except ExceptionGroup as failed:
            if len(failed.exceptions) == len(self.watched.channels):
                raise
            self.log.exception("notice: sent, but not through every channel")


def _headline(before: Health, now: Health) -> str:
    if now.trouble:
        also = " It was late or failed in another way before." if before.trouble else ""
        return f"The delivery of {now.day} failed.{also}"
    if before.day == now.day:
        return f"{now.day} is delivered now."
    return f"{now.day} is delivered; there was trouble since {before.since}. Backfill the days that are missing."
