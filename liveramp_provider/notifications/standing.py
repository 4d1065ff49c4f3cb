"""Where a delivery stands: its files by the ledger, its tasks by Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.notifications.notice import FileState, TaskState
from liveramp_provider.operators.base import ERROR_KEY

if TYPE_CHECKING:
    from datetime import date

    from liveramp_provider.core.ledger import Ledger
    from liveramp_provider.notifications.watched import Watched, WatchedFile

_UNREMARKABLE = (None, "success", "skipped", "removed", "upstream_failed")


def file_states(watched: Watched, day: date) -> tuple[FileState, ...]:
    """Every file that is due: delivered or not, and what the receiver holds instead."""
    from liveramp_provider import settings

    try:
        ledger = settings.ledger()
        return tuple(_file_state(ledger, watched.audience, file, day) for file in watched.files)
    except LedgerError as error:
        # A notice without counts is better than none.
        return (FileState(file="ledger", delivered=False, rows=0, members=0, words=str(error)),)


def task_states(dag_id: str, run_id: str) -> tuple[TaskState, ...]:
    """The tasks of a run that are at work or have failed, with what they said."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, Any] = RuntimeTaskInstance.get_task_states(dag_id, run_ids=[run_id]).get(run_id, {})
    return tuple(
        TaskState(task_id=task_id, state=state, error=_error(dag_id, run_id, task_id) if state == "failed" else "")
        for task_id, state in sorted(states.items())
        if state not in _UNREMARKABLE
    )


def run_url(dag_id: str, run_id: str) -> str:
    """The run in Airflow's UI."""
    from airflow.sdk.configuration import conf

    base_url = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base_url}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"


def _file_state(ledger: Ledger, audience: str, due: WatchedFile, day: date) -> FileState:
    from liveramp_provider.core.ledger import State, delivery_id

    file = f"{due.destination}/{due.slot}"
    found = ledger.find(delivery_id(destination=due.destination, audience=audience, slot=due.slot, day=day))
    if found is not None and found.state is State.COMMITTED:
        words = f"delivered: {found.rows:,} rows of {found.members:,} members"
        return FileState(file=file, delivered=True, rows=found.rows, members=found.members, words=words)
    in_doubt = found is not None and found.state is State.IN_DOUBT
    words = f"in doubt: look at {due.look_at}" if in_doubt else "not delivered"
    held = ledger.newest_committed(destination=due.destination, audience=audience, slot=due.slot)
    words += f"; {due.receiver} holds "
    words += f"the {held.members:,} members of {held.day}" if held else "nothing of it"
    return FileState(file=file, delivered=False, rows=0, members=0, words=words)


def _error(dag_id: str, run_id: str, task_id: str) -> str:
    """What the operator left in XCom."""
    from airflow.sdk.execution_time.xcom import XCom

    return str(XCom.get_one(key=ERROR_KEY, dag_id=dag_id, run_id=run_id, task_id=task_id) or "")
