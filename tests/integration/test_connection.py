"""What Airflow's Test button asks a real server: whether we can log in, and whether it is the right one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from liveramp_provider.hooks.liveramp import LiveRampHook
from liveramp_provider.testing import LiveRampBox
from tests.servers import OpenSshServer, public_text

if TYPE_CHECKING:
    from pathlib import Path

Ask = Callable[..., tuple[bool, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Tests the server's own connection with changes."""
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody's known_hosts, nobody's ssh_config

    def ask(server: OpenSshServer | LiveRampBox, *, extra: dict[str, Any] | None = None, **changes: Any) -> Any:
        connection = json.loads(server.connection_json()) | changes
        connection["extra"] |= extra or {}
        # Airflow gives the copy that it tests a random name.
        monkeypatch.setenv("AIRFLOW_CONN_QXZPWMNB", json.dumps(connection))
        return LiveRampHook("qxzpwmnb").test_connection()

    return ask


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRampBox]:
    with LiveRampBox(tmp_path_factory.mktemp("box"), audiences=[]) as box:
        yield box


def test_private_key_lets_in(server: OpenSshServer, ask: Ask) -> None:
    """Who logged in where is said, and by which host key."""
    fingerprint = asyncssh.import_public_key(server.host_key).get_fingerprint()
    assert ask(server) == (
        True,
        f"Logged in to {server.host}:{server.port} as {server.username}, and SFTP answers. "
        f"The host key is the pinned one ({fingerprint}). Nothing was changed.",
    )


def test_password_lets_in(box: LiveRampBox, ask: Ask) -> None:
    """A password serves as well."""
    done, message = ask(box)
    assert done
    assert f"Logged in to {box.host}:{box.port} as acme" in message


def test_known_hosts(server: OpenSshServer, ask: Ask, tmp_path: Path) -> None:
    """Where a known_hosts file is trusted, it is named."""
    (tmp_path / "hosts").write_text(f"[{server.host}]:{server.port} {server.host_key}\n")
    done, message = ask(server, extra={"host_key": None, "known_hosts": str(tmp_path / "hosts")})
    assert done
    assert f"The host key is one of {tmp_path}/hosts." in message


def test_nothing_is_changed(box: LiveRampBox, ask: Ask) -> None:
    """No file and no folder at the server is made, removed, written or touched."""
    root = box.uploads.parent  # where a login starts

    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_ctime_ns, path.stat().st_size) for path in (root, *root.rglob("*"))}

    before = state()
    assert ask(box)[0]
    assert state() == before


def test_another_host_key(server: OpenSshServer, ask: Ask) -> None:
    """A server that shows another key than the pinned one is not logged in to."""
    logged = len(server.log)
    done, message = ask(server, extra={"host_key": public_text(asyncssh.generate_private_key("ssh-ed25519"))})
    assert not done
    assert f"{server.host}:{server.port} shows a host key that is not the pinned one" in message
    assert "Accepted" not in server.log[logged:]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "not the password"}, "refused the login of acme. Correct the connection."),
        ({"extra": {"host_key": None}}, "this connection pins no host key. Add the extra host_key"),
        ({"extra": {"no_host_key_check": True, "host_key": None}}, "this connection switches the host key check off"),
        ({"extra": {"private_key": "nonsense"}}, "this connection: Key must have BEGIN and END"),
        ({"host": None}, "this connection: Missing required param: remote_host"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid:"),
        ({"port": 1}, "127.0.0.1:1: ConnectionRefusedError"),
    ],
    ids=["password", "no host key", "unverified", "no key", "no host", "no such host", "nobody listens"],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str, box: LiveRampBox, ask: Ask) -> None:
    """Every fault of a connection is a sentence that shows neither a secret nor Airflow's random name."""
    done, message = ask(box, **changes)
    assert not done
    assert said in message
    for hidden in (box.password, "not the password", "nonsense", "qxzpwmnb"):
        assert hidden not in message
