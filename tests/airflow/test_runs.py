"""The real DAG through Airflow, into a real OpenSSH server, and into LiveRamp in a box where passwords count."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.testing.keys import pgp_keys
from tests.airflow.conftest import CANARY, DAY, FOLDER, Installation
from tests.key_owner import KeyOwner
from tests.plain_reading import Column, Reading, device, pii, read_members
from tests.servers import OpenSshServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from liveramp_provider.testing import LiveRampBox

PII = "3242_high_value_customers-PII_2026-11-20.csv.gz.gpg"
DEVICE = "3242_high_value_customers-D_2026-11-20.csv.gz.gpg"

PII_COLUMNS = [
    Column("CCID", "member_id"),
    Column("FIRSTNAME", "first_name"),
    Column("LASTNAME", "last_name"),
    Column("ADDRESS1", "address1"),
    Column("CITY", "city"),
    Column("STATE", "state"),
    Column("ZIP", "zip"),
    Column("EMAIL1", "email"),
    Column("EMAIL1_SHA256", "email", "sha256"),
    Column("PHONE1", "phone"),
    Column("LOYALTY_TIER", "loyalty_tier"),
    Column("HIGH_VALUE", segment="1"),
]
TRAITS = """
    select c.customer_id, email_address as email, mobile as phone, first_name, last_name, address as address1,
        city, state, zip, tier as loyalty_tier, idfa, gaid
    from customers c left join devices d on d.customer_id = c.customer_id and d.snapshot_date = c.snapshot_date
    where c.snapshot_date = ?
"""


def plain_readings(warehouse: Path) -> tuple[Reading, Reading]:
    """Both files by the independent plain-Python reading of the rules."""
    with sqlite3.connect(warehouse) as connection:
        connection.row_factory = sqlite3.Row
        keys = connection.execute("select customer_id from vip where snapshot_date = ?", [DAY.isoformat()])
        members = read_members(row["customer_id"] for row in keys)
        rows = [dict(row) for row in connection.execute(TRAITS, [DAY.isoformat()])]
    traits = {row["customer_id"]: row for row in rows}
    segment = [Column("HIGH_VALUE", segment="1")]
    return pii(members, traits, PII_COLUMNS), device(members, traits, ["idfa", "gaid"], segment)["D"]


def records(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def test_delivers_every_cell_and_a_rerun_sends_nothing(
    installation: Installation, sample_warehouse: Path, tmp_path: Path
) -> None:
    """A day reaches a real OpenSSH server as the rules say, cell by cell; running it again changes nothing there."""
    keys = pgp_keys(tmp_path / "pgp")
    installation.pin(keys.public, keys.fingerprint)
    with OpenSshServer(tmp_path / "sshd") as server:
        drop = server.root / "drop"
        drop.mkdir()
        installation.edit(FOLDER, str(drop))
        installation.connect("liveramp_default", server.connection_json())
        first = installation.run()
        # A folder's time changes with every file that is made, renamed or removed in it.
        delivered = {path.name: path.stat().st_mtime_ns for path in (drop, *drop.iterdir())}
        second = installation.run()
        after = {path.name: path.stat().st_mtime_ns for path in (drop, *drop.iterdir())}

    assert set(first.tasks.values()) == {"success"}
    assert set(delivered) == {"drop", PII, DEVICE}
    for name, reading in zip((PII, DEVICE), plain_readings(sample_warehouse), strict=True):
        content, inner_name = keys.decrypt(drop / name)
        assert inner_name == name.removesuffix(".gpg")
        assert records(gzip.decompress(content)) == [reading.header, *reading.rows]
    assert second.state == "success"
    assert after == delivered
    assert installation.leaks() == []
    assert installation.left_over() == []


def test_receiver_accepts_what_airflow_delivered(installation: Installation, box: LiveRampBox) -> None:
    """LiveRamp's rules and its frozen configuration accept both files; XCom and asset events carry only counts."""
    outcome = installation.run()

    assert outcome.state == "success"
    assert {(file.name, file.status, file.problems) for file in box.files()} == {
        (PII, "ingested", ()),
        (DEVICE, "ingested", ()),
    }
    assert CANARY["customer_id"] in box.members("PII")
    receipt = returned_by("liveramp.deliver_PII")
    assert receipt["name"] == PII
    assert receipt["rows"] == box.segments()["PII"]
    assert receipt["evidence"] == "E3"
    assert newest_event("high_value_customers/liveramp/PII") == receipt
    assert installation.leaks() == []


def test_a_small_device_file_does_not_hold_the_pii_file(installation: Installation, box: LiveRampBox) -> None:
    """The file with too few members stops, saying how many there are; the other one is delivered."""
    installation.edit("from devices where", "from devices where customer_id > 'C0001480' and")

    outcome = installation.run()

    assert [file.name for file in box.files()] == [PII]
    assert outcome.tasks["liveramp.deliver_PII"] == "success"
    assert outcome.tasks["liveramp.deliver_D"] == "failed"
    assert outcome.tries["liveramp.deliver_D"] == 1
    assert "unique members, and a file needs 25" in outcome.output
    assert "LiveRamp holds nothing of it yet" in outcome.output
    assert installation.leaks() == []


def test_a_dag_with_a_deadline_can_be_tried_out(installation: Installation, box: LiveRampBox) -> None:
    """`dag.test()` ends well in spite of the deadline, which the DAG keeps."""
    installation.edit("# deliver_by: 6h .*", "deliver_by: 6h")
    dag = installation.dag()

    assert installation.run(dag=dag).state == "success"
    (deadline,) = dag.deadline
    assert deadline.interval == timedelta(hours=6)


@pytest.mark.parametrize(
    "trace",
    [
        CANARY["email"].upper(),
        "7735557771",
        hashlib.sha256(CANARY["email"].encode()).hexdigest(),
        CANARY["idfa"].lower(),
    ],
)
@pytest.mark.parametrize("place", ["output.log", "liveramp/ledger.sqlite", "liveramp/staging/a/build/left.csv"])
def test_the_search_for_leaks_finds_what_is_planted(installation: Installation, place: str, trace: str) -> None:
    """The search that the other tests rely on sees a trace of the canary in any form and place."""
    (installation.home / "output.log").touch()
    planted = installation.home / place
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(f"some words and {trace} among them")

    found = installation.leaks()

    assert len(found) == 1
    assert found[0].lower() == f"{planted.relative_to(planted.parents[1])} holds {trace}".lower()


def expired_key() -> tuple[str, str]:
    """A key that could be used in 2020 only: ASCII armour and fingerprint."""
    then = {"at": "20200101T000000", "expires": "1d"}
    owner = KeyOwner()
    try:
        primary = owner.primary(**then)
        owner.subkey(primary, **then)
        return owner.public(primary).decode(), primary
    finally:
        owner.close()


def connect(installation: Installation, box: LiveRampBox, **changes: Any) -> None:
    installation.connect("liveramp_default", json.dumps(json.loads(box.connection_json()) | changes))


def wrong_host_key(installation: Installation, box: LiveRampBox) -> None:
    host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf4QGvNdBKHAlzkLzp8Dd7rp/UpAQ0ENmyJ5RrHBZzu"
    connect(installation, box, extra={"host_key": host_key})


def wrong_password(installation: Installation, box: LiveRampBox) -> None:
    connect(installation, box, password="not-the-password")


def missing_folder(installation: Installation, box: LiveRampBox) -> None:
    installation.edit(FOLDER, "/uploads/nowhere")


def expired_pgp_key(installation: Installation, box: LiveRampBox) -> None:
    installation.pin(*expired_key())


def unknown_membership_column(installation: Installation, box: LiveRampBox) -> None:
    installation.edit("  key: customer_id                      #", "  key: customer_number #")


def unknown_trait_column(installation: Installation, box: LiveRampBox) -> None:
    installation.edit("email: email_address", "email: e_mail")


@pytest.mark.parametrize(
    ("spoil", "failing_task", "sentence"),
    [
        (wrong_host_key, "preflight", "shows a host key that is not the pinned one"),
        (wrong_password, "preflight", "refused the login of acme"),
        (missing_folder, "preflight", "/uploads/nowhere"),
        (expired_pgp_key, "preflight", "has expired since 2020-01-02"),
        (unknown_membership_column, "extract", "no column customer_number. The source has: customer_id"),
        (unknown_trait_column, "enrich", "no column e_mail. The source has: customer_id"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_wrong_configuration_fails_at_once_and_sends_nothing(
    installation: Installation,
    box: LiveRampBox,
    spoil: Callable[[Installation, LiveRampBox], None],
    failing_task: str,
    sentence: str,
) -> None:
    """The first task that can know says what is wrong, is not retried, and nothing reaches the receiver."""
    spoil(installation, box)

    outcome = installation.run()

    assert outcome.state == "failed"
    assert outcome.tasks[failing_task] == "failed"
    assert outcome.tries[failing_task] == 1
    assert sentence in outcome.output
    assert box.files() == ()
    assert list(box.uploads.rglob("*.*")) == []
    assert box.password not in outcome.output
    assert installation.leaks() == []
    assert installation.left_over() == []


def returned_by(task_id: str) -> Any:
    """What the task left in XCom in the newest run."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        statement = select(XComModel).where(XComModel.task_id == task_id, XComModel.key == "return_value")
        return XComModel.deserialize_value(session.scalars(statement.order_by(XComModel.timestamp.desc())).first())


def newest_event(asset: str) -> Any:
    """What the newest event of the asset carries."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        statement = select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return session.scalars(statement.where(AssetModel.name == asset).order_by(AssetEvent.id.desc())).first().extra
