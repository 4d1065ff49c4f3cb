"""Tasks that Airflow ends in the middle of an upload: they leave in good order, and the next try delivers once."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.ledger import State
from liveramp_provider.core.ledger.reading import recorded
from liveramp_provider.core.transports import apart
from liveramp_provider.testing.keys import pgp_keys
from liveramp_provider.testing.sftp import Fault, FaultySftp
from tests.airflow.conftest import FOLDER
from tests.airflow.test_runs import DEVICE, PII
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import DAG

    from tests.airflow.conftest import Installation

DELIVER = ("liveramp.deliver_PII", "liveramp.deliver_D")


@pytest.fixture
def sftp(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultySftp]:
    """A server that says nothing any more when the first file comes; a second is long for tidying up."""
    monkeypatch.setattr(apart, "_TIDY_S", 0.2)
    keys = pgp_keys(tmp_path / "pgp")
    installation.pin(keys.public, keys.fingerprint)
    installation.edit(FOLDER, FaultySftp.folder)
    before = signal.getsignal(signal.SIGTERM)
    with FaultySftp(tmp_path / "sftp") as server:
        installation.connect("liveramp_default", server.connection_json())
        server.misbehave(Fault.STALL_WRITE)
        yield server
    # Airflow's own stays behind in this process.
    signal.signal(signal.SIGTERM, before)


def impatient(installation: Installation, *, retries: int, timeout: timedelta | None = None) -> DAG:
    """The DAG with so many tries of its deliver tasks, each of which may take so long."""
    dag = installation.dag()
    for name in DELIVER:
        task = dag.get_task(name)
        task.retries, task.retry_delay, task.execution_timeout = retries, timedelta(0), timeout
    return dag


def once(installation: Installation, sftp: FaultySftp) -> None:
    """Both files arrived once, nothing lies beside them, and nobody can be found anywhere."""
    sftp.poll()
    assert sorted(name for name, _ in sftp.taken) == sorted((PII, DEVICE))
    assert sftp.leftovers == ()
    assert installation.leaks() == []
    assert installation.left_over() == []


def test_execution_timeout(installation: Installation, sftp: FaultySftp) -> None:
    """Ended by Airflow's timeout, the task fails and its claim is free at once; the next run delivers."""
    first = installation.run(dag=impatient(installation, retries=0, timeout=timedelta(seconds=5)))
    assert sorted(first.tasks[name] for name in DELIVER) == ["failed", "success"]
    assert "AirflowTaskTimeout" in first.output
    assert {(one.state, one.lease_until < datetime.now(UTC)) for one in recorded(installation.ledger)} >= {
        (State.UPLOADING, True)
    }
    assert set(installation.run().tasks.values()) == {"success"}
    once(installation, sftp)


def test_sigterm(installation: Installation, sftp: FaultySftp) -> None:
    """Told to go, the task goes, and its retry delivers."""

    def tell() -> None:
        wait_until(lambda: sftp.calls["write"], "the upload to begin")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()
    outcome = installation.run(dag=impatient(installation, retries=1))
    assert set(outcome.tasks.values()) == {"success"}
    assert sorted(outcome.tries[name] for name in DELIVER) == [1, 2]
    assert "Task exited" in outcome.output
    once(installation, sftp)
