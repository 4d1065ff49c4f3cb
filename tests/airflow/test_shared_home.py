"""Where the ledger and staged files may lie: by what Airflow's executors say of themselves, and what is configured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from airflow.executors import executor_loader
from airflow.executors.base_executor import BaseExecutor

from liveramp_provider import settings
from liveramp_provider.core.errors import ConnectionConfigError, SharedHomeError
from liveramp_provider.executors import executors_of_many_machines
from tests.airflow.conftest import DAY, Installation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liveramp_provider.testing import LiveRampBox
    from tests.ledgers import LedgerDatabase

ECS = "airflow.providers.amazon.aws.executors.ecs.AwsEcsExecutor"

LOCAL = ("LocalExecutor", "here:LocalExecutor", "airflow.executors.local_executor.LocalExecutor")


class OurOwnExecutor(BaseExecutor):
    """One of a company's own, which says nothing of where it runs tasks."""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow reads the names of the executors once a process; here anew in every test."""

    def forget() -> None:
        executor_loader._executor_names.clear()
        for names in ("alias", "module", "classname"):
            getattr(executor_loader, f"_{names}_to_executors_per_team").clear()
        executor_loader._team_name_to_executors.clear()

    forget()
    monkeypatch.delenv("AIRFLOW_IS_K8S_EXECUTOR_POD", raising=False)
    yield
    forget()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Airflow's configuration of one test; the home folder is empty."""

    def configure(executor: str, **options: str) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        for name, value in ({"home": str(tmp_path)} | options).items():
            monkeypatch.setenv(f"AIRFLOW__LIVERAMP__{name.upper()}", value)

    return configure


@pytest.mark.parametrize("executor", LOCAL)
def test_local_executors(executor: str, configured: Callable[..., None]) -> None:
    """Where all tasks run on one machine, by whatever name, the ledger and staged files may lie there."""
    configured(executor)
    assert executors_of_many_machines() == ()
    settings.ledger()
    with settings.staging() as staging:
        assert staging is not None


@pytest.mark.parametrize(
    ("executor", "named"),
    [
        ("CeleryExecutor", "CeleryExecutor"),
        ("KubernetesExecutor", "KubernetesExecutor"),
        (ECS, "AwsEcsExecutor"),
        (f"LocalExecutor,{ECS}", "AwsEcsExecutor"),
        (f"LocalExecutor,big:{ECS}", "AwsEcsExecutor"),
        (f"{__name__}.OurOwnExecutor", "OurOwnExecutor"),
        ("nowhere.to.be.found.Executor", "Executor"),
    ],
)
def test_executors_of_many_machines(executor: str, named: str, configured: Callable[..., None], tmp_path: Path) -> None:
    """One such executor among others is enough, by a name, an alias or a path, installed here or not."""
    configured(executor)
    assert executors_of_many_machines() == (named,)
    for opened in (settings.ledger, settings.staging().__enter__):
        with pytest.raises(SharedHomeError, match=rf"several machines \({named}\)") as caught:
            opened()
        for way_out in ("ledger_conn_id", "staging", "shared_home = True", str(tmp_path)):
            assert way_out in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER"])
def test_in_a_pod_of_its_own(variable: str, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's configuration says LocalExecutor although the pod is gone with its task; the pod itself knows better."""
    configured("LocalExecutor")
    monkeypatch.setenv(variable, "True")
    with pytest.raises(SharedHomeError, match="one container a task"):
        settings.ledger()


def test_declared_shared(configured: Callable[..., None], tmp_path: Path) -> None:
    """Whoever says that the folder is the same on every machine is believed."""
    configured("CeleryExecutor", shared_home="True")
    settings.ledger()
    with settings.staging():
        assert (tmp_path / "ledger.sqlite").is_file()


def test_elsewhere(
    configured: Callable[..., None], ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger in PostgreSQL may be opened from anywhere; one in an SQLite file may not, by whatever name."""
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection(ledger_database))
    configured("CeleryExecutor", ledger_conn_id="ledger", staging="s3://bucket/prefix", staging_conn_id="missing")
    if ledger_database.dialect == "sqlite":
        with pytest.raises(SharedHomeError):
            settings.ledger()
    else:
        settings.ledger()
        assert ledger_database.sql("select count(*) from liveramp_deliveries") == [(0,)]
    with pytest.raises(ConnectionConfigError, match="missing"):
        settings.staging().__enter__()


def test_a_ledger_connection_that_is_none(configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in ledger_conn_id is told, and no ledger is made in the folder instead."""
    configured("LocalExecutor", ledger_conn_id="ledgre")
    with pytest.raises(ConnectionConfigError, match="there is no connection ledgre"):
        settings.ledger()
    monkeypatch.setenv("AIRFLOW_CONN_LEDGRE", '{"conn_type": "ssh", "host": "db"}')
    with pytest.raises(ConnectionConfigError, match="ledgre is no database"):
        settings.ledger()


def connection(database: LedgerDatabase) -> str:
    """The Airflow connection of a ledger, as JSON."""
    url = sa.make_url(database.url)
    if database.dialect == "sqlite":
        return json.dumps({"conn_type": "sqlite", "host": url.database})
    address = {"host": url.host, "port": url.port, "login": url.username, "schema": url.database}
    return json.dumps({"conn_type": "postgres", **address, "extra": {"sqlalchemy_query": dict(url.query)}})


def test_preflight_says_so(installation: Installation, box: LiveRampBox) -> None:
    """The first task fails at once and is not retried; nothing is read, and nothing arrives."""
    installation.environment.setenv("AIRFLOW__CORE__EXECUTOR", f"LocalExecutor,{ECS}")
    outcome = installation.run()
    assert (outcome.tasks["preflight"], outcome.tries["preflight"]) == ("failed", 1)
    assert "tasks may run on several machines (AwsEcsExecutor)" in outcome.output
    assert not installation.staging.exists()
    assert box.files() == ()


def test_a_day_with_a_ledger_in_postgresql(
    installation: Installation, box: LiveRampBox, ledger_database: LedgerDatabase
) -> None:
    """The whole DAG keeps its ledger behind the connection: it delivers once, and no file of a ledger is made."""
    installation.connect("ledger", connection(ledger_database))
    installation.environment.setenv("AIRFLOW__LIVERAMP__LEDGER_CONN_ID", "ledger")
    for _ in range(2):
        assert installation.run().state == "success"
    assert len(box.files()) == 2
    assert not installation.ledger.exists()
    rows = ledger_database.sql("select slot, state, evidence from liveramp_deliveries order by slot")
    assert rows == [("D", "committed", "E3"), ("PII", "committed", "E3")]
    days = ledger_database.sql("select distinct cast(day as text) from liveramp_receipts")
    assert days == [(DAY.isoformat(),)]
    assert installation.leaks() == []
