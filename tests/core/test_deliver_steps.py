"""What stands around a transport: what is refused before it is asked, what is said, and what the receipt tells."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.artifacts import Receipt
from liveramp_provider.core.errors import (
    DeliveryBusyError,
    LedgerError,
    LiveRampError,
    OutOfOrderError,
    RemoteFolderError,
    SchemaDriftError,
    SealBrokenError,
    SmallAudienceError,
    StaleBaseError,
    SuspiciousShrinkError,
)
from liveramp_provider.core.guards.acceptance import Acceptance, Guard
from liveramp_provider.core.ledger import State
from liveramp_provider.core.pipeline import deliver as deliver_module
from liveramp_provider.core.transports import freed_on_failure
from tests.deliveries import DAY, NAME, Delivering, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

YESTERDAY, TOMORROW = DAY - timedelta(days=1), DAY + timedelta(days=1)


@dataclass
class Receiver:
    """A transport whose receiver takes everything at once."""

    came: list[str] = field(default_factory=list)
    error: LiveRampError | None = None

    def check(self, folder: str) -> None:
        """Nothing to see."""

    def send(self, file: Path, claim: Claim) -> None:
        with freed_on_failure(claim):
            claim.advance(State.INTENT)
            if self.error is not None:
                raise self.error
            self.came.append(claim.delivery.name)
            claim.advance(State.COMMITTED, evidence="E1", committed_at=datetime.now(UTC))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def delivering(receiver: Receiver, tmp_path: Path, ledger_file: Path) -> Delivering:
    return Delivering(sealed_file(tmp_path / "sealed"), ledger_file, "/drop", receiver)


def of(delivering: Delivering, **changes: Any) -> Any:
    """Another file of the same audience."""
    day = changes.get("day", DAY)
    return replace(delivering.file, **{"name": NAME.replace("2026-11-20", str(day)), **changes})


def test_what_the_receipt_tells(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """Which delivery, what was in it, where it went, on what evidence and when; and so does the log."""
    caplog.set_level("INFO")
    before = datetime.now(UTC)
    receipt = delivering.deliver()
    assert before <= receipt.committed_at <= datetime.now(UTC)
    file = delivering.file
    assert receipt == Receipt(
        delivery_id=delivering.recorded().delivery_id,
        destination="liveramp",
        slot="PII",
        day=DAY,
        name=NAME,
        folder="/drop",
        rows=30,
        members=30,
        size_bytes=12,
        sha256=file.sha256,
        csv_sha256=file.csv_sha256,
        evidence="E1",
        committed_at=receipt.committed_at,
        sent_now=True,
    )
    assert caplog.messages[-1].startswith(f"deliver: {NAME}, 30 rows, 12 bytes, E1 (")
    assert delivering.deliver() == replace(receipt, sent_now=False)
    at = f"{receipt.committed_at:%F %H:%M}"
    assert caplog.messages[-1] == f"deliver: {NAME} was delivered at {at} UTC; nothing is sent"


def test_how_long_it_took(
    delivering: Delivering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says how long a delivery took, and how many bytes a second that is."""
    caplog.set_level("INFO")
    monkeypatch.setattr(deliver_module, "monotonic", iter([100.0, 102.0]).__next__)
    delivering.deliver()
    assert caplog.messages[-1] == f"deliver: {NAME}, 30 rows, 12 bytes, E1 (2.0 s, 6 bytes/s)"


def test_what_builds_on_another_state(delivering: Delivering, receiver: Receiver) -> None:
    """Changes go out on the very delivery that they build on, whatever came of other files; else they say what came."""
    before = of(delivering, day=YESTERDAY)
    changes = of(delivering, base=delivering.deliver(before).delivery_id)
    for other in ({"slot": "DEVICE"}, {"audience": "other"}, {"destination": "other"}):
        delivering.deliver(replace(before, name="other.csv", **other))
    assert delivering.deliver(changes).sent_now
    changes = of(delivering, day=TOMORROW, base=delivering.deliver(changes).delivery_id)
    delivering.deliver(replace(of(delivering), revision=2, name="again.csv"), why="lost")
    with pytest.raises(StaleBaseError) as stale:
        delivering.deliver(changes)
    assert str(stale.value) == (
        f"{changes.name} brings only what has changed, and builds on another state than the receiver's: "
        "again.csv was delivered since. It was not sent. A deliver task makes it anew when it is tried again."
    )
    assert changes.name not in receiver.came


def test_what_follows_a_main_file(delivering: Delivering, receiver: Receiver) -> None:
    """It goes after that one, is judged by that one's history, and counts as little as that one does."""
    part = of(delivering, slot="PII_2", after=("PII",), name="part.csv")
    with pytest.raises(DeliveryBusyError) as early:
        delivering.deliver(part)
    assert str(early.value) == "part.csv waits: PII, which goes before it, is not delivered. A task tries it again."
    delivering.deliver(of(delivering, day=YESTERDAY, members=100))
    acceptance = Acceptance(guards=frozenset({Guard.SHRINK}), why="agreed")
    delivering.deliver(acceptance=acceptance)
    with pytest.raises(SuspiciousShrinkError):
        delivering.deliver(part)
    with pytest.raises(SmallAudienceError, match=f"still holds the 30 members delivered for {DAY}"):
        delivering.deliver(replace(part, members=24))
    assert "part.csv" not in receiver.came
    assert delivering.deliver(part, acceptance=acceptance).sent_now


def test_too_few(delivering: Delivering, receiver: Receiver) -> None:
    """It is said how few, how many it takes, and what the receiver has instead; and nothing is begun."""
    few = of(delivering, day=TOMORROW, members=24)
    words = f"{few.name}: 24 unique members, and a file needs 25; it was not sent. LiveRamp "
    with pytest.raises(SmallAudienceError) as refused:
        delivering.deliver(few)
    assert str(refused.value) == f"{words}holds nothing of it yet."
    delivering.deliver()
    with pytest.raises(SmallAudienceError) as refused:
        delivering.deliver(few)
    assert str(refused.value) == f"{words}still holds the 30 members delivered for {DAY}."
    assert receiver.came == [NAME]
    assert delivering.deliver(replace(few, members=25)).sent_now


def test_a_broken_seal(delivering: Delivering, receiver: Receiver) -> None:
    """Bytes that are others or gone are not sent; it is said what to delete, so that they are made anew."""
    path = delivering.file.path
    way_out = f"Delete the folder {path.parent} and clear the build task."
    path.write_bytes(b"other bytes!")
    with pytest.raises(SealBrokenError) as broken:
        delivering.deliver()
    assert str(broken.value) == f"{NAME}: the staged bytes are not those that were sealed. {way_out}"
    path.unlink()
    with pytest.raises(SealBrokenError) as broken:
        delivering.deliver()
    assert str(broken.value) == f"{NAME}: the staged file cannot be read (No such file or directory). {way_out}"
    assert receiver.came == []


def test_what_was_accepted_is_kept(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """Each guard that was overruled, with the reason; what was not needed is said, and not kept."""
    caplog.set_level("INFO")
    delivering.deliver(of(delivering, day=YESTERDAY, members=100))
    acceptance = Acceptance(guards=frozenset({Guard.SHRINK, Guard.HEADER}), why="agreed")
    delivering.deliver(acceptance=acceptance)
    shrunk = [line for line in caplog.messages if "(shrink)" in line]
    assert [line.startswith(f"deliver: {NAME}: 30 members, and {YESTERDAY} had 100: 70.0% fewer") for line in shrunk]
    assert shrunk[0].endswith("account; accepted (shrink): agreed")
    assert f"deliver: {NAME}: accept has header, which was not needed" in caplog.messages
    with delivering.ledger.transaction() as connection:
        kept = connection.exec_driver_sql("select guard, who, why from liveramp_acceptances").all()
    assert [tuple(line) for line in kept] == [("shrink", "run 1", "agreed")]


def test_another_delimiter(delivering: Delivering, receiver: Receiver) -> None:
    """The same columns parted by something else are another header to whoever reads them."""
    delivering.deliver(of(delivering, day=YESTERDAY, delimiter="|"))
    with pytest.raises(SchemaDriftError):
        delivering.deliver()
    assert delivering.deliver(of(delivering, delimiter="|")).sent_now


def test_a_warning_is_said(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """What goes out although it is odd leaves a line in the log."""
    delivering.deliver(of(delivering, day=TOMORROW))
    delivering.deliver()
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
        f"deliver: {NAME} is of {DAY}, and {TOMORROW} was delivered already: who has left the audience between the two "
        "comes back at LiveRamp"
    ]


def test_why_a_day_was_sent_again(delivering: Delivering) -> None:
    """The reason of a revision is kept with it."""
    delivering.deliver()
    delivering.deliver(of(delivering, revision=2, name="second.csv"), why="half was missing")
    with delivering.ledger.transaction() as connection:
        kept = connection.exec_driver_sql("select why from liveramp_revisions").scalars().all()
    assert list(kept) == ["half was missing"]


def test_one_refresh_at_a_time(delivering: Delivering, receiver: Receiver) -> None:
    """A refresh waits while another day's is under way, frees its claim, and goes afterwards."""
    other = delivering.ledger.claim(of(delivering, day=YESTERDAY), folder="/drop", holder="run 0")
    with pytest.raises(DeliveryBusyError, match="is being delivered by run 0, and with full_refresh"):
        delivering.deliver(update_method="full_refresh")
    assert (receiver.came, delivering.ledger.beside(other.delivery)) == ([], None)
    assert delivering.deliver(update_method="incremental").sent_now


def test_what_was_delivered_meanwhile_counts(delivering: Delivering, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that another worker delivered between the first judgement and the claim is judged, and the claim freed."""
    claim = type(delivering.ledger).claim

    def late(*arguments: Any, **named: Any) -> Any:
        monkeypatch.undo()
        delivering.deliver(of(delivering, day=TOMORROW), holder="run 2", update_method="full_refresh")
        return claim(*arguments, **named)

    monkeypatch.setattr(type(delivering.ledger), "claim", late)
    with pytest.raises(OutOfOrderError):
        delivering.deliver(update_method="full_refresh")
    found = delivering.ledger.find(delivering.claim(holder="run 3").delivery.delivery_id)
    assert found is not None


def test_the_same_file_by_two_workers(
    delivering: Delivering, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds at the claim that another has delivered meanwhile sends nothing, and says so."""
    claim = type(delivering.ledger).claim

    def late(*arguments: Any, **named: Any) -> Any:
        monkeypatch.undo()
        delivering.deliver(holder="run 2")
        return claim(*arguments, **named)

    monkeypatch.setattr(type(delivering.ledger), "claim", late)
    receipt = delivering.deliver()
    assert receipt.sent_now is False
    assert receipt == delivering.deliver()
    assert receiver.came == [NAME]


@pytest.mark.parametrize(("began", "now"), [("/drop", "s3://drop/vip"), ("s3://drop/vip", "/drop")])
def test_another_way_is_no_way_on(began: str, now: str, delivering: Delivering, receiver: Receiver) -> None:
    """What one way may have brought there is not sent by the other: the former path has to come back first."""
    receiver.error = RemoteFolderError("broke off")
    with pytest.raises(RemoteFolderError, match="broke off"):
        delivering.deliver(folder=began)
    receiver.error = None
    with pytest.raises(RemoteFolderError) as refused:
        delivering.deliver(folder=now, holder="run 2")
    assert str(refused.value) == (
        f"{NAME}: an earlier try may have brought it to {began}, and the audience file now says {now}. Put the former "
        "path back until this day is delivered."
    )
    assert delivering.deliver(folder=began, holder="run 3").sent_now


def test_the_first_bytes_are_judged(delivering: Delivering, receiver: Receiver) -> None:
    """Of what may be at the receiver already it counts what was sent, not what was made anew since."""
    delivering.deliver(of(delivering, day=YESTERDAY, members=60))
    receiver.error = RemoteFolderError("broke off")
    with pytest.raises(RemoteFolderError, match="broke off"):
        delivering.deliver()
    receiver.error = None
    assert delivering.deliver(of(delivering, header=("other",), members=29)).members == 30


def test_a_ledger_that_was_changed_by_hand(delivering: Delivering) -> None:
    """A delivery without a time is no delivery that anybody can vouch for."""
    delivering.deliver()
    with delivering.ledger.transaction() as connection:
        connection.exec_driver_sql("update liveramp_deliveries set committed_at = null")
    with pytest.raises(LedgerError) as changed:
        delivering.deliver()
    assert str(changed.value) == f"{NAME}: committed without a time; the ledger was changed by hand."
