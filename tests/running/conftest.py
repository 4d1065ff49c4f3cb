"""One running Airflow for all tests of this folder, with an audience for each story and LiveRamp in a box."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from liveramp_provider.testing import FakeLiveIntent, LiveRampAudience, LiveRampBox
from liveramp_provider.testing.standalone import Standalone, free_port
from tests.running.inboxes import HookBox, MailBox
from tests.running.running_airflow import RunningAirflow
from tests.servers import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBERS = 30
CANARY = "canary.bird.777@coalmine.example"
NOTIFY = """
notify:
  - email: {conn_id: mail, to: [crm@example.com]}
  - slack: {conn_id: slack}
  - webhook: {conn_id: webhook}
"""

LIVEINTENT = """\
- id: liveintent
    kind: liveintent
    conn_id: liveintent
    account_id: 12345
    data_provider_id: 678
    action: add
    files: {{email: true}}
"""

#: Every story has an audience of its own, and its audience file says what is special.
AUDIENCES: dict[str, dict[str, str]] = {
    "new_york": {},
    "tokyo": {"timezone": "Asia/Tokyo"},
    "one_day_in_tokyo": {"timezone": "Asia/Tokyo"},
    "autumn": {},
    "spring": {},
    "unwritten": {},
    "without_a_day": {},
    "in_time": {"more": f"deliver_by: 24h{NOTIFY}"},
    "late": {"more": f"deliver_by: 1m{NOTIFY}", "conn_id": "nobody_there"},
    "ailing": {"more": NOTIFY.strip()},
    "unsteady": {"conn_id": "unsteady"},
    "impostor": {"conn_id": "impostor"},
    "patient": {"destination": LIVEINTENT},
}

#: Audiences whose schedule goes on; the others only run when a test says so.
SCHEDULED = ("new_york", "tokyo", "in_time", "late")

AUDIENCE = """\
audience: {id}
name: The {id} story
schedule: {{cron: "0 0 * * *", timezone: {timezone}}}
{more}
membership:
  sql: {{conn_id: warehouse, query: "select id from members where day = :snapshot_date and audience = :audience"}}
  key: id
traits:
  - sql: {{conn_id: warehouse, query: "select id, email from people where :snapshot_date is not null"}}
    key: id
    select: {{email: email}}
destinations:
  {destination}
"""

LIVERAMP = """\
- id: liveramp
    kind: liveramp
    conn_id: {conn_id}
    region: us
    path: /uploads/{id}
    org: "3242"
    compression: none
    files: {{pii: true}}
"""

LOADER = """\
# Airflow looks into files that say "airflow" and "dag".
from datetime import timedelta
from pathlib import Path

import pendulum

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.dag import audience_dag

for path in (Path(__file__).parent / "audiences").glob("*.yaml"):
    ended = {{}} if path.stem in {scheduled} else {{"end_date": pendulum.datetime(2026, 11, 15)}}
    dag = audience_dag(load_audience(path), default_args={{"retry_delay": timedelta(seconds=1)}}, **ended)
    globals()[dag.dag_id] = dag
"""


@dataclass(frozen=True)
class World:
    """Airflow, the receiver, the warehouse, and the people who are told."""

    airflow: RunningAirflow
    metadata: PostgresServer
    box: LiveRampBox
    unsteady_box: LiveRampBox
    liveintent: FakeLiveIntent
    warehouse: Path
    mail: MailBox
    hooks: HookBox

    @property
    def home(self) -> Path:
        return self.warehouse.parent

    def write(self, audience: str, *days: str) -> None:
        """Let the warehouse know who was in the audience on those days."""
        rows = [(audience, f"M{number:03}", day) for day in days for number in range(MEMBERS)]
        with sqlite3.connect(self.warehouse, timeout=30) as connection:
            connection.executemany("insert into members (audience, id, day) values (?, ?, ?)", rows)

    def received(self, audience: str) -> list[str]:
        """The days of the files that LiveRamp has taken from this audience, in order of name."""
        files = [*self.box.files(), *self.unsteady_box.files()]
        names = sorted(file.name for file in files if file.folder == f"/uploads/{audience}")
        return [name.removeprefix(f"3242_{audience}-PII_").removesuffix(".csv") for name in names]


def yesterday(timezone: str) -> str:
    """The day that the run after the last midnight there delivers."""
    return (datetime.now(UTC).astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("running")
    warehouse = _warehouse(home / "warehouse.db")
    dags = _dags(home / "dags")
    with ExitStack() as stack:
        mail, hooks = stack.enter_context(MailBox()), stack.enter_context(HookBox())
        box = stack.enter_context(_box(home / "box"))
        unsteady = stack.enter_context(_box(home / "unsteady box"))
        liveintent = stack.enter_context(FakeLiveIntent(actions=["add"]))
        connections = _connections(box, unsteady, warehouse=warehouse, mail=mail, hooks=hooks)
        connections["liveintent"] = json.loads(liveintent.connection_json())
        postgres = stack.enter_context(PostgresServer())
        environment = _environment(home, connections, dags=dags, database=postgres.url)
        standalone = stack.enter_context(Standalone(environment, port=free_port(), log=home / "airflow.log"))
        airflow = RunningAirflow(standalone, environment)
        airflow.wait_for(lambda: standalone.is_ready("late"), "Airflow to be ready")
        made = World(
            airflow=airflow,
            metadata=postgres,
            box=box,
            unsteady_box=unsteady,
            liveintent=liveintent,
            warehouse=warehouse,
            mail=mail,
            hooks=hooks,
        )
        # A scheduled run begins as soon as its DAG is switched on.
        for audience in SCHEDULED:
            made.write(audience, yesterday("Asia/Tokyo"), yesterday("America/New_York"))
        for audience in AUDIENCES:
            airflow.unpause(audience)
        yield made


def _environment(home: Path, connections: dict[str, Any], *, dags: Path, database: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **others,
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LIVERAMP__HOME": str(home / "liveramp"),
    }


def _warehouse(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("create table members (audience text, id text, day text)")
        connection.execute("create table people (id text, email text)")
        people = [(f"M{number:03}", f"person{number}@example.com") for number in range(1, MEMBERS)]
        connection.executemany("insert into people values (?, ?)", [("M000", CANARY), *people])
    return path


def _dags(folder: Path) -> Path:
    (folder / "audiences").mkdir(parents=True)
    (folder / "loader.py").write_text(LOADER.format(scheduled=SCHEDULED))
    defaults = {"timezone": "America/New_York", "conn_id": "liveramp_default", "more": "", "destination": LIVERAMP}
    for name, special in AUDIENCES.items():
        told = {"id": name, **defaults, **special}
        told["destination"] = told["destination"].format(**told)
        (folder / "audiences" / f"{name}.yaml").write_text(AUDIENCE.format(**told))
    return folder


def _box(home: Path) -> LiveRampBox:
    audiences = [
        LiveRampAudience(name=name, folder=f"/uploads/{name}", filename=rf"3242_{name}-PII_.*", kind="known")
        for name in AUDIENCES
    ]
    return LiveRampBox(home, audiences=audiences)


def _connections(
    box: LiveRampBox, unsteady: LiveRampBox, *, warehouse: Path, mail: MailBox, hooks: HookBox
) -> dict[str, dict[str, Any]]:
    liveramp = json.loads(box.connection_json())
    stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf4QGvNdBKHAlzkLzp8Dd7rp/UpAQ0ENmyJ5RrHBZzu"
    return {
        "warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
        "liveramp_default": liveramp,
        "unsteady": json.loads(unsteady.connection_json()),
        "impostor": liveramp | {"extra": {"host_key": stranger}},
        "nobody_there": liveramp | {"port": free_port()},
        "mail": mail.connection(),
        "slack": {"conn_type": "slackwebhook", "host": f"{hooks.url}/slack", "password": "T0/B0/token"},
        "webhook": {"conn_type": "http", "host": f"{hooks.url}/webhook"},
    }
