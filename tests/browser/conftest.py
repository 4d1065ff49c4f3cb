"""A real API server with the UI, a real browser, and LiveRamp in a box to connect to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from liveramp_provider.testing import LiveRampBox
from liveramp_provider.testing.standalone import free_port
from tests.browser.airflow_ui import signed_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

_PATIENCE_S = 60


@dataclass(frozen=True)
class ApiServer:
    """Airflow's API server without scheduler, DAGs or anything else."""

    url: str
    home: Path
    environment: dict[str, str]

    @property
    def password(self) -> str:
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        return str(passwords["admin"])

    def airflow(self, *arguments: str) -> str:
        """What an Airflow command prints."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/version").is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="package")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server, with a metadata database of its own, where connections may be tested."""
    home, port = tmp_path_factory.mktemp("airflow"), free_port()
    url = f"http://127.0.0.1:{port}"
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = others | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
    }
    server = ApiServer(url, home, environment)
    server.airflow("db", "migrate")
    with (home / "api-server.log").open("wb") as log:
        command = [sys.executable, "-m", "airflow", "api-server"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        patience = time.monotonic() + _PATIENCE_S
        while not server.answers():
            if process.poll() is not None or time.monotonic() > patience:
                raise RuntimeError(f"the API server did not start:\n{(home / 'api-server.log').read_text()}")
            time.sleep(0.2)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# Playwright keeps an event loop running in this thread; tests of other modules may need one of their own.
@pytest.fixture(scope="module")
def page(api_server: ApiServer) -> Iterator[Page]:
    """A browser in which somebody is signed in."""
    with signed_in(api_server.url, api_server.password) as page:
        yield page


@pytest.fixture(scope="package")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRampBox]:
    """LiveRamp in a box, which expects no audience."""
    with LiveRampBox(tmp_path_factory.mktemp("box"), audiences=[]) as box:
        yield box
