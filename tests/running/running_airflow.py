"""A running Airflow, asked and told through its REST API and its command line."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from liveramp_provider.testing.standalone import USER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liveramp_provider.testing.standalone import Standalone

_FINISHED = ("success", "failed")
_PATIENCE_S = 400


@dataclass(frozen=True)
class RunningAirflow:
    """Scheduler, DAG processor, triggerer and API server, each a process.

    :param environment: Where Airflow's commands find the same installation.
    """

    standalone: Standalone
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.standalone.url

    def cli(self, *arguments: str) -> str:
        """What an ``airflow`` command prints."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=dict(self.environment), capture_output=True, text=True)
        assert done.returncode == 0, f"airflow {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of the REST API; `path` begins with the API's, such as ``/api/v2/dags``."""
        answer = self._api.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def unpause(self, dag_id: str) -> None:
        """Switch the DAG on, as soon as the DAG processor has found it."""
        self.wait_for(lambda: dag_id in self._dag_ids(), f"the DAG {dag_id}")
        self.ask("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, day: str | None) -> dict[str, Any]:
        """Begin a run of the DAG by hand for a day."""
        body = {"logical_date": None, "partition_key": day}
        run: dict[str, Any] = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        return run

    def backfill(self, dag_id: str, first: str, last: str, *, reprocess: str = "none") -> None:
        """Begin to backfill from one day to another, through the REST API."""
        body = {"from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z", "reprocess_behavior": reprocess}
        self.ask("POST", "/api/v2/backfills", {"dag_id": dag_id, **body})

    def wait_for_backfill(self, dag_id: str) -> None:
        """Return when every backfill of the DAG has ended."""

        def done() -> bool:
            backfills = self.ask("GET", f"/api/v2/backfills?dag_id={dag_id}")["backfills"]
            return bool(backfills) and all(backfill["completed_at"] for backfill in backfills)

        self.wait_for(done, f"the backfill of {dag_id}")

    def runs(self, dag_id: str, **fields: str) -> list[dict[str, Any]]:
        """The runs of the DAG, oldest first; only those with the given fields."""
        found = self.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=id")["dag_runs"]
        return [run for run in found if all(run[name] == value for name, value in fields.items())]

    def finished_run(self, dag_id: str, **fields: str) -> dict[str, Any]:
        """Wait until the newest run with these fields has ended."""

        def finished() -> bool:
            runs = self.runs(dag_id, **fields)
            return bool(runs) and runs[-1]["state"] in _FINISHED

        self.wait_for(finished, f"a run of {dag_id} with {fields}")
        return self.runs(dag_id, **fields)[-1]

    def tasks(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The task instances of a run, by task id."""
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}/taskInstances"
        return {instance["task_id"]: instance for instance in self.ask("GET", path)["task_instances"]}

    def log(self, run: Mapping[str, Any], task_id: str, attempt: int = 1) -> str:
        """What a try of a task logged, as the UI shows it."""
        path = (
            f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}"
            f"/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        )
        lines = self.ask("GET", path)["content"]
        return "\n".join(f"{line['event']} {line.get('error_detail', '')}" for line in lines)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Return as soon as `condition` holds.

        :raises TimeoutError: It does not come to hold; the message has the end of Airflow's log.
        :raises ComponentDiedError: A component of Airflow ended.
        """
        patience = time.monotonic() + _PATIENCE_S
        while not condition():
            self.standalone.check()
            if time.monotonic() > patience:
                raise TimeoutError(f"waited for {what}\n{self.standalone.last_lines()}")
            time.sleep(0.5)

    def _dag_ids(self) -> list[str]:
        assert self.ask("GET", "/api/v2/importErrors")["import_errors"] == []
        return [dag["dag_id"] for dag in self.ask("GET", "/api/v2/dags?limit=100")["dags"]]

    @cached_property
    def _api(self) -> httpx.Client:
        login = {"username": USER, "password": self.standalone.password()}
        token = httpx.post(f"{self.url}/auth/token", json=login, timeout=60).json()["access_token"]
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
