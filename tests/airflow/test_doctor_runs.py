"""`liveramp doctor`, as somebody types it where Airflow is installed, and what the next run makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from liveramp_provider.testing.keys import pgp_keys
from tests.servers import OpenSshServer
from tests.test_cli import liveramp

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.testing import LiveRampBox
    from tests.airflow.conftest import Installation


def connection(server: OpenSshServer) -> str:
    extra = {"host_key": server.host_key, "private_key": server.private_key}
    return json.dumps(
        {"conn_type": "liveramp", "host": server.host, "port": server.port, "login": server.username, "extra": extra}
    )


def _key(folder: Path) -> tuple[str, str]:
    keys = pgp_keys(folder / "keys")
    return (keys.folder / "public.asc").read_text(), keys.fingerprint


def test_a_run_after_the_doctor(installation: Installation, tmp_path: Path) -> None:
    """A server that renames nothing is told by the doctor and refused by the next run, before a row is read."""
    installation.pin(*_key(tmp_path))
    with OpenSshServer(tmp_path / "server", sftp_options=("-P", "rename,posix-rename")) as server:
        installation.connect("liveramp_default", connection(server))
        installation.edit(r"path: /uploads/\S+", f"path: {server.root}")
        result = liveramp("doctor", installation.audience_file)
        assert result.exit_code == 1
        assert "but lets nothing be renamed. Ask" in result.output
        run = installation.run()
    assert run.tasks["preflight"] == "failed"
    assert run.tasks["extract"] == "upstream_failed"
    assert "liveramp doctor found that" in run.output


def test_all_is_well(installation: Installation, box: LiveRampBox) -> None:
    """The box is examined through Airflow's connection; the command says so and exits 0."""
    result = liveramp("doctor", installation.audience_file, "--destination", "liveramp")
    assert result.exit_code == 0, result.output
    assert "and rename there: `upload: rename` works" in result.output


def test_no_such_destination(installation: Installation) -> None:
    """A slip in the id is a sentence."""
    result = liveramp("doctor", installation.audience_file, "--destination", "livramp")
    assert result.exit_code == 1
    assert "has no destination livramp" in result.output
