"""Tells people that a delivery is late: what a deadline calls in the triggerer."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseNotifier

from liveramp_provider.core.days import parse_day
from liveramp_provider.notifications.channels import async_send
from liveramp_provider.notifications.notice import Notice
from liveramp_provider.notifications.standing import file_states, run_url, task_states
from liveramp_provider.notifications.watched import Watched

if TYPE_CHECKING:
    from datetime import date

    from airflow.sdk import Context


class LateNotifier(BaseNotifier):
    """Says which files of the day are not delivered at the deadline; nothing when all of them are.

    :param watched: :meth:`Watched.as_json` of the audience.
    """

    def __init__(self, *, watched: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = Watched.of_json(watched)

    async def async_notify(self, context: Context) -> None:
        """Send the notice of a deadline; `context` holds the run and the deadline as the REST API shows them."""
        run: Any = context["dag_run"]
        due = datetime.fromisoformat(str(context["deadline"]["deadline_time"]))  # type: ignore[typeddict-item]
        # The ledger and Airflow's own questions wait for answers, which must not hold the triggerer's other work.
        notice = await asyncio.to_thread(self._notice, run, due)
        if notice is None:
            self.log.info("deadline: every file of %s was delivered in time", run["partition_key"])
            return
        await async_send(notice, self.watched.channels)
        await asyncio.to_thread(self._note, parse_day(notice.day))

    def _notice(self, run: dict[str, Any], due: datetime) -> Notice | None:
        day = parse_day(run["partition_key"])
        files = file_states(self.watched, day)
        if all(file.delivered for file in files):
            return None
        there = due.astimezone(ZoneInfo(self.watched.timezone))
        return Notice(
            kind="late",
            audience=self.watched.audience,
            name=self.watched.name,
            day=run["partition_key"],
            headline=f"Due by {there:%Y-%m-%d %H:%M} ({self.watched.timezone}), and not delivered in full.",
            files=files,
            tasks=task_states(run["dag_id"], run["dag_run_id"]),
            run_url=run_url(run["dag_id"], run["dag_run_id"]),
        )

    def _note(self, day: date) -> None:
        """So that the delivery, when it comes, is told as well."""
        from liveramp_provider import settings

        ledger = settings.ledger()
        health = ledger.health(self.watched.audience)
        if not health.trouble:
            ledger.note_health(health.after(day, "late"))
