"""Receipts, in SQLite and in PostgreSQL: one for every delivery, in a chain, and never changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.artifacts import SuppressionList
from liveramp_provider.core.errors import LedgerError, ReceiptChainError
from liveramp_provider.core.ledger import Claim, Outcome, State, resolve, verified
from liveramp_provider.core.ledger.receipts import receipt_digest, receipts
from tests.core.test_ledger import FOLDER, claimed
from tests.core.test_resolve import WHY, doubtful
from tests.deliveries import sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.ledger import Delivery, Ledger
    from tests.ledgers import LedgerDatabase

OPTED_OUT = SuppressionList(
    source="warehouse", read_at=datetime.now(UTC), updated_at="", keys=3, emails=0, phones=0, sha256="5" * 64
)


FIRST = {"number": 1, "previous_sha256": ""}


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> Ledger:
    """An empty ledger."""
    return ledger_database.open()


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    """A sealed file that leaves out who has opted out."""
    return sealed_file(tmp_path / "sealed", suppression=OPTED_OUT)


def committed(ledger: Ledger, file: SealedFile) -> Delivery:
    """The delivery of `file`, made with evidence E3."""
    claim = claimed(ledger, file, State.UPLOADING)
    claim.advance(State.VERIFIED, evidence="E3", host_key="SHA256:key")
    claim.advance(State.INTENT)
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    return claim.delivery


def of_days(file: SealedFile, *days: int) -> list[SealedFile]:
    return [replace(file, day=date(2026, 11, day)) for day in days]


def lines(database: LedgerDatabase) -> list[dict[str, object]]:
    """Every receipt, as the ledger keeps it."""
    engine = sa.create_engine(database.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(receipts).order_by(receipts.c.number)).mappings()]


def test_what_a_receipt_says(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """What was delivered, by whom, when, with which evidence, key and opt-outs: all that the delivery says."""
    delivery = committed(ledger, file)
    (line,) = lines(ledger_database)
    of_the_chain = {name: line.pop(name) for name in ("number", "previous_sha256", "receipt_sha256")}
    assert line == {name: getattr(delivery, name) for name in line}
    assert of_the_chain == {"number": 1, "previous_sha256": "", "receipt_sha256": receipt_digest(line | FIRST)}
    assert (line["evidence"], line["suppression_sha256"], line["holder"]) == ("E3", "5" * 64, "run 1")


def test_only_a_committed_delivery_has_one(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """None before the commit, one with it, and none more for a rerun, a release or a zombie."""
    claim = claimed(ledger, file, State.INTENT)
    assert lines(ledger_database) == []
    zombie = Claim(ledger, claim.delivery, claim.receiver)
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC), evidence="E3")
    claim.release()
    ledger.claim(file, folder=FOLDER, holder="run 2")
    with pytest.raises(LedgerError):
        zombie.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    assert [line["delivery_id"] for line in lines(ledger_database)] == [claim.delivery.delivery_id]


def test_a_persons_word_is_receipted(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """A delivery that a person found at the receiver has a receipt with that evidence; one not found has none."""
    found, missing = of_days(file, 19, 20)
    resolve(ledger, doubtful(ledger, missing).delivery.delivery_id, Outcome.NOT_DELIVERED, why=WHY, who="ann")
    key = doubtful(ledger, found).delivery.delivery_id
    resolve(ledger, key, Outcome.DELIVERED, why=WHY, who="ann")
    assert [(line["delivery_id"], line["evidence"]) for line in lines(ledger_database)] == [(key, "P")]


def test_chain(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Each receipt holds the digest of the one before, and the last one's stands for all of them."""
    assert verified(ledger_database.at).last_sha256 == ""
    for each in of_days(file, 18, 19, 20):
        committed(ledger, each)
    first, second, third = lines(ledger_database)
    assert [line["number"] for line in (first, second, third)] == [1, 2, 3]
    assert (second["previous_sha256"], third["previous_sha256"]) == (first["receipt_sha256"], second["receipt_sha256"])
    chain = verified(ledger_database.at)
    assert (chain.receipts, chain.last_sha256, chain.without) == (3, third["receipt_sha256"], 0)


@pytest.mark.parametrize("workers", [2, 16])
def test_chain_of_many_at_once(workers: int, ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """Deliveries that are committed at the same moment come one after the other, and none is refused for it."""
    claims = [claimed(ledger_database.open(), each, State.INTENT) for each in of_days(file, *range(1, workers + 1))]
    barrier = Barrier(workers)

    def commit(claim: Claim) -> None:
        barrier.wait()
        claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(commit, claims))
    assert verified(ledger_database.at).receipts == workers


def test_no_receipt_no_commit(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Where the receipt cannot be written, the delivery is not committed either, and goes on from where it stood."""
    claim = claimed(ledger, file, State.INTENT)
    ledger_database.lose("liveramp_receipts")
    with pytest.raises(LedgerError, match="liveramp_receipts"):
        claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    assert ledger.find(claim.delivery.delivery_id) == claim.delivery


@pytest.mark.parametrize(
    "table", ["liveramp_receipts", "liveramp_resolutions", "liveramp_revisions", "liveramp_acceptances"]
)
@pytest.mark.parametrize("change", ["update {} set delivery_id = 'x'", "delete from {}"])
def test_the_audit_is_only_added_to(
    change: str, table: str, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """The database itself refuses to change or remove a line of the audit."""
    first, doubtful_one = of_days(file, 19, 20)
    committed(ledger, first)
    resolve(ledger, doubtful(ledger, doubtful_one).delivery.delivery_id, Outcome.DELIVERED, why=WHY, who="ann")
    again = ledger.claim(replace(first, revision=2), folder=FOLDER, holder="run 2", why="lost at LiveRamp")
    again.accept(["header"], why="agreed with LiveRamp")
    before = ledger_database.sql(f"select * from {table}")
    assert before
    with pytest.raises(sa.exc.DBAPIError, match="lines are only ever added"):
        ledger_database.sql(change.format(table))
    assert ledger_database.sql(f"select * from {table}") == before


def let_the_audit_change(database: LedgerDatabase) -> None:
    """What somebody does who has all rights in the database."""
    if database.dialect == "sqlite":
        database.sql("drop trigger liveramp_receipts_no_update")
        database.sql("drop trigger liveramp_receipts_no_delete")
    else:
        database.sql("alter table liveramp_receipts disable trigger all")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("update liveramp_receipts set rows = rows + 1 where number = 2", 2),
        ("update liveramp_receipts set evidence = 'E1' where number = 3", 3),
        ("update liveramp_receipts set committed_at = '2026-01-01 00:00:00.000000' where number = 1", 1),
        ("update liveramp_receipts set previous_sha256 = '' where number = 2", 2),
        ("update liveramp_receipts set receipt_sha256 = previous_sha256 where number = 2", 2),
        ("update liveramp_receipts set number = 7 where number = 3", 3),
        ("delete from liveramp_receipts where number = 1", 1),
        ("delete from liveramp_receipts where number = 2", 2),
    ],
)
def test_a_changed_chain_is_seen(
    change: str, broken: int, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """Whoever changes a receipt or takes one out of the chain, in spite of the triggers, is found out."""
    for each in of_days(file, 18, 19, 20):
        committed(ledger, each)
    let_the_audit_change(ledger_database)
    ledger_database.sql(change)
    with pytest.raises(ReceiptChainError, match=f"^receipt {broken} is not what was written.* by hand\\.$"):
        verified(ledger_database.at)


def test_a_receipt_that_is_gone_from_the_end_is_counted(
    ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """The chain cannot know of a last receipt that was taken away, but the delivery that lacks one is counted."""
    for each in of_days(file, 19, 20):
        committed(ledger, each)
    let_the_audit_change(ledger_database)
    ledger_database.sql("delete from liveramp_receipts where number = 2")
    chain = verified(ledger_database.at)
    assert (chain.receipts, chain.without) == (1, 1)


def test_golden_digest(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """The digest of a receipt is the same in both databases and in every version to come, or old chains would break."""
    committed(ledger, file)
    (line,) = lines(ledger_database)
    line.pop("receipt_sha256")
    moment = datetime(2026, 11, 21, 5, 1, 0, 123456, tzinfo=UTC)
    digest = receipt_digest(line | {"created_at": moment, "committed_at": moment})
    assert digest == "80ae52b789da5f21085af36891efbb4ace57a9bb417e9a7c03758a51ac5d5086"
