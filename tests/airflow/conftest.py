"""Real DAG runs: an audience of sample customers, a receiver, and Airflow in this process."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.testing import LiveRampAudience, LiveRampBox
from liveramp_provider.testing.warehouse import make_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]
DAY = date(2026, 11, 20)
CUSTOMERS = 1_500
FOLDER = "/uploads/high_value_customers"
ALGORITHMS = ("md5", "sha1", "sha256")
CANARY = {
    "customer_id": "Ccanary777",
    "email": "canary.bird.777@coalmine.example",
    "phone": "(773) 555-7771",
    "first_name": "Canaria",
    "last_name": "Yellowfeather",
    "address": "7 Coalmine Shaft",
    "idfa": "CA9A7111-7777-4777-8777-CA9A7111CA9A",
}


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's metadata database, once for all runs."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def sample_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample customers, and one whose every value is looked for where no personal data may be."""
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.db"
    make_warehouse(path, day=DAY, customers=CUSTOMERS)
    day = DAY.isoformat()
    with sqlite3.connect(path) as warehouse:
        warehouse.execute("insert into vip (customer_id, snapshot_date) values (?, ?)", (CANARY["customer_id"], day))
        warehouse.execute(
            "insert into customers (customer_id, snapshot_date, email_address, mobile, first_name, last_name, address)"
            " values (:customer_id, :day, :email, :phone, :first_name, :last_name, :address)",
            CANARY | {"day": day},
        )
        warehouse.execute(
            "insert into devices (customer_id, snapshot_date, idfa) values (:customer_id, :day, :idfa)",
            CANARY | {"day": day},
        )
    return path


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    :param output: All that Airflow and the tasks printed.
    """

    state: str
    tasks: dict[str, str]
    tries: dict[str, int]
    output: str


@dataclass(frozen=True)
class Installation:
    """DAGs folder, staging and ledger of one test, and how to run a day in it."""

    home: Path
    capture: pytest.CaptureFixture[str]
    environment: pytest.MonkeyPatch

    @property
    def audience_file(self) -> Path:
        return self.home / "dags" / "audiences" / "high_value_customers.yaml"

    @property
    def staging(self) -> Path:
        return self.home / "liveramp" / "staging"

    @property
    def ledger(self) -> Path:
        return self.home / "liveramp" / "ledger.sqlite"

    def edit(self, pattern: str, replacement: str) -> None:
        """Change the audience file; the pattern must be there."""
        text, count = re.subn(pattern, replacement, self.audience_file.read_text())
        assert count, pattern
        self.audience_file.write_text(text)

    def pin(self, public_key: str, fingerprint: str) -> None:
        """Encrypt to that key."""
        (self.audience_file.parent / "keys" / "liveramp.asc").write_text(public_key)
        self.edit(r"recipient: [0-9A-F]{40}", f"recipient: {fingerprint}")

    def connect(self, conn_id: str, connection: str) -> None:
        self.environment.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)

    def dag(self) -> DAG:
        from liveramp_provider.dag import dags_in

        return dags_in(self.audience_file.parent)["high_value_customers"]

    def run(self, day: date = DAY, *, dag: DAG | None = None) -> Outcome:
        """Run the DAG of `day` through Airflow; without `dag`, the audience file's."""
        dag = dag or self.dag()
        _serialize(dag)
        self.capture.readouterr()
        run = dag.test(run_conf={"snapshot_date": day.isoformat()})
        printed = self.capture.readouterr()
        (self.home / "output.log").write_text(printed.out + printed.err)
        instances = run.get_task_instances()
        return Outcome(
            state=str(run.state),
            tasks={instance.task_id: str(instance.state) for instance in instances},
            tries={instance.task_id: instance.try_number for instance in instances},
            output=printed.out + printed.err,
        )

    def run_trying_twice(self, day: date = DAY) -> Outcome:
        """A run whose deliver tasks are tried twice, without a pause."""
        dag = self.dag()
        for task in dag.tasks:
            if ".deliver_" in task.task_id:
                task.retries, task.retry_delay = 1, timedelta(0)
        return self.run(day, dag=dag)

    def leaks(self) -> list[str]:
        """Where the canary's data lies although no personal data may lie there.

        Looks at what was printed, at Airflow's logs and metadata (XCom, rendered templates, errors), at the ledger, and
        at anything but sealed Parquet in staging.
        """
        from tests.conftest import AIRFLOW_HOME

        searched = [
            self.home / "output.log",
            *(path for path in AIRFLOW_HOME.rglob("*") if path.is_file()),
            *self.home.glob("liveramp/ledger.sqlite*"),
            *(path for path in self.staging.rglob("*") if path.is_file() and path.suffix != ".parquet"),
        ]
        traces = [trace.encode() for trace in traces_of_the_canary()]
        return [
            f"{path.relative_to(path.parents[1])} holds {trace.decode()}"
            for path in searched
            for content in [path.read_bytes() + path.name.encode()]
            for trace in traces
            if trace.lower() in content.lower()
        ]

    def left_over(self) -> list[Path]:
        """Work in progress that a finished run should have removed."""
        return list((self.staging / ".scratch").glob("*")) if self.staging.exists() else []


def traces_of_the_canary() -> list[str]:
    phone = re.sub(r"\D", "", CANARY["phone"])
    hashed = [value.encode() for value in (CANARY["email"], phone)]
    return [*CANARY.values(), phone, *(hashlib.new(name, value).hexdigest() for value in hashed for name in ALGORITHMS)]


@pytest.fixture
def installation(
    airflow_database: None,
    sample_warehouse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Installation:
    # As in Airflow, so that the search for leaks sees what tasks log.
    caplog.set_level("INFO")
    home = tmp_path / "installation"
    shutil.copytree(REPOSITORY / "dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(home / "liveramp"))
    here = Installation(home=home, capture=capfd, environment=monkeypatch)
    here.connect("warehouse", json.dumps({"conn_type": "sqlite", "host": str(sample_warehouse)}))
    return here


@pytest.fixture
def box(installation: Installation, tmp_path: Path) -> Iterator[LiveRampBox]:
    """LiveRamp in a box, reached by the installation's connection and key."""
    audiences = [
        LiveRampAudience(name=slot, folder=FOLDER, filename=rf"3242_high_value_customers-{slot}_.*", kind=kind)
        for slot, kind in (("PII", "known"), ("D", "pseudonymous"))
    ]
    with LiveRampBox(tmp_path / "box", audiences=audiences) as receiver:
        installation.pin(receiver.pgp_public_key, receiver.pgp_fingerprint)
        installation.connect("liveramp_default", receiver.connection_json())
        yield receiver


def _serialize(dag: DAG) -> None:
    """Put the DAG into the metadata database, as the DAG processor would; Airflow's `dag.test` asks for that."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        if not session.get(DagBundleModel, "tests"):
            session.add(DagBundleModel(name="tests"))
            session.flush()
        parsed = [LazyDeserializedDAG.from_dag(dag)]
        update_dag_parsing_results_in_db("tests", None, parsed, {}, None, set(), session=session)
