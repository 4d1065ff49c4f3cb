"""The last verb with its ledger in PostgreSQL: many workers at once, and a ledger that goes away half-way."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError, LiveRampError
from liveramp_provider.core.ledger import Ledger, State, recorded, verified
from liveramp_provider.core.pipeline.deliver import deliver
from tests.deliveries import NAME, PausedFile, destination, listing, sealed_file, way_to
from tests.servers import OpenSshServer, PostgresServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.artifacts import Receipt, SealedFile
    from liveramp_provider.core.transports.sftp import SftpTransport

CONTENT = random.Random(7).randbytes(300_000)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be stopped."""
    with PostgresServer() as running:
        yield running


@dataclass
class Delivering:
    """One sealed file, one ledger behind a URL, one folder; each try opens the ledger anew."""

    file: SealedFile
    url: str
    folder: Path
    transport: SftpTransport

    def deliver(self, holder: str = "run 1", revision: int = 1) -> Receipt:
        file = replace(self.file, revision=revision, name=self.file.name if revision == 1 else f"r{revision}.csv")
        return deliver(
            file,
            destination(self.folder),
            transport=self.transport,
            ledger=Ledger(sa.create_engine(self.url)),
            holder=holder,
            why="lost",
        )


@pytest.fixture
def delivering(server: OpenSshServer, folder: Path, tmp_path: Path, postgres: PostgresServer) -> Delivering:
    """A sealed file that is to come to the server's folder."""
    url = postgres.new_schema(f"ledger_{random.randbytes(8).hex()}")
    return Delivering(sealed_file(tmp_path / "sealed", CONTENT), url, folder, way_to(server))


def attempt(delivering: Delivering, holder: str) -> str:
    """What became of one try: an error's name, ``sent`` or ``found``."""
    try:
        return "sent" if delivering.deliver(holder).sent_now else "found"
    except LiveRampError as error:
        return type(error).__name__


@pytest.mark.parametrize("workers", [2, 4, 8, 16])
def test_workers_at_once(workers: int, delivering: Delivering) -> None:
    """Of workers that start at once one sends; the others are told to wait, or get its receipt."""
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(attempt, [delivering] * workers, [f"run {number}" for number in range(workers)]))
    assert outcomes.count("sent") == 1
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError"}
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert verified(sa.create_engine(delivering.url)).receipts == 1


def test_processes_at_once(delivering: Delivering) -> None:
    """The same in processes of their own, which share nothing but the ledger."""
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(attempt, [delivering] * 4, [f"run {number}" for number in range(4)]))
    assert outcomes.count("sent") == 1
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError"}
    assert listing(delivering.folder) == {NAME: CONTENT}


@pytest.mark.parametrize("again", range(3))
def test_tries_of_one_task_at_once(again: int, delivering: Delivering) -> None:
    """Tries of one task take over from each other at once, and still no more than one file arrives."""
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, [delivering] * 8, ["run 1"] * 8))
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError", "LedgerError"}
    delivering.deliver()
    assert listing(delivering.folder) == {NAME: CONTENT}
    (delivery,) = recorded(sa.create_engine(delivering.url))
    assert delivery.state is State.COMMITTED


def test_a_revision_arrives_beside_the_first(delivering: Delivering) -> None:
    """Sent again on purpose it is there twice, under two names, and asked for again it is not sent a third time."""
    assert [delivering.deliver(revision=number).sent_now for number in (1, 2, 2, 1)] == [True, True, False, False]
    assert listing(delivering.folder) == {NAME: CONTENT, "r2.csv": CONTENT}


def test_ledger_stopped_during_an_upload(delivering: Delivering, postgres: PostgresServer, tmp_path: Path) -> None:
    """When PostgreSQL stops half-way, nothing gets its final name and no torso stays; the next try sends once."""
    claim = Ledger(sa.create_engine(delivering.url)).claim(
        delivering.file, folder=str(delivering.folder), holder="run 1"
    )
    with ThreadPoolExecutor() as pool, PausedFile(tmp_path / "paused", CONTENT) as paused:
        sending = pool.submit(delivering.transport.send, paused.path, claim)
        wait_until(lambda: bool(claim.delivery.temp_path) and Path(claim.delivery.temp_path).exists(), "the upload")
        postgres.stop()
        try:
            paused.flow()
            with pytest.raises(LedgerError, match="Nothing is sent without it"):
                sending.result()
            assert listing(delivering.folder) == {}
            with pytest.raises(LedgerError):
                delivering.deliver()
        finally:
            postgres.start()
    assert delivering.deliver().sent_now
    assert listing(delivering.folder) == {NAME: CONTENT}


def test_ledger_stopped_before_the_rename_is_written_down(delivering: Delivering, postgres: PostgresServer) -> None:
    """A renamed file whose commit PostgreSQL did not take is found delivered by the next try, and is not sent twice."""
    ledger = Ledger(sa.create_engine(delivering.url))
    claim = ledger.claim(delivering.file, folder=str(delivering.folder), holder="run 1")
    temporary = delivering.folder / ".upload.tmp"
    for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
        claim.advance(state, temp_path=str(temporary), evidence="E3")
    (delivering.folder / NAME).write_bytes(CONTENT)
    postgres.stop()
    postgres.start()
    receipt = delivering.deliver("run 1")
    assert (receipt.sent_now, receipt.evidence) == (True, "E3")
    assert listing(delivering.folder) == {NAME: CONTENT}
    assert verified(sa.create_engine(delivering.url)).receipts == 1
