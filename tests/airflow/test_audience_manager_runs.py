"""The real DAG through Airflow with many segments to one destination: three days, and a line that breaks once."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING

from liveramp_provider.testing.sftp import Fault, FaultySftp, Pickup
from liveramp_provider.testing.warehouse import make_warehouse
from tests.airflow.conftest import DAY, REPOSITORY, Installation
from tests.plain_reading import read_members
from tests.plain_segments import State, applied, check_control, membership, read

if TYPE_CHECKING:
    from pathlib import Path


EXAMPLE = REPOSITORY / "examples" / "audiences" / "audience_manager.yaml"
SEGMENTS = {"high_value": "101", "low_value": "102"}
KINDS = {"20914": "gaid", "20915": "idfa"}


def in_segments(warehouse: Path, day: date) -> dict[str, State]:
    """Whose devices are in which segment on that day, read from the warehouse in plain Python."""
    with sqlite3.connect(warehouse) as connection:
        connection.row_factory = sqlite3.Row
        keys = connection.execute("select customer_id from vip where snapshot_date = ?", [day.isoformat()])
        members = set(read_members(row["customer_id"] for row in keys))
        rows = connection.execute(
            "select c.customer_id, ltv, idfa, gaid from customers c left join devices d"
            " on d.customer_id = c.customer_id and d.snapshot_date = c.snapshot_date where c.snapshot_date = ?",
            [day.isoformat()],
        )
        people: dict[str, dict[str, object]] = {
            row["customer_id"]: {
                "high_value": row["ltv"] is not None and row["ltv"] >= 500,
                "low_value": row["ltv"] is not None and row["ltv"] < 100,
                "gaid": row["gaid"],
                "idfa": row["idfa"],
            }
            for row in rows
            if row["customer_id"] in members
        }
    return {dpid: membership(people, SEGMENTS, trait=trait, dpid=dpid) for dpid, trait in KINDS.items()}


def test_three_days(installation: Installation, tmp_path: Path) -> None:
    """One DAG carries the segments of three days; a try that breaks off is taken up, and a rerun sends nothing."""
    warehouse, days = tmp_path / "warehouse.db", [DAY + timedelta(days=number) for number in range(3)]
    for day in days:
        make_warehouse(warehouse, day=day, customers=600)
    installation.connect("warehouse", f'{{"conn_type": "sqlite", "host": "{warehouse}"}}')
    written = EXAMPLE.read_text().replace("audience: lifecycle", "audience: high_value_customers")
    written = written.replace("/uploads/audience_manager", FaultySftp.folder + "\n    control_file: true")
    lines = [line for line in written.splitlines() if "has_tier" not in line]
    installation.audience_file.write_text("\n".join(lines) + "\n")

    known: dict[str, State] = {dpid: {} for dpid in KINDS}
    came: dict[str, bytes] = {}
    with FaultySftp(tmp_path / "sftp", pickup=Pickup.B) as server:
        installation.connect("liveramp_default", server.connection_json())
        for number, day in enumerate(days):
            if number == 1:
                server.misbehave(Fault.DROP_AT, at=10)
            outcome = installation.run_trying_twice(day)
            assert set(outcome.tasks.values()) == {"success"}, outcome.output[-3000:]
            tries = sorted(outcome.tries[f"audience_manager.deliver_{slot}"] for slot in KINDS)
            assert tries == ([1, 2] if number == 1 else [1, 1])
            rerun = installation.run_trying_twice(day)
            assert set(rerun.tasks.values()) == {"success"}
            for name, content in server.taken[len(came) :]:
                assert name not in came
                if name.endswith(".info"):
                    check_control(name, content, came)
                else:
                    file = read(name, content)
                    known[file.dpid] = applied(known[file.dpid], file)
                came[name] = content
            assert known == in_segments(warehouse, day)
    assert [name.split("_")[4] for name in came if name.endswith(".gz")] == ["full"] * 2 + ["iter"] * 4
    assert len([name for name in came if name.endswith(".info")]) == 6
    assert all(known.values())
    assert installation.left_over() == []
