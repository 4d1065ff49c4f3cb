"""A delivery in doubt, closed by a person: what becomes of it, what is written down, and who is refused."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import LedgerError, ResolutionError
from liveramp_provider.core.ledger import EVIDENCE, Outcome, State, resolve
from tests.core.test_ledger import FOLDER, WAY, claimed
from tests.deliveries import sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.ledger import Claim, Ledger
    from tests.ledgers import LedgerDatabase

WHY = "not on the Files page after an hour"


@pytest.fixture
def ledger(ledger_database: LedgerDatabase) -> Ledger:
    """An empty ledger."""
    return ledger_database.open()


@pytest.fixture
def file(tmp_path: Path) -> SealedFile:
    """A sealed file."""
    return sealed_file(tmp_path / "sealed")


def doubtful(ledger: Ledger, file: SealedFile) -> Claim:
    """A claim that ended in doubt."""
    claim = ledger.claim(file, folder=FOLDER, holder="run 1")
    claim.advance(State.UPLOADING, temp_path=f"{FOLDER}/.upload.tmp")
    claim.advance(State.VERIFIED, evidence="E3", host_key="SHA256:key")
    claim.advance(State.INTENT)
    claim.doubt("the line broke, and nobody can know")
    return claim


def audit(database: LedgerDatabase) -> list[tuple[str, ...]]:
    """Every line of the audit but its time."""
    return database.sql("select delivery_id, outcome, why, who from liveramp_resolutions")


def as_utc(at: str | datetime) -> datetime:
    """A moment as either database gives it by hand."""
    return datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at


def test_delivered(ledger: Ledger, file: SealedFile) -> None:
    """What somebody saw at the receiver is committed from now on, on a person's word and nothing better."""
    doubt, before = doubtful(ledger, file).delivery, datetime.now(UTC)
    assert resolve(ledger, doubt.delivery_id, Outcome.DELIVERED, why=WHY, who="ann") == doubt
    closed = ledger.claim(file, folder=FOLDER, holder="run 2").delivery
    assert (closed.state, closed.evidence, closed.epoch) == (State.COMMITTED, "P", doubt.epoch + 1)
    assert closed.committed_at is not None
    assert before <= closed.committed_at <= datetime.now(UTC)
    assert "a person looked" in EVIDENCE[closed.evidence]
    assert ledger.newest_committed(destination="liveramp", audience="high_value", slot="PII") == closed


def test_not_delivered(ledger: Ledger, file: SealedFile) -> None:
    """What is not there is sealed again, with nothing left of the try, and may be claimed by anybody at once."""
    doubt = doubtful(ledger, file).delivery
    resolve(ledger, doubt.delivery_id, Outcome.NOT_DELIVERED, why=WHY, who="ann")
    again = ledger.claim(file, folder=FOLDER, holder="run 2").delivery
    assert (again.state, again.epoch, again.holder) == (State.SEALED, doubt.epoch + 2, "run 2")
    assert (again.evidence, again.host_key, again.committed_at) == ("", "", None)
    assert again.temp_path == f"{FOLDER}/.upload.tmp"


def test_a_beginning_of_many(ledger: Ledger, file: SealedFile) -> None:
    """Whoever names too little of an id is shown two deliveries of all that it may be, and no more."""
    for day in (20, 21, 22):
        claimed(ledger, replace(file, day=date(2026, 11, day)), State.SEALED)
    assert len(ledger.beginning_with("")) == 2


def test_audit(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Every resolution is a line of its own: which delivery, how, why, who and when; earlier ones stay."""
    key = doubtful(ledger, file).delivery.delivery_id
    before = datetime.now(UTC)
    resolve(ledger, key, Outcome.NOT_DELIVERED, why=f" {WHY} ", who="ann")
    doubtful(ledger, file)
    resolve(ledger, key, Outcome.DELIVERED, why="there, 30 rows", who="b" * 200)
    assert audit(ledger_database) == [
        (key, "not-delivered", WHY, "ann"),
        (key, "delivered", "there, 30 rows", "b" * 100),
    ]
    first, second = (as_utc(at) for (at,) in ledger_database.sql("select at from liveramp_resolutions"))
    assert before <= first <= second <= datetime.now(UTC)


@pytest.mark.parametrize("outcome", Outcome)
def test_old_holder_can_write_nothing(outcome: Outcome, ledger: Ledger, file: SealedFile) -> None:
    """Whoever held the delivery when a person closed it does not write to the ledger any more."""
    old = doubtful(ledger, file)
    key = old.delivery.delivery_id
    resolve(ledger, key, outcome, why=WHY, who="ann")
    closed = ledger.find(key)
    for state in (State.SEALED, State.INTENT, old.delivery.state):
        old.delivery = replace(old.delivery, state=state)
        with pytest.raises(LedgerError, match="took this delivery over"):
            old.release()
    assert ledger.find(key) == closed


@pytest.mark.parametrize("state", WAY)
def test_only_a_delivery_in_doubt(
    state: State, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase
) -> None:
    """Anything else is refused by what it is, and neither it nor the audit changes."""
    delivery = claimed(ledger, file, state).delivery
    for outcome in Outcome:
        with pytest.raises(
            ResolutionError, match=rf"2026-11-20 \({delivery.short_id}\) is {state}, not in_doubt: .* changed\.$"
        ):
            resolve(ledger, delivery.delivery_id, outcome, why=WHY, who="ann")
    assert ledger.find(delivery.delivery_id) == delivery
    assert audit(ledger_database) == []


def test_a_person_decides_of_doubt_and_of_nothing_else() -> None:
    """Out of doubt lead two ways, both by a person only; a person changes no other state."""
    by_a_person = {pair for pair in product(State, State) if pair[0].may_become(pair[1], by_a_person=True)}
    assert by_a_person == {(State.IN_DOUBT, outcome.state) for outcome in Outcome}
    assert not any(State.IN_DOUBT.may_become(state) for state in State)


@pytest.mark.parametrize(("chars", "accepted"), [(0, False), (7, False), (8, True), (12, True), (64, True)])
def test_beginning_of_an_id(chars: int, accepted: bool, ledger: Ledger, file: SealedFile) -> None:
    """Eight characters of an id are enough, fewer are not."""
    key = doubtful(ledger, file).delivery.delivery_id
    if accepted:
        assert resolve(ledger, key[:chars], Outcome.DELIVERED, why=WHY, who="ann").delivery_id == key
    else:
        with pytest.raises(ResolutionError, match="too short: an id needs 8 characters"):
            resolve(ledger, key[:chars], Outcome.DELIVERED, why=WHY, who="ann")


@pytest.mark.parametrize("prefix", ["00000000", "________", "%%%%%%%%", "' or 1=1 --"])
def test_unknown_id(prefix: str, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """An id that no delivery has is refused, and no sign in it stands for others."""
    doubtful(ledger, file)
    with pytest.raises(ResolutionError, match=r"no delivery's id begins with .* liveramp deliveries lists them"):
        resolve(ledger, prefix, Outcome.DELIVERED, why=WHY, who="ann")
    assert audit(ledger_database) == []


def test_ambiguous_id(ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """Where two ids begin alike, more of one is asked for, and given, is enough."""
    for day in (19, 20):
        doubtful(ledger, sealed_file(tmp_path / "sealed", day=date(2026, 11, day)))
    ledger_database.sql("update liveramp_deliveries set delivery_id = '12345678' || substr(cast(day as text), 9)")
    with pytest.raises(ResolutionError, match="several deliveries' ids begin with '12345678'"):
        resolve(ledger, "12345678", Outcome.DELIVERED, why=WHY, who="ann")
    assert resolve(ledger, "123456781", Outcome.DELIVERED, why=WHY, who="ann").day == date(2026, 11, 19)


@pytest.mark.parametrize("why", ["", "  ", "two\nlines", "bell\a", "\x1b[31mred", "x" * 501])
def test_no_usable_reason(why: str, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """A reason is one printable line of at most 500 characters, or nothing is closed."""
    doubt = doubtful(ledger, file).delivery
    with pytest.raises(ResolutionError, match="--why is no printable line of 1 to 500 characters"):
        resolve(ledger, doubt.delivery_id, Outcome.DELIVERED, why=why, who="ann")
    assert ledger.find(doubt.delivery_id) == doubt
    assert audit(ledger_database) == []


def test_longest_reason(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """A reason of 500 characters, in any script, is kept whole."""
    key = doubtful(ledger, file).delivery.delivery_id
    resolve(ledger, key, Outcome.DELIVERED, why="ü" * 500, who="ann")
    assert audit(ledger_database) == [(key, "delivered", "ü" * 500, "ann")]


def test_no_audit_no_resolution(ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Where the audit cannot be written, the delivery stays in doubt."""
    doubt = doubtful(ledger, file).delivery
    ledger_database.lose("liveramp_resolutions")
    with pytest.raises(LedgerError, match=re.escape(ledger_database.missing("liveramp_resolutions"))):
        resolve(ledger, doubt.delivery_id, Outcome.DELIVERED, why=WHY, who="ann")
    assert ledger.find(doubt.delivery_id) == doubt


@pytest.mark.parametrize("again", range(5))
def test_one_of_many_resolves(again: int, ledger: Ledger, file: SealedFile, ledger_database: LedgerDatabase) -> None:
    """Of six people at the same moment one decides, the others are told what it is now, and the audit has one line."""
    key = doubtful(ledger, file).delivery.delivery_id
    barrier = Barrier(6)

    def close(number: int) -> str:
        here = ledger_database.open()
        outcome = list(Outcome)[number % 2]
        barrier.wait()
        try:
            resolve(here, key, outcome, why=WHY, who=f"person {number}")
        except ResolutionError as error:
            return str(error)
        return outcome

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(close, range(6)))
    (won,) = [outcome for outcome in said if outcome in list(Outcome)]
    (line,) = audit(ledger_database)
    assert line[1:] == (won, WHY, f"person {said.index(won)}")
    closed = ledger.find(key)
    assert closed is not None
    assert closed.state is Outcome(won).state
    assert sum(f"is {closed.state}, not in_doubt" in words for words in said) == 5
