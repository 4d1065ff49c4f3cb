"""A refresh reads a sealed day once more: once for each who asks, beside the old, and with the reason kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.errors import SourceUnavailableError
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace
from tests.core.pipeline import DAY, audience, email_column, pii_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import Membership, Profiles, SealedFile

Worker = Callable[[], Staging]
MEMBERS = SqlSource(conn_id="w", query="select id from vip where day <= :snapshot_date", current=False)
TRAITS = SqlSource(conn_id="w", query="select id, email from people where day <= :snapshot_date", current=False)
MADE = audience(
    members=MEMBERS, key="id", traits={"email": "email"}, traits_from=TRAITS, files=[pii_file(email_column())]
)


@dataclass
class Warehouse:
    """A warehouse whose rows may change, and workers that read it."""

    worker: Worker
    path: Path
    reads: int = 0
    down: bool = False

    def __post_init__(self) -> None:
        self.say("create table vip (id text, day text)")
        self.say("create table people (id text, email text, day text)")
        for number in range(3):
            self.say(f"insert into vip values ('{number}', '2026-11-20')")
            self.say(f"insert into people values ('{number}', 'a{number}@example.com', '2026-11-20')")

    def say(self, statement: str) -> None:
        with sa.create_engine(f"sqlite:///{self.path}").begin() as connection:
            connection.exec_driver_sql(statement)

    def task(self) -> Workspace:
        """What a task of its own works with."""

        def connect(_: str) -> sa.Engine:
            self.reads += 1
            return sa.create_engine(f"sqlite:///{self.path}{'/nowhere' if self.down else ''}")

        return Workspace(staging=self.worker(), connect=connect)

    def extract(self, refresh: str = "") -> Membership:
        return extract(MADE, DAY, workspace=self.task(), refresh=refresh)

    def enrich(self, membership: Membership, refresh: str = "") -> Profiles:
        return enrich(MADE, DAY, membership, workspace=self.task(), refresh=refresh)

    def build(self, profiles: Profiles) -> SealedFile:
        (file,) = build(MADE, MADE.destinations[0], DAY, profiles, workspace=self.task())
        return file

    def staged(self) -> list[str]:
        return sorted(stage.key for stage in self.worker().store.stages())


@pytest.fixture
def warehouse(worker: Worker, tmp_path: Path) -> Warehouse:
    return Warehouse(worker, tmp_path / "warehouse.db")


def test_a_refresh_reads_again_and_seals_beside(warehouse: Warehouse) -> None:
    """The new members are sealed with the reason, the moment and what they replace; the old bytes stay as they were."""
    first = warehouse.extract()
    old = first.path.read_bytes()
    (before,) = warehouse.staged()
    warehouse.say("insert into vip values ('late', '2026-11-20')")
    assert warehouse.extract().members == 3
    began = datetime.now(UTC)
    second = warehouse.extract(refresh="late rows (run 7)")
    assert (first.members, second.members, first.refresh) == (3, 4, None)
    assert second.refresh is not None
    assert (second.refresh.why, second.refresh.replaces) == ("late rows (run 7)", first.sha256)
    assert began <= second.refresh.at <= datetime.now(UTC)
    keys = warehouse.staged()
    assert len(keys) == 2
    assert keys[0] == before
    assert keys[1].startswith(f"{before}-")
    store = warehouse.worker().store
    assert (store.fetch(before) / "membership.parquet").read_bytes() == old


def test_later_runs_find_the_newest(warehouse: Warehouse) -> None:
    """A rerun, a clear and a backfill of the day go on with what was read last, and read nothing."""
    warehouse.extract()
    warehouse.say("insert into vip values ('late', '2026-11-20')")
    second = warehouse.extract(refresh="late rows (run 7)")
    reads = warehouse.reads
    again = warehouse.extract()
    assert replace(again, path=second.path) == second
    assert warehouse.reads == reads


def test_who_asks_twice_is_served_once(warehouse: Warehouse) -> None:
    """The retry of a task that had sealed, and a clear of its run, do not read again, also after somebody else's."""
    warehouse.extract()
    warehouse.extract(refresh="late rows (run 7)")
    reads = warehouse.reads
    assert warehouse.extract(refresh="late rows (run 7)").refresh.why == "late rows (run 7)"
    assert warehouse.reads == reads
    warehouse.say("insert into vip values ('later', '2026-11-20')")
    newest = warehouse.extract(refresh="late rows (run 8)")
    assert (newest.members, warehouse.reads) == (4, reads + 1)
    assert warehouse.extract(refresh="late rows (run 7)").members == 4
    assert warehouse.extract().members == 4
    assert warehouse.reads == reads + 1


def test_a_refresh_that_failed_is_read_again(warehouse: Warehouse) -> None:
    """Nothing is sealed of a refresh that breaks off; until it succeeds, others get what was sealed before."""
    warehouse.extract()
    warehouse.down = True
    with pytest.raises(SourceUnavailableError):
        warehouse.extract(refresh="late rows (run 7)")
    warehouse.down = False
    warehouse.say("insert into vip values ('late', '2026-11-20')")
    assert warehouse.extract().members == 3
    assert warehouse.extract(refresh="late rows (run 7)").members == 4


def test_the_same_content_makes_nothing_new(warehouse: Warehouse) -> None:
    """When the source says the same as before, later stages find all they had made."""
    profiles = warehouse.enrich(warehouse.extract())
    file = warehouse.build(profiles)
    before = warehouse.staged()
    members = warehouse.extract(refresh="doubts (run 7)")
    traits = warehouse.enrich(members, refresh="doubts (run 7)")
    assert (members.refresh.replaces, traits.refresh.replaces) == (members.sha256, profiles.sha256)
    again = warehouse.build(traits)
    assert replace(again, path=file.path) == file
    added = set(warehouse.staged()) - set(before)
    assert sorted(key.split("/")[2].split("-")[0] for key in added) == ["enrich", "extract"]


def test_other_traits_make_another_file(warehouse: Warehouse) -> None:
    """Traits are read again although the members are the same, and the file is made anew beside the old one."""
    members = warehouse.extract()
    file = warehouse.build(warehouse.enrich(members))
    warehouse.say("update people set email = 'new@example.com' where id = '1'")
    assert warehouse.build(warehouse.enrich(members)).csv_sha256 == file.csv_sha256
    refreshed = warehouse.build(warehouse.enrich(members, refresh="wrong address (run 7)"))
    assert refreshed.csv_sha256 != file.csv_sha256
    assert b"new@example.com" in refreshed.path.read_bytes()
    assert warehouse.build(warehouse.enrich(members)).csv_sha256 == refreshed.csv_sha256


def test_a_day_that_was_never_read(warehouse: Warehouse) -> None:
    """A refresh of it is its first reading: it replaces nothing, and is found by later runs."""
    first = warehouse.extract(refresh="to be sure (run 7)")
    assert first.refresh.replaces == ""
    reads = warehouse.reads
    assert warehouse.extract(refresh="to be sure (run 7)").members == warehouse.extract().members == 3
    assert warehouse.reads == reads


def test_two_workers_refresh_for_the_same(warehouse: Warehouse) -> None:
    """When both read for one run, the first to seal wins, and one refresh is kept."""
    warehouse.extract()
    here = warehouse.task()
    faster = []

    def connect(_: str) -> sa.Engine:
        if not faster:
            faster.append(None)
            faster.append(warehouse.extract(refresh="late rows (run 7)"))
            warehouse.say("insert into vip values ('late', '2026-11-20')")
        return sa.create_engine(f"sqlite:///{warehouse.path}")

    slower = extract(MADE, DAY, workspace=replace(here, connect=connect), refresh="late rows (run 7)")
    assert replace(slower, path=faster[1].path) == faster[1]
    assert len(warehouse.staged()) == 2
