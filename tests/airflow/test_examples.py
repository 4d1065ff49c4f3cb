"""The examples do what their pages say: each is run through Airflow against LiveRamp in a box."""

from __future__ import annotations

import csv
import runpy
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import DAG

from liveramp_provider.testing import LiveRampAudience, LiveRampBox
from tests.airflow.conftest import REPOSITORY, Installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HIGH_VALUE_PII = "3242_high_value_customers-PII_2026-11-20.csv.gz.gpg"
HIGH_VALUE_DEVICE = "3242_high_value_customers-D_2026-11-20.csv.gz.gpg"
FOLDER = "/uploads/high_value_customers"


@pytest.fixture
def box(installation: Installation, tmp_path: Path) -> Iterator[LiveRampBox]:
    """LiveRamp as it is set up for the audiences of the examples, which lie beside the DAGs."""
    shutil.copytree(REPOSITORY / "examples", installation.home / "examples")
    audiences = [
        LiveRampAudience(name="PII", folder=FOLDER, filename=r"3242_high_value_customers-PII_.*", kind="known"),
        LiveRampAudience(name="D", folder=FOLDER, filename=r"3242_high_value_customers-D_.*", kind="pseudonymous"),
        LiveRampAudience(name="gold", folder="/uploads/gold", filename=r"3242_gold-PII_.*", kind="known"),
        LiveRampAudience(
            name="churn", folder="/uploads/likely_to_leave", filename=r"3242_likely_to_leave-PII_.*", kind="known"
        ),
        LiveRampAudience(name="silver", folder="/uploads/silver", filename=r"3242_silver-PII_.*", kind="known"),
    ]
    with LiveRampBox(tmp_path / "box", audiences=audiences) as receiver:
        installation.pin(receiver.pgp_public_key, receiver.pgp_fingerprint)
        installation.connect("liveramp_default", receiver.connection_json())
        yield receiver


def example(installation: Installation, name: str) -> dict[str, DAG]:
    """The DAGs that Airflow finds in an example, by id."""
    found = runpy.run_path(str(installation.home / "examples" / f"{name}.py")).values()
    return {dag.dag_id: dag for dag in found if isinstance(dag, DAG)}


def ingested(box: LiveRampBox) -> list[str]:
    return [file.name for file in box.files() if file.status == "ingested"]


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(content.decode().splitlines()))[1:]


def test_an_extra_task_lets_a_large_audience_through(installation: Installation, box: LiveRampBox) -> None:
    """The check stands between enrich and build, and the files go out after it."""
    (dag,) = example(installation, "extra_task").values()
    outcome = installation.run(dag=dag)

    assert dag.get_task("check_size").upstream_task_ids == {"enrich"}
    assert "check_size" in dag.get_task("liveramp.build").upstream_task_ids
    assert set(outcome.tasks.values()) == {"success"}
    assert sorted(ingested(box)) == [HIGH_VALUE_DEVICE, HIGH_VALUE_PII]


def test_an_extra_task_holds_a_small_audience_back(installation: Installation, box: LiveRampBox) -> None:
    """A shrunken audience fails in the check, and nothing is built or sent."""
    installation.edit("from vip where snapshot", "from vip where customer_id < 'C0000100' and snapshot")
    (dag,) = example(installation, "extra_task").values()
    outcome = installation.run(dag=dag)

    assert (outcome.tasks["check_size"], outcome.tasks["liveramp.build"]) == ("failed", "upstream_failed")
    assert "members, and at least 500 are expected" in outcome.output
    assert box.files() == ()


def test_a_hand_written_dag_delivers(installation: Installation, box: LiveRampBox) -> None:
    """The operators do the same in a DAG of one's own; what has no deliver task is not sent."""
    (dag,) = example(installation, "hand_written").values()
    outcome = installation.run(dag=dag)

    assert set(outcome.tasks.values()) == {"success"}
    assert dag.get_task("deliver").retries == 3
    assert ingested(box) == [HIGH_VALUE_PII]


def test_audiences_in_python_deliver(installation: Installation, box: LiveRampBox) -> None:
    """Each dict is an audience of its own, with the members of its tier."""
    dags = example(installation, "audience_in_python")
    assert set(dags) == {"gold", "silver"}
    for dag in dags.values():
        assert set(installation.run(dag=dag).tasks.values()) == {"success"}

    assert ingested(box) == ["3242_gold-PII_2026-11-20.csv.gz", "3242_silver-PII_2026-11-20.csv.gz"]
    assert min(box.segments()["gold"], box.segments()["silver"]) > 25
    assert box.members("gold").isdisjoint(box.members("silver"))


def test_an_own_source_and_an_own_score_deliver(
    installation: Installation, box: LiveRampBox, sample_warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function's members are those with a device, and everybody's score arrives as a word of three."""
    # Airflow puts the folder of the DAGs there.
    monkeypatch.syspath_prepend(str(installation.home / "examples"))
    (dag,) = example(installation, "own_source_and_score").values()
    outcome = installation.run(dag=dag)

    assert set(outcome.tasks.values()) == {"success"}
    assert ingested(box) == ["3242_likely_to_leave-PII_2026-11-20.csv.gz"]
    with sqlite3.connect(sample_warehouse) as warehouse:
        query = (
            "select distinct customer_id from devices where snapshot_date = '2026-11-20' and customer_id is not null"
        )
        with_device = {key for (key,) in warehouse.execute(query)}
    assert box.members("churn") <= with_device
    assert len(box.members("churn")) > 25
    risks = {cell for row in rows_of(box.decrypted("3242_likely_to_leave-PII_2026-11-20.csv.gz")) for cell in row[2:]}
    assert risks == {"high", "some", ""}


def test_every_example_is_run() -> None:
    """A new example needs a test here."""
    names = {path.stem for path in (REPOSITORY / "examples").glob("*.py")}
    assert names == {"extra_task", "hand_written", "audience_in_python", "own_source_and_score"}
