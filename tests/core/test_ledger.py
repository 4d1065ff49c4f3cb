"""The ledger, in SQLite and PostgreSQL: who may deliver, what is remembered, and that nothing of a person is in it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise, product
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from liveramp_provider.core.errors import DeliveryBusyError, DeliveryInDoubtError, LedgerError
from liveramp_provider.core.ledger import Claim, Delivery, Health, Outcome, State, delivery_id, header_digest, resolve
from liveramp_provider.core.ledger.acceptances import acceptances
from liveramp_provider.core.ledger.ledger import LEASE_S
from liveramp_provider.core.ledger.records import SOME_RECEIVER, UtcDateTime, metadata
from tests.deliveries import DAY, NAME, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.ledger import Ledger
    from tests.ledgers import LedgerDatabase

FOLDER = "/uploads/high_value"
IDENTITY = {"destination": "liveramp", "audience": "high_value", "slot": "PII", "day": DAY}
WAY = (State.SEALED, State.UPLOADING, State.VERIFIED, State.INTENT, State.COMMITTED)
DIRECT = (State.WRITING, State.CLOSING)


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> Ledger:
    """An empty ledger."""
    return ledger_database.open()


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    """A sealed file."""
    return sealed_file(tmp_path / "sealed")


def claimed(ledger: Ledger, file: SealedFile, state: State, holder: str = "run 1") -> Claim:
    """A claim on `file` that has come to `state`."""
    claim = ledger.claim(file, folder=FOLDER, holder=holder)
    for step in WAY[1:]:
        if claim.delivery.state is state:
            break
        when = {"committed_at": datetime.now(UTC)} if step is State.COMMITTED else {}
        claim.advance(step, **when)
    return claim


@pytest.mark.parametrize("state", WAY)
def test_bytes_may_change_until_they_are_at_the_receiver(ledger: Ledger, file: SealedFile, state: State) -> None:
    """A file may be made anew until its upload is complete; from then on the same bytes have to be sent."""
    assert ledger.may_change(file)
    claimed(ledger, file, state)
    assert ledger.may_change(file) == (state in (State.SEALED, State.UPLOADING))


def expire(database: LedgerDatabase) -> None:
    """Let every lease end now."""
    database.sql("update liveramp_deliveries set lease_until = '2026-01-01 00:00:00.000000'")


def test_golden_identity() -> None:
    """The identity of a delivery never changes: a new value would send everything again."""
    expected = "884801bfe77e43b6ee7b43714b6ae318507e60e8069c73b0033fd7ebb31fbbdc"
    assert delivery_id(**IDENTITY) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"destination": "liveramp_eu"},
        {"audience": "low_value"},
        {"slot": "D"},
        {"day": date(2026, 11, 21)},
        {"revision": 2},
    ],
)
def test_every_part_is_in_the_identity(change: dict[str, object]) -> None:
    """Another destination, audience, slot, day or revision is another delivery."""
    assert delivery_id(**(IDENTITY | change)) != delivery_id(**IDENTITY)


def test_mapping_is_not_in_the_identity(ledger: Ledger, file: SealedFile, tmp_path: Path) -> None:
    """Other columns, another file name or folder are the same delivery, so a delivered day stays delivered."""
    first = claimed(ledger, file, State.COMMITTED).delivery
    edited = sealed_file(tmp_path / "new", b"other bytes", name="other.csv", header=("CCID",), rows=99)
    assert ledger.claim(edited, folder="/uploads/other", holder="run 2") == Claim(ledger, first, SOME_RECEIVER)


def test_first_claim(ledger: Ledger, file: SealedFile) -> None:
    """A first claim is epoch 1, try 1, holds for one lease, and knows the facts of the sealed file."""
    before = datetime.now(UTC)
    delivery = ledger.claim(file, folder=FOLDER, holder="run 1").delivery
    assert (delivery.state, delivery.epoch, delivery.send_attempts) == (State.SEALED, 1, 1)
    assert before <= delivery.lease_until - timedelta(seconds=LEASE_S) <= datetime.now(UTC)
    assert (delivery.name, delivery.folder, delivery.rows, delivery.members) == (file.name, FOLDER, 30, 30)
    assert (delivery.size_bytes, delivery.sha256, delivery.csv_sha256) == (12, file.sha256, "c" * 64)
    assert (delivery.recipient, delivery.suppression_sha256) == ("A" * 40, "")
    assert (delivery.temp_path, delivery.host_key, delivery.evidence, delivery.committed_at) == ("", "", "", None)
    assert delivery.header_sha256 == header_digest(file.header)


def test_busy_until_the_lease_ends(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Another run is refused while the holder is believed to be at work, and takes over afterwards."""
    first = ledger.claim(file, folder=FOLDER, holder="run 1")
    with pytest.raises(DeliveryBusyError, match="being delivered by run 1"):
        ledger.claim(file, folder=FOLDER, holder="run 2")
    expire(ledger_database)
    second = ledger.claim(file, folder=FOLDER, holder="run 2")
    assert (second.delivery.epoch, second.delivery.holder) == (first.delivery.epoch + 1, "run 2")


@pytest.mark.parametrize(("leases", "counts"), [(1.9, True), (2.1, False), (300, False)])
def test_a_lease_by_a_wrong_clock(
    leases: float, counts: bool, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """A lease that ends later than any can keeps nobody waiting; a clock that is only a little ahead still counts."""
    ledger.claim(file, folder=FOLDER, holder="run 1")
    tomorrow = ledger.claim(replace(file, day=DAY + timedelta(days=1)), folder=FOLDER, holder="run 3").delivery
    until = datetime.now(UTC) + timedelta(seconds=leases * LEASE_S)
    ledger_database.sql(f"update liveramp_deliveries set lease_until = '{until:%F %T.%f}'")
    assert (ledger.beside(tomorrow) is not None) is counts
    with pytest.raises(DeliveryBusyError) if counts else nullcontext():
        assert ledger.claim(file, folder=FOLDER, holder="run 2").delivery.holder == "run 2"


def test_same_holder_at_once(ledger: Ledger, file: SealedFile) -> None:
    """A retry of the same task does not wait for the lease of its own dead try."""
    ledger.claim(file, folder=FOLDER, holder="run 1")
    assert ledger.claim(file, folder=FOLDER, holder="run 1").delivery.send_attempts == 2


def test_every_step_renews_the_lease(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """A holder that reports keeps its claim."""
    claim = claimed(ledger, file, State.UPLOADING)
    expire(ledger_database)
    claim.renew()
    with pytest.raises(DeliveryBusyError):
        ledger.claim(file, folder=FOLDER, holder="run 2")


def test_release(ledger: Ledger, file: SealedFile) -> None:
    """A holder that gives up leaves the delivery free, where it stands."""
    claim = claimed(ledger, file, State.VERIFIED)
    claim.release()
    assert ledger.claim(file, folder=FOLDER, holder="run 2").delivery.state is State.VERIFIED


@pytest.mark.parametrize("state", WAY[:-1])
def test_old_holder_can_write_nothing(state: State, ledger: Ledger, file: SealedFile) -> None:
    """Wherever it stood when it was taken over, an old holder neither advances, renews, releases nor doubts."""
    old = claimed(ledger, file, state)
    new = ledger.claim(file, folder=FOLDER, holder="run 1")
    for write in (lambda: old.advance(WAY[WAY.index(state) + 1]), old.renew, old.release):
        with pytest.raises(LedgerError, match="took this delivery over"):
            write()
    if state is State.INTENT:
        with pytest.raises(LedgerError):
            old.doubt("nobody can know")
    assert ledger.find(new.delivery.delivery_id) == new.delivery


def test_stale_state_can_write_nothing(ledger: Ledger, file: SealedFile) -> None:
    """Of two copies of one claim, only the one that knows the present state may write."""
    claim = claimed(ledger, file, State.SEALED)
    copy = claimed(ledger, file, State.SEALED)
    claim.delivery = copy.delivery
    claim.advance(State.UPLOADING, temp_path="one")
    with pytest.raises(LedgerError):
        copy.advance(State.UPLOADING, temp_path="two")


def test_committed_is_left_alone(ledger: Ledger, file: SealedFile) -> None:
    """A claim on a committed delivery gives it as it is and changes nothing."""
    committed = claimed(ledger, file, State.COMMITTED).delivery
    assert ledger.claim(file, folder="/elsewhere", holder="run 2").delivery == committed
    assert ledger.find(committed.delivery_id) == committed


def test_doubt_stays(ledger: Ledger, file: SealedFile) -> None:
    """A delivery in doubt has no evidence and is claimed by nobody; the error names the file and the way out."""
    claim = claimed(ledger, file, State.UPLOADING)
    claim.advance(State.VERIFIED, evidence="E3")
    claim.advance(State.INTENT)
    error = claim.doubt("the line broke, and nobody can know")
    assert f"{FOLDER}/{file.name}" in str(error)
    found = ledger.find(delivery_id(**IDENTITY))
    assert found is not None
    assert (found.state, found.evidence) == (State.IN_DOUBT, "")
    told = f"^{FOLDER}/{NAME}: an earlier run could not find out whether the receiver has this file, .* list of files"
    with pytest.raises(DeliveryInDoubtError, match=told):
        ledger.claim(file, folder=FOLDER, holder="run 1")


@pytest.mark.parametrize("workers", [2, 8, 16])
def test_one_of_many_begins(workers: int, ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """Of many workers that begin the same delivery in a ledger that does not exist yet, one gets it."""
    barrier = Barrier(workers)

    def begin(number: int) -> bool:
        barrier.wait()
        try:
            ledger_database.open().claim(file, folder=FOLDER, holder=f"run {number}")
        except DeliveryBusyError:
            return False
        return True

    with ThreadPoolExecutor(workers) as pool:
        assert sorted(pool.map(begin, range(workers))) == [False] * (workers - 1) + [True]


@pytest.mark.parametrize("workers", [2, 8, 16])
def test_one_of_many_tries_goes_on(workers: int, ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """Of many tries of one task that take over from each other at once, the last one writes, and no other."""
    claimed(ledger_database.open(), file, State.UPLOADING)
    barrier = Barrier(workers)

    def take_over(number: int) -> Claim | None:
        here = ledger_database.open()
        barrier.wait()
        try:
            return here.claim(file, folder=FOLDER, holder="run 1")
        except DeliveryBusyError as busy:
            assert str(busy) == f"{NAME} was taken by another worker just now. A task tries it again."  # noqa: PT017
            return None

    with ThreadPoolExecutor(workers) as pool:
        claims = [claim for claim in pool.map(take_over, range(workers)) if claim is not None]
    epochs = sorted(claim.delivery.epoch for claim in claims)
    assert epochs == list(range(2, len(claims) + 2)), "an epoch was given out twice"
    last = max(claims, key=lambda claim: claim.delivery.epoch)
    for zombie in claims:
        if zombie is not last:
            with pytest.raises(LedgerError, match="took this delivery over"):
                zombie.advance(State.VERIFIED)
    last.advance(State.VERIFIED, temp_path="the last one's")
    assert ledger_database.open().find(last.delivery.delivery_id) == last.delivery


def test_one_of_many_writes(ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """Of copies of one claim that advance it at the same moment, one does, and what it wrote stays."""
    claim = claimed(ledger_database.open(), file, State.UPLOADING)
    barrier = Barrier(8)

    def verify(number: int) -> str:
        copy = Claim(ledger_database.open(), claim.delivery, claim.receiver)
        barrier.wait()
        try:
            copy.advance(State.VERIFIED, temp_path=f"copy {number}")
        except LedgerError:
            return ""
        return copy.delivery.temp_path

    with ThreadPoolExecutor(8) as pool:
        (written,) = [path for path in pool.map(verify, range(8)) if path]
    found = ledger_database.open().find(claim.delivery.delivery_id)
    assert found is not None
    assert found.temp_path == written


def test_order_of_states() -> None:
    """A state may be written again or lead to the next; back only from INTENT, to doubt only from there. To S3, the
    intent comes without a verified upload; a direct upload has a way of its own, and doubt from anywhere on it. Where
    a ledger was lost, there is doubt at the beginning.
    """
    allowed = {(state, state) for state in WAY[:-1]} | set(pairwise(WAY))
    allowed |= {(State.INTENT, state) for state in (State.VERIFIED, State.SEALED, State.IN_DOUBT)}
    allowed |= {(state, State.INTENT) for state in (State.SEALED, State.UPLOADING)}
    allowed |= {(state, State.WRITING) for state in (State.SEALED, State.UPLOADING, *DIRECT)}
    allowed |= {(state, following) for state in DIRECT for following in (State.COMMITTED, State.IN_DOUBT)}
    allowed |= {(state, State.CLOSING) for state in DIRECT}
    allowed |= {(State.SEALED, State.IN_DOUBT)}
    allowed |= {(state, State.SEALED) for state in (State.WRITING, State.VERIFIED)}
    assert {pair for pair in product(State, State) if pair[0].may_become(pair[1])} == allowed


def test_impossible_step(ledger: Ledger, file: SealedFile) -> None:
    """A step that skips another is refused and not written."""
    claim = claimed(ledger, file, State.SEALED)
    with pytest.raises(ValueError, match="committed cannot follow sealed"):
        claim.advance(State.COMMITTED)
    assert ledger.find(claim.delivery.delivery_id) == claim.delivery


@pytest.mark.parametrize("state", WAY)
def test_facts_of_a_rebuilt_file(state: State, ledger: Ledger, file: SealedFile, tmp_path: Path) -> None:
    """Until bytes lie verified at the receiver the newest file counts; from then on those bytes do."""
    claimed(ledger, file, state)
    rebuilt = sealed_file(tmp_path / "rebuilt", b"rebuilt, longer bytes", rows=31, members=31)
    kept = ledger.claim(rebuilt, folder=FOLDER, holder="run 1").delivery
    expected = rebuilt if state in (State.SEALED, State.UPLOADING) else file
    assert (kept.sha256, kept.size_bytes, kept.rows) == (expected.sha256, expected.size_bytes, expected.rows)


def test_newest_committed(ledger: Ledger, tmp_path: Path) -> None:
    """What the receiver holds is the latest day delivered, not the last one sent, nor a later one under way."""
    for day, state in ((21, State.COMMITTED), (20, State.COMMITTED), (22, State.INTENT)):
        claimed(ledger, sealed_file(tmp_path / "sealed", day=date(2026, 11, day), members=day), state)
    held = ledger.newest_committed(destination="liveramp", audience="high_value", slot="PII")
    assert held is not None
    assert (held.day, held.members) == (date(2026, 11, 21), 21)


@pytest.mark.parametrize("other", ["destination", "audience", "slot"])
def test_newest_committed_of_nothing_else(other: str, ledger: Ledger, file: SealedFile) -> None:
    """Deliveries of another destination, audience or slot do not count."""
    claimed(ledger, file, State.COMMITTED)
    asked = {"destination": "liveramp", "audience": "high_value", "slot": "PII"} | {other: "another"}
    assert ledger.newest_committed(**asked) is None


def test_times_come_back_in_utc(ledger: Ledger, file: SealedFile) -> None:
    """Times are aware, in UTC, and to the microsecond what was written."""
    now = datetime.now(UTC)
    claim = claimed(ledger, file, State.INTENT)
    claim.advance(State.COMMITTED, committed_at=now)
    found = ledger.find(claim.delivery.delivery_id)
    assert found is not None
    assert found.committed_at == now
    assert {time.tzinfo for time in (found.committed_at, found.created_at, found.updated_at, found.lease_until)} == {
        UTC
    }


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=9))])
def test_moments_of_any_database_are_in_utc(zone: timezone | None) -> None:
    """What comes without a zone is UTC already; what comes in the zone of a database is the same moment in UTC."""
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    told = noon.replace(tzinfo=None) if zone is None else noon.astimezone(zone)
    moment = UtcDateTime().process_result_value(told, sqlite.dialect())
    assert moment is not None
    assert (moment, moment.tzinfo) == (noon, UTC)


def test_what_a_delivery_says_of_itself(ledger: Ledger, file: SealedFile) -> None:
    """Only what was delivered has a proof, only what is in doubt asks for a person, and its id is short for people."""
    claim = claimed(ledger, file, State.UPLOADING)
    claim.advance(State.VERIFIED, evidence="E3")
    claim.advance(State.INTENT)
    assert (claim.delivery.proof, claim.delivery.in_doubt) == ("", False)
    assert claim.delivery.short_id == delivery_id(**IDENTITY)[:12]
    delivered = replace(claim.delivery, state=State.COMMITTED)
    assert (delivered.proof, delivered.in_doubt) == ("E3", False)
    claim.doubt("nobody can know")
    assert (claim.delivery.proof, claim.delivery.in_doubt) == ("", True)


def test_one_step_at_a_time(ledger: Ledger, file: SealedFile) -> None:
    """Of two that hold the same claim, one goes on; the other finds that it did."""
    claim = claimed(ledger, file, State.SEALED)
    copy = Claim(ledger, claim.delivery, claim.receiver)
    claim.advance(State.UPLOADING)
    with pytest.raises(LedgerError, match="took this delivery over"):
        copy.advance(State.UPLOADING)


@pytest.mark.usefixtures("far_zone")
def test_who_is_at_work_alongside(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Other slots of the same audience and destination, as long as a worker is at them."""
    held = claimed(ledger, file, State.SEALED).delivery
    for change in ({"audience": "low_value"}, {"destination": "liveramp_eu"}):
        claimed(ledger, replace(file, slot="other", **change), State.SEALED)
    claimed(ledger, replace(file, slot="left"), State.SEALED).release()
    claimed(ledger, replace(file, slot="done"), State.COMMITTED)
    claimed(ledger, replace(file, slot="doubtful"), State.INTENT).doubt("nobody can know")
    assert ledger.alongside(held) == ()
    for slot in ("MAID", "EMAIL"):
        claimed(ledger, replace(file, slot=slot), State.SEALED)
    assert ledger.alongside(held) == ("EMAIL", "MAID")
    ledger_database.sql("update liveramp_deliveries set lease_until = '2099-01-01 00:00:00.000000'")
    assert ledger.alongside(held) == ("EMAIL", "MAID", "left")
    expire(ledger_database)
    assert ledger.alongside(held) == ()


@pytest.mark.parametrize(
    ("changes", "of_one"),
    [
        ({}, True),
        ({"slot": "D_2"}, True),
        ({"slot": "D_info"}, True),
        ({"slot": "D-IDFA"}, False),
        ({"slot": "DX"}, False),
        ({"audience": "other"}, False),
        ({"destination": "other"}, False),
    ],
)
def test_what_goes_out_alone(changes: dict[str, str], of_one: bool, ledger: Ledger, file: SealedFile) -> None:
    """Parts and control files are of their main file; a file whose name merely begins like it is another one."""
    ledger.claim(replace(file, **{"slot": "D", **changes}), folder=FOLDER, holder="run 1")
    tomorrow = replace(file, slot="D_3", day=DAY + timedelta(days=1))
    other = ledger.claim(tomorrow, folder=FOLDER, holder="run 2").delivery
    assert (ledger.beside(other) is not None) is of_one


@pytest.mark.usefixtures("far_zone")
def test_the_zone_of_a_worker_changes_nothing(ledger: Ledger, file: SealedFile) -> None:
    """A lease and the time of a delivery are moments, wherever the clock on the wall of a worker stands."""
    begun = datetime.now(UTC)
    claim = ledger.claim(file, folder=FOLDER, holder="run 1")
    claim.advance(State.UPLOADING)
    claim.accept(["header"], why="agreed with LiveRamp")
    with ledger.transaction() as connection:
        assert begun <= connection.execute(sa.select(acceptances.c.at)).scalar_one() <= datetime.now(UTC)
    other = ledger.claim(replace(file, day=date(2026, 11, 21)), folder=FOLDER, holder="run 1")
    beside = ledger.beside(other.delivery)
    assert beside is not None
    assert beside.delivery_id == claim.delivery.delivery_id
    claim.release()
    assert ledger.beside(other.delivery) is None
    found = ledger.find(claim.delivery.delivery_id)
    assert found is not None
    assert begun <= found.created_at <= found.updated_at <= datetime.now(UTC)
    doubtful = claimed(ledger, replace(file, day=date(2026, 11, 22)), State.INTENT)
    doubtful.doubt("nobody can know")
    resolve(ledger, doubtful.delivery.delivery_id, Outcome.DELIVERED, why="it is there", who="ann")
    closed = ledger.find(doubtful.delivery.delivery_id)
    assert closed is not None
    assert closed.committed_at is not None
    assert begun <= closed.committed_at <= datetime.now(UTC)


def test_columns() -> None:
    """The ledger has these columns and no other: ids, states, counts, digests, times, reasons; nothing of a person."""
    delivered = {
        *("delivery_id", "destination", "audience", "slot", "day", "holder", "send_attempts", "folder", "name"),
        *("rows", "members", "size_bytes", "sha256", "csv_sha256", "header_sha256", "recipient", "host_key"),
        *("evidence", "created_at", "committed_at", "revision", "suppression_sha256"),
    }
    of_a_delivery = delivered | {"state", "epoch", "lease_until", "temp_path", "updated_at"}
    assert {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables} == {
        "liveramp_acceptances": {"delivery_id", "guard", "who", "why", "at"},
        "liveramp_deliveries": of_a_delivery,
        "liveramp_health": {"audience", "day", "trouble", "since"},
        "liveramp_probes": {"conn_id", "folder", "server", "renames", "tells_sizes", "removes", "at"},
        "liveramp_receipts": delivered | {"number", "previous_sha256", "receipt_sha256"},
        "liveramp_resolutions": {"delivery_id", "outcome", "why", "who", "at"},
        "liveramp_revisions": {"delivery_id", "revision", "why", "who", "at"},
    }
    assert {field.name for field in fields(Delivery)} == of_a_delivery


def test_reopened(ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """What one worker wrote another one finds."""
    written = claimed(ledger_database.open(), file, State.COMMITTED).delivery
    assert ledger_database.open().find(written.delivery_id) == written


def test_database_that_fails(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Every operation on a broken database is a LedgerError, in the driver's words, without the values at hand."""
    claim = claimed(ledger, file, State.UPLOADING)
    ledger_database.lose("liveramp_deliveries")
    missing = re.escape(f"does not answer ({ledger_database.missing('liveramp_deliveries')})")
    for operation in (
        lambda: ledger.find(claim.delivery.delivery_id),
        lambda: ledger.newest_committed(destination="liveramp", audience="high_value", slot="PII"),
        lambda: ledger.claim(file, folder=FOLDER, holder="run 1"),
        lambda: claim.advance(State.VERIFIED),
        claim.release,
    ):
        with pytest.raises(LedgerError, match=missing) as caught:
            operation()
        assert claim.delivery.delivery_id not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_longest_names(ledger: Ledger, file: SealedFile, tmp_path: Path) -> None:
    """What Airflow and the audience file allow at most fits into the ledger."""
    holder = "/".join(("d" * 250, "r" * 250, "t" * 250))
    long = sealed_file(tmp_path / "long", name="n" * 250 + ".csv.gz.gpg", destination="x" * 64, audience="a" * 64)
    claim = ledger.claim(long, folder="/" + "f" * 249, holder=holder)
    claim.advance(State.UPLOADING, temp_path=f"/{'f' * 249}/.{'0' * 32}.tmp")
    assert ledger.claim(long, folder="/", holder=holder).delivery.holder == holder
    ledger.note_health(Health(audience="a" * 64, day=DAY, trouble="t" * 5000, since=DAY))
    assert len(ledger.health("a" * 64).trouble) == 5000
