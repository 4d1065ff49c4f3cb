"""A running Airflow: scheduler, DAG processor, triggerer and API server as real processes on 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_FINISHED = ("success", "failed")
_START_S = 180
_PATIENCE_S = 400


class RunningAirflow:
    """An installation of its own, with a metadata database in SQLite; a context manager.

    Everybody is an administrator, so the REST API needs no password.
    """

    def __init__(self, home: Path, *, dags: Path, environment: Mapping[str, str]) -> None:
        """Choose a port; nothing runs yet.

        :param environment: Connections and settings beside those that make an installation.
        """
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._environment = {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            **environment,
        }

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True)
        try:
            self.cli("db", "migrate")
            for component in _COMPONENTS:
                log = (self.home / f"{component}.log").open("wb")
                # A session of its own: what it starts can be stopped with it.
                self._processes[component] = subprocess.Popen(
                    [sys.executable, "-m", "airflow", component],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                log.close()
            self.wait_for(self._is_healthy, "Airflow to be healthy", patience_s=_START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def cli(self, *arguments: str) -> str:
        """What an ``airflow`` command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments], env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"airflow {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of the REST API; `path` begins with the API's, such as ``/api/v2/dags``."""
        request = Request(  # noqa: S310 - our own server
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._bearer()}"},
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            content = answer.read()
        return json.loads(content) if content else None

    def unpause(self, dag_id: str) -> None:
        """Switch the DAG on, as soon as the DAG processor has found it."""
        self.wait_for(lambda: dag_id in self._dag_ids(), f"the DAG {dag_id}")
        self.ask("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, day: str | None) -> dict[str, Any]:
        """Run the DAG by hand for a day; returns when it has ended."""
        run = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "partition_key": day})
        return self.finished_run(dag_id, dag_run_id=run["dag_run_id"])

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

    def wait_for(self, condition: Callable[[], object], what: str, *, patience_s: float = _PATIENCE_S) -> None:
        """Return as soon as `condition` holds.

        :raises TimeoutError: It does not come to hold; the message has the ends of the components' logs.
        """
        patience = time.monotonic() + patience_s
        while not condition():
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            if ended or time.monotonic() > patience:
                raise TimeoutError(f"waited for {what}; ended: {ended}\n{self._ends_of_logs()}")
            time.sleep(0.5)

    def _is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - our own server
                health = json.loads(answer.read())
        except (URLError, OSError):
            return False
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer"))

    def _dag_ids(self) -> list[str]:
        errors = self.ask("GET", "/api/v2/importErrors")["import_errors"]
        assert errors == []
        return [dag["dag_id"] for dag in self.ask("GET", "/api/v2/dags?limit=100")["dags"]]

    def _bearer(self) -> str:
        if not self._token:
            with urlopen(f"{self.url}/auth/token", timeout=30) as answer:  # noqa: S310 - our own server
                self._token = json.loads(answer.read())["access_token"]
        return self._token

    def _ends_of_logs(self) -> str:
        logs = [(path.name, path.read_text(errors="replace")[-1500:]) for path in sorted(self.home.glob("*.log"))]
        return "\n".join(f"--- {name}\n{end}" for name, end in logs)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
