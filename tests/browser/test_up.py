"""``make up``, run as a person runs it: ready, signed in, delivered to, stopped."""

from __future__ import annotations

import fcntl
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.running_up import RunningUp, alive_in

if TYPE_CHECKING:
    from pathlib import Path


def is_open(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def test_up_comes_and_goes(tmp_path: Path) -> None:
    """It is ready with the DAG, lets in who has the printed password, and Ctrl-C leaves no process and no port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with RunningUp(tmp_path / "up", "--port", str(taken.getsockname()[1])) as up:
            assert "is taken by another program" in up.printed
            with httpx.Client(base_url=up.url) as api:
                assert api.get("/api/v2/dags").status_code == 401
                login = api.post("/auth/token", json={"username": "admin", "password": up.password})
                api.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
                found = {dag["dag_id"] for dag in api.get("/api/v2/dags").json()["dags"]}
                assert found == {"high_value_customers", "liveramp_maintenance"}
                assert api.get("/api/v2/importErrors").json()["total_entries"] == 0
            assert is_open(up.url)
            assert is_open(up.receiver)
            sessions = up.sessions()
            assert len(alive_in(sessions)) > 10
            assert up.stop() == 0
            assert "nothing runs on" in up.printed
            assert alive_in(sessions) == {}
            assert not is_open(up.url)
            assert not is_open(up.receiver)


def test_two_in_one_folder(tmp_path: Path) -> None:
    """A folder that is in use is refused in a sentence, before anything is started in it."""
    home = tmp_path / "up" / "high_value_customers"
    home.mkdir(parents=True)
    with (home / "in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match=r"is in use. Stop the other"), RunningUp(tmp_path / "up"):
            pass
    assert [path.name for path in home.iterdir()] == ["in-use"]


def test_up_without_a_part(tmp_path: Path) -> None:
    """When a part of Airflow dies, all others are stopped, the end of the log is shown, and the exit code is 1."""
    up = RunningUp(tmp_path / "up")
    up.kill("triggerer")
    sessions = up.sessions()
    assert up.wait() == 1
    assert "a component of Airflow ended" in up.printed
    assert alive_in(sessions) == {}
