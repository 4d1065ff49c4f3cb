"""The real DAG through Airflow where nobody can know whether a file arrived: it waits for a person, who closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from liveramp_provider.cli import app
from liveramp_provider.core.ledger import State
from liveramp_provider.core.ledger.reading import recorded
from liveramp_provider.testing.keys import pgp_keys
from liveramp_provider.testing.sftp import Fault, FaultySftp, Pickup
from tests.airflow.conftest import FOLDER
from tests.airflow.test_runs import DEVICE, PII

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.airflow.conftest import Installation

BOTH = sorted((PII, DEVICE))


@pytest.fixture
def sftp(installation: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultySftp]:
    """Of the class in the test's parameter."""
    keys = pgp_keys(tmp_path / "pgp")
    installation.pin(keys.public, keys.fingerprint)
    installation.edit(FOLDER, FaultySftp.folder)
    with FaultySftp(tmp_path / "sftp", pickup=request.param) as server:
        installation.connect("liveramp_default", server.connection_json())
        yield server


def arrived(sftp: FaultySftp) -> list[str]:
    sftp.poll()
    return sorted(name for name, _ in sftp.taken)


def close(installation: Installation) -> list[str]:
    """A person looks at the Files page, finds there what is in doubt, and says so; the names of it."""
    doubts = recorded(installation.ledger, state=State.IN_DOUBT)
    for doubt in doubts:
        said = ["--outcome", "delivered", "--why", "on the Files page", "--home", str(installation.ledger.parent)]
        done = CliRunner().invoke(app, ["resolve", doubt.short_id, *said])
        assert done.exit_code == 0, done.output
    return sorted(doubt.name for doubt in doubts)


@pytest.mark.parametrize("sftp", [Pickup.D], indirect=True)
def test_a_lost_answer_to_a_close(installation: Installation, sftp: FaultySftp) -> None:
    """Written directly: the file was taken, nobody said so, nothing is sent again, and a person's word ends it."""
    installation.edit("path: /uploads", "upload: direct\n    path: /uploads")
    sftp.misbehave(Fault.LOSE_CLOSE_REPLY)
    first, second = installation.run_trying_twice(), installation.run_trying_twice()

    assert sorted(first.tasks[f"liveramp.deliver_{slot}"] for slot in ("PII", "D")) == ["failed", "success"]
    assert second.tasks == first.tasks
    assert "DeliveryInDoubtError" in first.output
    assert arrived(sftp) == BOTH
    assert len(close(installation)) == 1
    assert set(installation.run_trying_twice().tasks.values()) == {"success"}
    assert arrived(sftp) == BOTH
    assert installation.leaks() == []


@pytest.mark.parametrize("sftp", [Pickup.B], indirect=True)
def test_a_lost_ledger(installation: Installation, sftp: FaultySftp) -> None:
    """A ledger that is gone has nothing sent again: staging knows what was begun, and a person's word ends it."""
    assert set(installation.run().tasks.values()) == {"success"}
    installation.ledger.unlink()
    second = installation.run_trying_twice()

    assert {second.tasks[f"liveramp.deliver_{slot}"] for slot in ("PII", "D")} == {"failed"}
    assert {second.tries[f"liveramp.deliver_{slot}"] for slot in ("PII", "D")} == {1}
    assert arrived(sftp) == BOTH
    assert close(installation) == BOTH
    assert set(installation.run_trying_twice().tasks.values()) == {"success"}
    assert arrived(sftp) == BOTH
    assert installation.leaks() == []
