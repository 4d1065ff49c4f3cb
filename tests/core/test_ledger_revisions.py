"""Sending a delivered day again on purpose: what the ledger asks before it, and what it keeps of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import DeliveryBusyError, RevisionError
from liveramp_provider.core.ledger import Outcome, State, delivery_id_of, recorded, resolve
from tests.core.test_ledger import FOLDER, WAY, claimed
from tests.core.test_resolve import as_utc, doubtful
from tests.deliveries import sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.ledger import Claim, Ledger
    from tests.ledgers import LedgerDatabase

WHY = "LiveRamp lost the file"


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> Ledger:
    """An empty ledger."""
    return ledger_database.open()


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    """A sealed file."""
    return sealed_file(tmp_path / "sealed")


def again(ledger: Ledger, file: SealedFile, revision: int = 2, why: str = WHY, holder: str = "run 2") -> Claim:
    """A claim on a further revision of `file`."""
    return ledger.claim(
        replace(file, revision=revision, name=f"r{revision}.csv"), folder=FOLDER, holder=holder, why=why
    )


def test_a_revision_is_a_delivery_of_its_own(ledger: Ledger, file: SealedFile) -> None:
    """It begins at the beginning, under its own id and name; the first one stays as it was."""
    first = claimed(ledger, file, State.COMMITTED).delivery
    second = again(ledger, file).delivery
    assert (second.state, second.revision, second.name) == (State.SEALED, 2, "r2.csv")
    assert second.delivery_id != first.delivery_id
    assert ledger.find(first.delivery_id) == first


def test_what_is_kept(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Who asked for it, when and why: once, by whoever began it; nothing for a first delivery."""
    before = datetime.now(UTC)
    claimed(ledger, file, State.COMMITTED)
    for holder in ("dag/run 2/deliver", "dag/run 2/deliver"):
        claim = again(ledger, file, holder=holder)
    ((key, revision, why, who, at),) = ledger_database.sql(
        "select delivery_id, revision, why, who, at from liveramp_revisions"
    )
    assert (key, revision, why, who) == (claim.delivery.delivery_id, 2, WHY, "dag/run 2/deliver")
    assert before <= as_utc(at) <= datetime.now(UTC)


@pytest.mark.parametrize("state", WAY[:-1])
def test_only_after_the_one_before(
    state: State, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """While the revision before is not delivered, a further one is refused by what that is, and nothing is kept."""
    claimed(ledger, file, state)
    with pytest.raises(RevisionError, match=rf"revision 2 follows revision 1, which is {state}"):
        again(ledger, file)
    assert len(recorded(ledger_database.at)) == 1
    assert ledger_database.sql("select 1 from liveramp_revisions") == []


def test_nothing_to_send_again(ledger: Ledger, file: SealedFile) -> None:
    """Where nothing was sent, nothing is sent again; and no revision is left out."""
    with pytest.raises(RevisionError, match=r"which was never begun\. Deliver .* in doubt\.$"):
        again(ledger, file)
    claimed(ledger, file, State.COMMITTED)
    with pytest.raises(RevisionError, match="revision 3 follows revision 2, which was never begun"):
        again(ledger, file, 3)


@pytest.mark.parametrize(("outcome", "may"), [(Outcome.DELIVERED, True), (Outcome.NOT_DELIVERED, False)])
def test_after_a_doubt(outcome: Outcome, may: bool, ledger: Ledger, file: SealedFile) -> None:
    """A delivery in doubt is no reason to send another beside it; only once a person has found it there."""
    key = doubtful(ledger, file).delivery.delivery_id
    with pytest.raises(RevisionError, match=r"which is in_doubt.*resolve it"):
        again(ledger, file)
    resolve(ledger, key, outcome, why="looked", who="ann")
    if may:
        assert again(ledger, file).delivery.revision == 2
    else:
        with pytest.raises(RevisionError, match="which is sealed"):
            again(ledger, file)


def test_no_reason_no_revision(ledger: Ledger, file: SealedFile) -> None:
    """Nobody sends a day again without saying why; a rerun of one that was begun needs no reason."""
    claimed(ledger, file, State.COMMITTED)
    for unsaid in ({}, {"why": ""}):
        with pytest.raises(RevisionError, match="only where somebody says why"):
            ledger.claim(replace(file, revision=2), folder=FOLDER, holder="run 2", **unsaid)
    again(ledger, file)
    assert again(ledger, file, why="").delivery.epoch == 2


def test_what_the_receiver_holds(ledger: Ledger, file: SealedFile) -> None:
    """Of several revisions of the newest day the last one that was delivered."""
    claimed(ledger, file, State.COMMITTED)
    asked = {"destination": "liveramp", "audience": "high_value", "slot": "PII"}
    claim = again(ledger, file)
    held = ledger.newest_committed(**asked)
    assert held is not None
    assert held.revision == 1
    for state in WAY[1:]:
        claim.advance(state, **({"committed_at": datetime.now(UTC)} if state is State.COMMITTED else {}))
    held = ledger.newest_committed(**asked)
    assert held is not None
    assert held.revision == 2


def test_one_of_many_sends_again(ledger_database: LedgerDatabase, file: SealedFile) -> None:
    """Of eight runs that ask for the same revision at once one gets it, and one reason is kept."""
    claimed(ledger_database.open(), file, State.COMMITTED)
    barrier = Barrier(8)

    def begin(number: int) -> str:
        here = ledger_database.open()
        barrier.wait()
        try:
            return again(here, file, why=f"reason {number}", holder=f"run {number}").delivery.delivery_id
        except DeliveryBusyError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(begin, range(8)))
    (key,) = [outcome for outcome in outcomes if outcome]
    assert key == delivery_id_of(replace(file, revision=2))
    ((why, who),) = ledger_database.sql("select why, who from liveramp_revisions")
    number = why.removeprefix("reason ")
    assert who == f"run {number}"
