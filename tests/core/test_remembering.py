"""Staging as a second memory: what a lost ledger does not know is not sent again."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.artifacts import Begun
from liveramp_provider.core.errors import DeliveryInDoubtError, RemoteFolderError, SmallAudienceError, TransportError
from liveramp_provider.core.ledger import Outcome, State, resolve
from liveramp_provider.core.transports.remembering import RememberingTransport
from liveramp_provider.testing.sftp import Fault, FaultySftp
from tests.deliveries import DAY, NAME, Delivering, sealed_file, way_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liveramp_provider.core.staging import Staging

    Worker = Callable[[], Staging]


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[FaultySftp]:
    with FaultySftp(tmp_path / "sftp") as running:
        yield running


@pytest.fixture
def delivering(sftp: FaultySftp, worker: Worker, tmp_path: Path) -> Delivering:
    """With a staging that is a folder, or a bucket."""
    file = sealed_file(tmp_path / "sealed")
    return Delivering(
        file, tmp_path / "ledger" / "ledger.sqlite", sftp.folder, RememberingTransport(way_to(sftp), worker())
    )


def test_a_lost_ledger(sftp: FaultySftp, delivering: Delivering) -> None:
    """It is in doubt, once and for all; where a person sees that it is not there, it goes out."""
    delivering.deliver()
    delivering.ledger_file.unlink()
    why_not = (
        ": staging remembers a try of which this ledger knows nothing, so it was lost, or is another one. Restore it "
        "from its backup, for nobody can know without it whether"
    )
    for why in (why_not, "an earlier run could not find out"):
        with pytest.raises(DeliveryInDoubtError, match=why):
            delivering.deliver()
    sftp.poll()
    assert [name for name, _ in sftp.taken] == [NAME]

    assert delivering.recorded().state is State.IN_DOUBT
    key = delivering.recorded().delivery_id
    resolve(delivering.ledger, key, Outcome.NOT_DELIVERED, why="a test of LiveRamp lost it", who="ann")
    assert delivering.deliver().sent_now
    sftp.poll()
    assert [name for name, _ in sftp.taken] == [NAME, NAME]


def test_a_ledger_of_yesterday(sftp: FaultySftp, delivering: Delivering, tmp_path: Path) -> None:
    """One that was restored from a backup does not know what was sent since; what it knows stays delivered."""
    delivering.deliver()
    backup = tmp_path / "backup.sqlite"
    with sqlite3.connect(delivering.ledger_file) as now, sqlite3.connect(backup) as then:
        now.backup(then)
    today = replace(delivering.file, day=DAY + timedelta(days=1), name="today.csv.gz.gpg")
    delivering.deliver(today)
    backup.replace(delivering.ledger_file)

    assert not delivering.deliver().sent_now
    with pytest.raises(DeliveryInDoubtError, match="of which this ledger knows nothing"):
        delivering.deliver(today)
    sftp.poll()
    assert [name for name, _ in sftp.taken] == [NAME, "today.csv.gz.gpg"]


def test_what_the_ledger_knows_is_tried_again(sftp: FaultySftp, delivering: Delivering) -> None:
    """The first delivery of all, a retry, another run, another slot and another day are no cause for doubt."""
    sftp.misbehave(Fault.DROP_AT, at=3)
    with pytest.raises(TransportError):
        delivering.deliver()
    sftp.misbehave(Fault.RENAME_REFUSED)
    with pytest.raises(RemoteFolderError):
        delivering.deliver()
    assert delivering.deliver(holder="run 2").sent_now
    for change in ({"slot": "D", "name": "d.csv"}, {"day": DAY + timedelta(days=1), "name": "later.csv"}):
        assert delivering.deliver(replace(delivering.file, **change)).sent_now


def test_preflight_looks_at_the_server(sftp: FaultySftp, delivering: Delivering) -> None:
    """What the server says before a delivery is said; nothing is remembered of that."""
    delivering.transport.check(sftp.folder)
    with pytest.raises(RemoteFolderError, match="/elsewhere"):
        delivering.transport.check("/elsewhere")
    assert delivering.deliver().sent_now


def test_it_is_remembered_with_the_audiences_day(delivering: Delivering) -> None:
    """What is kept of a day goes when the rest of that day goes."""
    before = datetime.now(UTC)
    delivering.deliver()
    key = delivering.recorded().delivery_id
    place = delivering.transport.staging.begun(audience_id="high_value", day=DAY, delivery_id=key)
    begun = place.sealed(Begun)
    assert begun is not None
    assert begun.delivery_id == key
    assert before <= begun.at <= datetime.now(UTC)


def test_what_was_refused_was_not_begun(delivering: Delivering) -> None:
    """A file that a guard refuses is none that may have been sent, should the ledger be lost afterwards."""
    with pytest.raises(SmallAudienceError):
        delivering.deliver(replace(delivering.file, members=24))
    assert delivering.deliver().sent_now
