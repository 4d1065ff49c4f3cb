"""``airflow standalone`` as a child: all of Airflow in one session of processes, with one way to end them all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST = "127.0.0.1"
USER = "admin"
_GRACE_S = 10
_LAST_LINES = 15


class ComponentDiedError(Exception):
    """A component of Airflow ended by itself; the message holds the last lines of the log."""


class Standalone:
    """Scheduler, DAG processor, triggerer and API server on 127.0.0.1; a context manager that ends them.

    :param environment: Airflow's, with ``AIRFLOW_HOME``; address and ports are added here.
    :param port: Of the API server. The ports on which components serve each other logs are any free ones.
    :param log: The file for all that Airflow prints; it is begun anew.
    """

    def __init__(self, environment: Mapping[str, str], *, port: int, log: Path) -> None:
        self.url = f"http://{HOST}:{port}"
        self._log = log
        self._home = Path(environment["AIRFLOW_HOME"])
        self._api = httpx.Client(base_url=self.url, timeout=10)
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **environment,
            # It starts its components as `airflow`.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(port),
            # Tasks find the API server by this address, not by the port.
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            # The default keeps 32 processes for tasks.
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        }

    def __enter__(self) -> Self:
        """Start it; returns at once."""
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the session as a whole.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it and every process it has started: asked first, killed after ten seconds."""
        process = self._started
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # who asks twice does not wait
            process.wait(_GRACE_S)
        for left in self._session():
            with suppress(psutil.NoSuchProcess):
                left.kill()
        process.wait()
        self._api.close()

    def password(self) -> str:
        """The password of :data:`USER`, which Airflow makes at its first start."""
        passwords = json.loads((self._home / "simple_auth_manager_passwords.json.generated").read_text())
        return str(passwords[USER])

    def is_ready(self, dag_id: str) -> bool:
        """Whether every component is healthy and the DAG has been parsed, well or with errors that the UI shows.

        :raises ComponentDiedError: One of them ended.
        """
        self.check()
        try:
            health = self._api.get("/api/v2/monitor/health").json()
            if any(component["status"] != "healthy" for component in health.values()):
                return False
            login = self._api.post("/auth/token", json={"username": USER, "password": self.password()}).json()
            token = {"Authorization": f"Bearer {login['access_token']}"}
            parsed = self._api.get(f"/api/v2/dags/{dag_id}", headers=token).is_success
            return parsed or self._api.get("/api/v2/importErrors", headers=token).json()["total_entries"] > 0
        except httpx.TransportError:
            return False

    def check(self) -> None:
        """Return if all components live.

        :raises ComponentDiedError: One of them ended.
        """
        if self._started.poll() is not None:
            raise ComponentDiedError(f"airflow standalone ended.\n{self.last_lines()}")
        # Airflow's standalone goes on without a component that died, and leaves it as a zombie; others are brief.
        if dead := self._zombies():
            time.sleep(1)
            dead &= self._zombies()
        if dead:
            raise ComponentDiedError(f"a component of Airflow ended.\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The end of the log."""
        with self._log.open(errors="replace") as log:
            return "".join(deque(log, maxlen=_LAST_LINES)).rstrip()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("Airflow has not been started: use this as a context manager")
        return self._process

    def _zombies(self) -> set[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._started.pid).children()
            return {child for child in children if child.status() == psutil.STATUS_ZOMBIE}
        return set()

    def _session(self) -> Iterator[psutil.Process]:
        # Tasks have process groups of their own, so the session is what all have in common.
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(process.pid) == self._started.pid:
                    yield process


def free_port(preferred: int = 0) -> int:
    """`preferred` if it is free, or else any free port of 127.0.0.1."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            # As a server does: connections that have just ended do not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise OSError("no port of 127.0.0.1 is free")
