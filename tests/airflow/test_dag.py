"""The DAG factory, the DAGs folder and the provider as Airflow sees them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronPartitionTimetable, RetryAction
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

from liveramp_provider.core import errors
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.dag import audience_dag, dags_in
from liveramp_provider.operators.base import RETRY_POLICY
from liveramp_provider.snapshot_day import snapshot_day
from tests.airflow.conftest import REPOSITORY

DAGS = REPOSITORY / "dags"


@pytest.fixture
def dags_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    shutil.copytree(DAGS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_graph() -> None:
    """Preflight comes first, then extract and enrich, then build and one delivery for each file of a destination."""
    dag = audience_dag(load_audience(DAGS / "audiences" / "high_value_customers.yaml"))

    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "preflight": {"extract"},
        "extract": {"enrich"},
        "enrich": {"liveramp.build"},
        "liveramp.build": {"liveramp.deliver_PII", "liveramp.deliver_D"},
        "liveramp.deliver_PII": set(),
        "liveramp.deliver_D": set(),
    }


def test_graph_of_several_destinations() -> None:
    """Each destination has a preflight of its own, before anything is made for it; members are read once for all."""
    audience = load_audience(DAGS / "audiences" / "high_value_customers.yaml")
    (first,) = audience.destinations
    both = replace(audience, destinations=(first, replace(first, id="other", files=first.files[:1])))

    assert {task.task_id: task.downstream_task_ids for task in audience_dag(both).tasks} == {
        "preflight.liveramp": {"extract", "liveramp.build"},
        "preflight.other": {"extract", "other.build"},
        "extract": {"enrich"},
        "enrich": {"liveramp.build", "other.build"},
        "liveramp.build": {"liveramp.deliver_PII", "liveramp.deliver_D"},
        "other.build": {"other.deliver_PII"},
        "liveramp.deliver_PII": set(),
        "liveramp.deliver_D": set(),
        "other.deliver_PII": set(),
    }


def test_schedule_is_partitioned_by_snapshot_day() -> None:
    """Runs follow the audience's cron in its zone and are keyed by the day before."""
    dag = audience_dag(load_audience(DAGS / "audiences" / "high_value_customers.yaml"))

    assert isinstance(dag.timetable, CronPartitionTimetable)
    assert str(dag.timetable.timezone) == "America/New_York"
    assert dag.timetable.run_offset == -1
    assert dag.timetable.key_format == "%Y-%m-%d"
    assert dag.catchup is False


def test_arguments_replace_what_the_factory_sets() -> None:
    """Whoever extends the DAG passes any DAG argument on."""
    audience = load_audience(DAGS / "audiences" / "high_value_customers.yaml")

    dag = audience_dag(audience, dag_id="another_id", max_active_runs=3)

    assert (dag.dag_id, dag.max_active_runs) == ("another_id", 3)


def test_default_arguments_are_added_to_the_owner() -> None:
    """Other retries do not cost the audience its owners."""
    audience = load_audience(DAGS / "audiences" / "high_value_customers.yaml")

    dag = audience_dag(audience, default_args={"retries": 2})

    assert {(task.owner, task.retries) for task in dag.tasks} == {("crm@example.com", 2)}


def test_documentation_of_the_dag() -> None:
    """The DAG's page names sources, folder, every column and the key, and shows no query."""
    doc = audience_dag(load_audience(DAGS / "audiences" / "high_value_customers.yaml")).doc_md or ""

    for word in ("warehouse", "/uploads/high_value_customers", "EMAIL1_SHA256", "MOBILEID", "customer_id", "Backfill"):
        assert word in doc
    assert "select" not in doc


def test_dags_folder_loads_in_airflow(dags_folder: Path) -> None:
    """Airflow finds one DAG for each audience file, and the one that cleans up."""
    bag = DagBag(dag_folder=str(dags_folder))

    assert bag.import_errors == {}
    assert set(bag.dags) == {"high_value_customers", "liveramp_maintenance"}


def test_a_broken_file_takes_no_other_down(dags_folder: Path) -> None:
    """A file with faults becomes a DAG of the same id whose page shows them and whose one task fails with them."""
    broken = (dags_folder / "audiences" / "high_value_customers.yaml").read_text()
    broken = broken.replace("audience: high_value_customers", "audience: lapsed_customers")
    broken = broken.replace(":snapshot_date", ":snapshot_dat")
    (dags_folder / "audiences" / "lapsed.yaml").write_text(broken)

    dags = dags_in(dags_folder / "audiences")

    assert set(dags) == {"high_value_customers", "lapsed_customers"}
    placeholder = dags["lapsed_customers"]
    assert [task.task_id for task in placeholder.tasks] == ["read_audience_file"]
    assert "the query needs :snapshot_dat" in (placeholder.doc_md or "")
    with pytest.raises(Exception, match="the query needs :snapshot_dat"):
        placeholder.tasks[0].execute({})


def test_two_files_of_one_audience(dags_folder: Path) -> None:
    """The second file that claims an id becomes a placeholder under its own name, and the first one stays."""
    original = dags_folder / "audiences" / "high_value_customers.yaml"
    shutil.copy(original, dags_folder / "audiences" / "second.yaml")

    dags = dags_in(dags_folder / "audiences")

    assert len(dags["high_value_customers"].tasks) == 6
    assert "another file already describes high_value_customers" in (dags["second"].doc_md or "")


def test_a_task_reads_the_file_of_its_dag_alone(dags_folder: Path) -> None:
    """Hundreds of audiences do not slow each other's tasks down; a DAG that no file names is looked for in all."""
    audiences = dags_folder / "audiences"
    original = (audiences / "high_value_customers.yaml").read_text()
    (audiences / "others.yaml").write_text(original.replace("audience: high_value", "audience: low_value"))

    def found(dag_id: str) -> set[str]:
        with _airflow_parsing_context_manager(dag_id=dag_id):
            return set(dags_in(audiences))

    assert found("low_value_customers") == {"low_value_customers"}
    assert found("others") == {"high_value_customers", "low_value_customers"}


@pytest.mark.parametrize(
    ("partition_key", "parameter"),
    [("2026-11-20", None), (None, "2026-11-20"), ("2026-11-20", "2026-11-20")],
)
def test_snapshot_day(partition_key: str | None, parameter: str | None) -> None:
    """The day is the partition key, or the parameter where there is none."""
    context = {"partition_key": partition_key, "params": {"snapshot_date": parameter}}

    assert snapshot_day(context) == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("partition_key", "parameter", "sentence"),
    [
        (None, None, 'Type the day as "Partition Key"'),
        ("2026-11-20", "2026-11-21", "Give only one"),
        ("2026-11-20T00", None, "not of the form YYYY-MM-DD"),
        ("20261120", None, "not of the form YYYY-MM-DD"),
        (None, "20.11.2026", "not of the form YYYY-MM-DD"),
    ],
)
def test_no_snapshot_day(partition_key: str | None, parameter: str | None, sentence: str) -> None:
    """A run without a day, or with two, fails with a sentence that says what to type where; the clock is not asked."""
    with pytest.raises(errors.SnapshotDayError, match=sentence):
        snapshot_day({"partition_key": partition_key, "params": {"snapshot_date": parameter}})


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.HostKeyError("x"), RetryAction.FAIL),
        (errors.SourceError("x"), RetryAction.FAIL),
        (errors.SmallAudienceError("x"), RetryAction.FAIL),
        (errors.DeliveryInDoubtError("x"), RetryAction.FAIL),
        (errors.TransportError("x"), RetryAction.DEFAULT),
        (errors.SourceUnavailableError("x"), RetryAction.DEFAULT),
        (OSError("x"), RetryAction.DEFAULT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_retries(error: Exception, action: RetryAction) -> None:
    """What a person has to correct fails at once; what passes by itself is tried again."""
    assert RETRY_POLICY.evaluate(error, try_number=1, max_tries=5).action is action


def test_provider_is_known_to_airflow() -> None:
    """Airflow lists the connection type with its form fields, the hook and the configuration section."""
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-provider-liveramp" in manager.providers
    assert manager.providers["airflow-provider-liveramp"].data["connection-types"][0]["hook-class-name"] == (
        "liveramp_provider.hooks.liveramp.LiveRampHook"
    )
    fields = {name for name in manager.connection_form_widgets if name.startswith("extra__liveramp__")}
    assert fields == {
        "extra__liveramp__host_key",
        "extra__liveramp__private_key",
        "extra__liveramp__private_key_passphrase",
    }
    assert manager.connection_form_widgets["extra__liveramp__private_key"].is_sensitive
    assert manager.field_behaviours["liveramp"]["relabeling"]["host"] == "SFTP host"
    assert (conf.get("liveramp", "memory_limit"), conf.getint("liveramp", "threads")) == ("2GB", 2)
