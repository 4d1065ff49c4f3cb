"""The maintenance DAG, and staging on S3, through Airflow."""

from __future__ import annotations

import os
import re
import runpy
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.ledger.records import deliveries
from tests.airflow.conftest import REPOSITORY, Installation
from tests.airflow.test_operators import folded
from tests.airflow.test_runs import returned_by
from tests.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import DAG

    from liveramp_provider.testing import LiveRampBox


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(installation: Installation, s3: S3Server) -> str:
    """A bucket in which the installation stages."""
    name = s3.bucket()
    installation.connect("liveramp_staging", s3.connection_json())
    for option, value in {
        "STAGING": f"s3://{name}/staging",
        "STAGING_CONN_ID": "liveramp_staging",
        "STAGING_KMS_KEY_ID": "alias/liveramp",
    }.items():
        installation.environment.setenv(f"AIRFLOW__LIVERAMP__{option}", value)
    return name


def maintenance(installation: Installation) -> DAG:
    found: DAG = runpy.run_path(str(installation.home / "dags" / "liveramp_maintenance.py"))["dag"]
    return found


def aged(installation: Installation, days: float) -> None:
    """Let everything that is staged in the folder be sealed so long ago."""
    for manifest in installation.staging.rglob("manifest.json"):
        then = manifest.stat().st_mtime - timedelta(days=days).total_seconds()
        os.utime(manifest, (then, then))


def clean_up(installation: Installation) -> dict[str, int]:
    """What the maintenance returns."""
    assert installation.run(dag=maintenance(installation)).state == "success"
    counts: dict[str, int] = returned_by("remove_old")
    return counts


def test_what_is_staged_too_long_goes(
    installation: Installation, box: LiveRampBox, caplog: pytest.LogCaptureFixture
) -> None:
    """After keep_days a delivered day goes, with what a killed worker left; log and XCom have counts alone."""
    assert installation.run().state == "success"
    left = installation.staging / ".scratch" / "dead"
    left.mkdir(parents=True)
    (left / "rows").touch()
    aged(installation, days=29.9)
    counts = clean_up(installation)
    assert counts == {"removed_days": 0, "removed_stages": 0, "removed_bytes": 0, "held_days": 0, "swept_folders": 1}
    aged(installation, days=0.2)
    counts = clean_up(installation)
    assert {name: counts[name] for name in ("removed_days", "removed_stages", "held_days", "swept_folders")} == {
        "removed_days": 1,
        "removed_stages": 6,
        "held_days": 0,
        "swept_folders": 0,
    }
    assert folded(caplog)[1]["Removed, sealed more than 30 days ago"] == [
        f"high_value_customers 2026-11-20: 6 stages, {counts['removed_bytes']:,} bytes"
    ]
    assert list(installation.staging.iterdir()) == []
    assert installation.leaks() == []


def test_a_day_that_is_gone_runs_again_and_sends_nothing(installation: Installation, box: LiveRampBox) -> None:
    """Its members are read again, and LiveRamp keeps what it has."""
    installation.run()
    before = box.files()
    aged(installation, days=31)
    clean_up(installation)
    assert installation.run().state == "success"
    assert box.files() == before


def test_a_delivery_that_is_not_finished_holds_its_day(
    installation: Installation, box: LiveRampBox, caplog: pytest.LogCaptureFixture
) -> None:
    """What a delivery in doubt may need stays, and the log says so."""
    installation.environment.setenv("AIRFLOW__LIVERAMP__KEEP_DAYS", "2")
    assert installation.run().state == "success"
    with sa.create_engine(f"sqlite:///{installation.ledger}").begin() as ledger:
        ledger.execute(sa.update(deliveries).where(deliveries.c.slot == "D").values(state=State.IN_DOUBT))
    aged(installation, days=3)
    counts = clean_up(installation)
    assert (counts["removed_days"], counts["held_days"]) == (0, 1)
    (held,) = folded(caplog)[1]["Kept although older: a delivery is not finished, see liveramp deliveries"]
    assert held.startswith("high_value_customers 2026-11-20: 6 stages, ")


@pytest.mark.parametrize("days", ["0", "-1"])
def test_nothing_is_removed_at_once(installation: Installation, days: str) -> None:
    """A run needs what is staged, so less than a day is refused."""
    installation.environment.setenv("AIRFLOW__LIVERAMP__KEEP_DAYS", days)
    outcome = installation.run(dag=maintenance(installation))
    assert (outcome.state, outcome.tries["remove_old"]) == ("failed", 1)
    assert "keep it 1 day or more" in outcome.output


# Staging on S3.


def test_a_day_through_s3(installation: Installation, box: LiveRampBox, s3: S3Server, bucket: str) -> None:
    """Both files arrive, everything is staged with KMS in the bucket, and nothing of it stays on the worker."""
    assert installation.run().state == "success"
    assert sorted(file.status for file in box.files()) == ["ingested", "ingested"]
    listed = s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    heads = [s3.client().head_object(Bucket=bucket, Key=each["Key"]) for each in listed]
    assert len(listed) == 12
    assert {(head["ServerSideEncryption"], head["SSEKMSKeyId"]) for head in heads} == {("aws:kms", "alias/liveramp")}
    assert list(installation.staging.rglob("*")) == []
    place = returned_by("extract")["place"]
    assert re.fullmatch(rf"s3://{bucket}/staging/high_value_customers/2026-11-20/extract-[0-9a-f]{{16}}", place)
    assert returned_by("liveramp.build")["PII"]["place"].startswith(f"s3://{bucket}/staging/")
    assert installation.leaks() == []


def test_maintenance_cleans_the_bucket(
    installation: Installation, box: LiveRampBox, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is young stays there; what is old goes there."""
    installation.run()
    assert clean_up(installation)["removed_stages"] == 0
    monkeypatch.setattr("liveramp_provider.settings.keep", lambda: timedelta(days=-1))
    assert clean_up(installation)["removed_stages"] == 6
    assert s3.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("STAGING", "s3://no-such-bucket/staging", r"s3://no-such-bucket/staging: S3 refuses \(NoSuchBucket\)"),
        ("STAGING", "/var/staging", "Write s3://BUCKET/PREFIX"),
        ("STAGING_CONN_ID", "nobody", "there is no connection nobody"),
    ],
)
def test_a_wrong_staging_fails_before_anything_is_read(
    installation: Installation, box: LiveRampBox, bucket: str, option: str, value: str, sentence: str
) -> None:
    """Preflight says what is wrong, and is not retried."""
    installation.environment.setenv(f"AIRFLOW__LIVERAMP__{option}", value)
    outcome = installation.run()
    assert (outcome.tasks["preflight"], outcome.tries["preflight"]) == ("failed", 1)
    assert re.search(sentence, outcome.output)


def test_sources_on_s3_use_airflows_connections(installation: Installation, s3: S3Server) -> None:
    """A stage gets a client by the connection's name; one that is missing is told, instead of asking AWS as anybody."""
    from liveramp_provider import settings

    installation.connect("lake", s3.connection_json())
    name = s3.bucket()
    with settings.workspace() as workspace:
        assert name in [each["Name"] for each in workspace.s3("lake").list_buckets()["Buckets"]]
        with pytest.raises(ConnectionConfigError, match="there is no connection nobody"):
            workspace.s3("nobody")


def test_the_default_stays_the_folder(installation: Installation) -> None:
    """Without a word in the configuration, sealed files lie in home."""
    from liveramp_provider import settings

    with settings.staging() as staging:
        assert Path(staging.store.address) == installation.staging
    assert settings.keep() == timedelta(days=30)


def test_the_dag_comes_daily_and_alone() -> None:
    """It does not catch up, and does not run twice at once."""
    dag: Any = runpy.run_path(str(REPOSITORY / "dags" / "liveramp_maintenance.py"))["dag"]
    assert (dag.catchup, dag.max_active_runs, dag.schedule) == (False, 1, "30 4 * * *")
    assert [task.task_id for task in dag.tasks] == ["remove_old"]
