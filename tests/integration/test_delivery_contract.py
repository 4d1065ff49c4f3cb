"""What delivery promises whatever the way to the receiver: by SFTP to OpenSSH, and to S3."""

from __future__ import annotations

import multiprocessing
import random
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import (
    DeliveryBusyError,
    DeliveryInDoubtError,
    LedgerError,
    LiveRampError,
    OutOfOrderError,
    SchemaDriftError,
    SealBrokenError,
    SmallAudienceError,
    SuspiciousShrinkError,
    TransportError,
)
from liveramp_provider.core.guards.acceptance import Acceptance, Guard
from liveramp_provider.core.ledger import Outcome, State, recorded, resolve
from liveramp_provider.testing import FakeS3
from tests.deliveries import DAY, NAME, Delivering, PausedFile, listing, sealed_file, way_to, way_to_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.transports import Transport
    from tests.servers import OpenSshServer

CONTENT = random.Random(7).randbytes(300_000)


@dataclass
class Receiver:
    """A place to deliver to.

    :param arrived: The names and bytes of all files there.
    :param contacts: Changes with every attempt to reach the receiver.
    :param put: Puts a file of that name there, as somebody else.
    :param nowhere: The same way with nobody at its end.
    """

    path: str
    transport: Transport
    evidence: str
    arrived: Callable[[], dict[str, bytes]]
    contacts: Callable[[], int]
    put: Callable[[str, bytes], object]
    nowhere: Transport


@pytest.fixture
def sftp(server: OpenSshServer, folder: Path) -> Receiver:
    return Receiver(
        path=str(folder),
        transport=way_to(server),
        evidence="E3",
        arrived=lambda: listing(folder),
        contacts=lambda: server.log.count("Connection from"),
        put=lambda name, content: (folder / name).write_bytes(content),
        nowhere=way_to(server, port=1),
    )


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Receiver]:
    with FakeS3(tmp_path / "s3") as running:
        transport = way_to_s3(running)
        yield Receiver(
            path=f"s3://{running.bucket_name}/drop",
            transport=transport,
            evidence="E1",
            arrived=lambda: {key.removeprefix("drop/"): content for key, content in running.objects().items()},
            contacts=lambda: sum(running.calls.values()),
            put=lambda name, content: transport.connect().put_object(
                Bucket=running.bucket_name, Key=f"drop/{name}", Body=content
            ),
            nowhere=way_to_s3(running, endpoint_url="http://127.0.0.1:1"),
        )


@pytest.fixture(params=["sftp", "s3"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    found: Receiver = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def delivering(receiver: Receiver, tmp_path: Path) -> Delivering:
    """A sealed file that is to come to the receiver."""
    ledger_file = tmp_path / "ledger" / "ledger.sqlite"
    return Delivering(sealed_file(tmp_path / "sealed", CONTENT), ledger_file, receiver.path, receiver.transport)


def test_receipt(delivering: Delivering, receiver: Receiver) -> None:
    """The receipt says what was sent, where to, how large, with which digests, and how well that is proven."""
    receipt = delivering.deliver()
    file, recorded = delivering.file, delivering.recorded()
    assert receiver.arrived() == {NAME: CONTENT}
    assert (receipt.name, receipt.folder, receipt.day) == (NAME, receiver.path, DAY)
    assert (receipt.rows, receipt.members, receipt.size_bytes) == (30, 30, len(CONTENT))
    assert (receipt.sha256, receipt.csv_sha256, receipt.evidence) == (file.sha256, file.csv_sha256, receiver.evidence)
    assert (receipt.committed_at, receipt.delivery_id) == (recorded.committed_at, recorded.delivery_id)
    assert receipt.sent_now


@pytest.mark.usefixtures("far_zone")
def test_when_it_arrived(delivering: Delivering) -> None:
    """The time of a receipt is a moment, wherever the clock on the wall of the worker stands."""
    begun = datetime.now(UTC)
    assert begun <= delivering.deliver().committed_at <= datetime.now(UTC)


def test_rerun_sends_nothing(delivering: Delivering, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A rerun gives the old receipt without so much as a connection, whatever has become of the staged file."""
    caplog.set_level("INFO", "liveramp_provider")
    first = delivering.deliver()
    contacts = receiver.contacts()
    rebuilt = sealed_file(delivering.file.path, b"rebuilt", members=99)
    small, broken = replace(rebuilt, members=3), delivering.file
    for file in (rebuilt, small, broken):
        caplog.clear()
        assert delivering.deliver(file, holder="run 2") == replace(first, sent_now=False)
        assert caplog.messages == [
            f"deliver: {NAME} was delivered at {first.committed_at:%F %H:%M} UTC; nothing is sent"
        ]
    assert receiver.contacts() == contacts


def test_nobody_there(delivering: Delivering, receiver: Receiver) -> None:
    """A receiver that is not there is worth another try, by any run at once, and that one delivers."""
    delivering.transport = receiver.nowhere
    with pytest.raises(TransportError):
        delivering.deliver()
    assert delivering.recorded().state is State.SEALED
    delivering.transport = receiver.transport
    assert delivering.deliver(holder="run 2").evidence == receiver.evidence
    assert receiver.arrived() == {NAME: CONTENT}


def test_somebody_elses_file(delivering: Delivering, receiver: Receiver) -> None:
    """A file of that name is never replaced; that is a matter for a person, and is not begun again."""
    receiver.put(NAME, b"somebody's")
    with pytest.raises(DeliveryInDoubtError, match=re.escape(f"{receiver.path}/{NAME}: there is another file")):
        delivering.deliver()
    contacts = receiver.contacts()
    with pytest.raises(DeliveryInDoubtError, match="LiveRamp's Files page"):
        delivering.deliver(holder="run 2")
    assert receiver.arrived()[NAME] == b"somebody's"
    assert receiver.contacts() == contacts


def test_somebody_elses_file_after_a_failure(delivering: Delivering, receiver: Receiver) -> None:
    """A try that cannot have come through does not make somebody else's file ours."""
    delivering.transport = receiver.nowhere
    with pytest.raises(TransportError):
        delivering.deliver()
    receiver.put(NAME, b"somebody's")
    delivering.transport = receiver.transport
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        delivering.deliver()


def test_not_delivered_after_all(delivering: Delivering, receiver: Receiver) -> None:
    """Once a person has said that ours is not there, it is tried again; a name still taken is a doubt again."""
    receiver.put(NAME, b"somebody's")
    for _ in range(2):
        with pytest.raises(DeliveryInDoubtError, match="there is another file"):
            delivering.deliver()
        key = delivering.recorded().delivery_id
        resolve(delivering.ledger, key, Outcome.NOT_DELIVERED, why="not on the Files page", who="anna")
    assert delivering.recorded().state is State.SEALED


def test_another_way_after_an_intent(delivering: Delivering, receiver: Receiver) -> None:
    """What an earlier try may have brought to one kind of receiver is not taken for delivered at another kind."""
    elsewhere = "/uploads/drop" if receiver.path.startswith("s3:") else "s3://bucket/drop"
    claim = delivering.ledger.claim(delivering.file, folder=elsewhere, holder="run 1")
    claim.advance(State.INTENT)
    contacts = receiver.contacts()
    with pytest.raises(LiveRampError, match=re.escape(f"an earlier try may have brought it to {elsewhere}")):
        delivering.deliver()
    assert (receiver.contacts(), receiver.arrived()) == (contacts, {})
    assert delivering.recorded().state is State.INTENT


def test_busy(delivering: Delivering, receiver: Receiver) -> None:
    """While another run is at it, nothing is sent: the error says who, and passes by itself."""
    delivering.claim(holder="dag/run 1/deliver")
    contacts = receiver.contacts()
    with pytest.raises(DeliveryBusyError, match="dag/run 1/deliver"):
        delivering.deliver(holder="dag/run 2/deliver")
    assert (receiver.contacts(), receiver.arrived()) == (contacts, {})


def attempt(delivering: Delivering, holder: str) -> str:
    """What became of one try: an error's name, ``sent`` or ``found``."""
    try:
        return "sent" if delivering.deliver(holder=holder).sent_now else "found"
    except LiveRampError as error:
        return type(error).__name__


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_four_runs_at_once(pool: type[Executor], delivering: Delivering, receiver: Receiver) -> None:
    """Of four runs that start at once, one sends; the others are told to wait, or get its receipt."""
    options = {"mp_context": multiprocessing.get_context("spawn")} if pool is ProcessPoolExecutor else {}
    with pool(4, **options) as workers:
        outcomes = list(workers.map(attempt, [delivering] * 4, [f"run {number}" for number in range(4)]))
    assert outcomes.count("sent") == 1
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError"}
    assert receiver.arrived() == {NAME: CONTENT}


@pytest.mark.parametrize("again", range(5))
def test_four_tries_of_one_task_at_once(again: int, delivering: Delivering, receiver: Receiver) -> None:
    """Tries of one task take over from each other at once, and still no more than one file arrives."""
    with ThreadPoolExecutor(4) as workers:
        outcomes = list(workers.map(attempt, [delivering] * 4, ["run 1"] * 4))
    assert set(outcomes) <= {"sent", "found", "DeliveryBusyError", "LedgerError"}
    delivering.deliver()
    assert receiver.arrived() == {NAME: CONTENT}
    assert delivering.recorded().state is State.COMMITTED


def test_small_audience(delivering: Delivering, receiver: Receiver) -> None:
    """Too few members: nothing is sent, and the message says how many there are and that the receiver holds none."""
    contacts = receiver.contacts()
    with pytest.raises(SmallAudienceError) as caught:
        delivering.deliver(replace(delivering.file, members=24))
    assert str(caught.value) == (
        f"{NAME}: 24 unique members, and a file needs 25; it was not sent. LiveRamp holds nothing of it yet."
    )
    assert (receiver.contacts(), receiver.arrived()) == (contacts, {})


def test_small_audience_after_a_large_one(delivering: Delivering, receiver: Receiver) -> None:
    """Too few members after an earlier delivery: the message says what LiveRamp goes on using."""
    delivering.deliver(replace(delivering.file, day=date(2026, 11, 19), name="earlier.csv", members=1234))
    with pytest.raises(SmallAudienceError, match="still holds the 1,234 members delivered for 2026-11-19"):
        delivering.deliver(replace(delivering.file, members=0))
    assert list(receiver.arrived()) == ["earlier.csv"]


def test_smallest_audience(delivering: Delivering) -> None:
    """Exactly the minimum is enough."""
    assert delivering.deliver(replace(delivering.file, members=25)).members == 25


@pytest.mark.parametrize("change", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"], ids=["empty", "shorter", "one byte"])
def test_broken_seal(change: bytes, delivering: Delivering, receiver: Receiver) -> None:
    """Bytes that are not the sealed ones go nowhere."""
    delivering.file.path.write_bytes(change)
    contacts = receiver.contacts()
    with pytest.raises(SealBrokenError, match=f"{re.escape(NAME)}: the staged bytes are not those"):
        delivering.deliver()
    assert receiver.contacts() == contacts


def test_lost_file(delivering: Delivering) -> None:
    """A staged file that is gone is an error that says what to clear."""
    delivering.file.path.unlink()
    with pytest.raises(SealBrokenError, match=r"cannot be read \(No such file or directory\)\. Delete the folder"):
        delivering.deliver()


@pytest.mark.parametrize("ruin", [lambda path: path.write_bytes(b"?" * 5000), lambda path: path.mkdir()])
def test_no_ledger_no_delivery(ruin: Callable[[Path], object], delivering: Delivering, receiver: Receiver) -> None:
    """With a ledger that cannot be read, nothing is sent."""
    delivering.ledger_file.parent.mkdir()
    ruin(delivering.ledger_file)
    contacts = receiver.contacts()
    with pytest.raises(LedgerError):
        delivering.deliver()
    assert (receiver.contacts(), receiver.arrived()) == (contacts, {})


def test_errors_hold_no_member(delivering: Delivering, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """What a failed and a good try log and say has names and counts, and no byte of the file."""
    caplog.set_level("DEBUG")
    file = sealed_file(delivering.file.path, b"M1,jane.doe@example.com\n" * 30)
    delivering.transport = receiver.nowhere
    with pytest.raises(TransportError) as caught:
        delivering.deliver(file)
    delivering.transport = receiver.transport
    delivering.deliver(file)
    line = rf"deliver: {NAME}, 30 rows, 720 bytes, {receiver.evidence} \([0-9.a-z ]+ s(, [0-9.,]+ ([kM]?B|bytes)/s)?\)"
    assert any(re.fullmatch(line, message) for message in caplog.messages)
    assert "jane.doe" not in caplog.text + str(caught.value)


def of_day(delivering: Delivering, day: int, **changes: Any) -> SealedFile:
    """The file of another day."""
    return replace(delivering.file, day=date(2026, 11, day), name=f"{day}.csv", **changes)


REFUSED = {
    Guard.BACKDATED: (21, {}, {"update_method": "full_refresh"}, OutOfOrderError),
    Guard.HEADER: (19, {"header": ("CCID", "EMAIL1", "VIP")}, {}, SchemaDriftError),
    Guard.SHRINK: (19, {"members": 1000}, {}, SuspiciousShrinkError),
}


@pytest.mark.parametrize("guard", Guard)
def test_what_a_guard_refuses(guard: Guard, delivering: Delivering, receiver: Receiver) -> None:
    """Nothing is sent and nothing begun, until somebody accepts just that; the ledger keeps who did, and why."""
    day, former, there, error = REFUSED[guard]
    delivering.deliver(of_day(delivering, day, **former))
    contacts = receiver.contacts()
    others = Acceptance(guards=frozenset(Guard) - {guard}, why="something else")
    for acceptance in (Acceptance(), others):
        with pytest.raises(error, match=rf"was not sent: .*accept: \[{guard}\]"):
            delivering.deliver(acceptance=acceptance, **there)
    assert (receiver.contacts(), list(receiver.arrived())) == (contacts, [f"{day}.csv"])
    assert len(recorded(delivering.ledger_file)) == 1

    mine = Acceptance(guards=frozenset({guard}), why="agreed with LiveRamp")
    assert delivering.deliver(acceptance=mine, holder="dag/run 2/deliver", **there).sent_now
    assert receiver.arrived()[NAME] == CONTENT
    assert accepted(delivering) == [(guard, "dag/run 2/deliver", "agreed with LiveRamp")]
    assert not delivering.deliver(**there).sent_now  # nothing to judge any more


def accepted(delivering: Delivering) -> list[tuple[str, str, str]]:
    with sqlite3.connect(delivering.ledger_file) as database:
        lines = database.execute("select guard, who, why from liveramp_acceptances").fetchall()
    database.close()
    return lines


def test_what_nobody_needed_to_accept(delivering: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    """A word for a guard that has nothing to say is kept nowhere, and the log says that it was not needed."""
    caplog.set_level("INFO")
    delivering.deliver(acceptance=Acceptance(guards=frozenset({Guard.SHRINK}), why="just in case"))
    assert accepted(delivering) == []
    assert f"deliver: {NAME}: accept has shrink, which was not needed" in caplog.messages


def test_a_late_day(delivering: Delivering, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """An incremental audience gets an older day after a newer one, with a warning that says what that does."""
    delivering.deliver(of_day(delivering, 21))
    delivering.deliver()
    assert receiver.arrived()[NAME] == CONTENT
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"{NAME} is of 2026-11-20, and 2026-11-21 was delivered already" in warning
    assert warning.endswith(" between the two comes back at LiveRamp")


def test_judged_again_under_the_claim(delivering: Delivering, receiver: Receiver, tmp_path: Path) -> None:
    """A newer day that is delivered while an older one is being checked keeps that one back, and lets it go."""
    newer = of_day(delivering, 21, path=tmp_path / "newer", csv_sha256="d" * 64)
    newer.path.write_bytes(CONTENT)
    with PausedFile(tmp_path / "slow", CONTENT) as paused, ThreadPoolExecutor(1) as workers:
        slow = replace(delivering.file, path=paused.path)
        older = workers.submit(delivering.deliver, slow, holder="older", update_method="segment_refresh")
        with paused.path.open("wb") as seal:  # opens when the older one has come so far
            delivering.deliver(newer, holder="newer")
            seal.write(CONTENT)
        with pytest.raises(OutOfOrderError):
            older.result()
    assert list(receiver.arrived()) == ["21.csv"]
    (begun,) = recorded(delivering.ledger_file, day=DAY)
    assert (begun.state, begun.holder) == (State.SEALED, "older")
    delivering.deliver(holder="somebody else")


def test_delivered_by_another_meanwhile(delivering: Delivering, receiver: Receiver, tmp_path: Path) -> None:
    """A file that another run delivers while this one is checking it is not sent once more."""
    with PausedFile(tmp_path / "slow", CONTENT) as paused, ThreadPoolExecutor(1) as workers:
        slow = workers.submit(delivering.deliver, replace(delivering.file, path=paused.path), holder="slow")
        with paused.path.open("wb") as seal:  # opens when the slow one has come so far
            first = delivering.deliver(holder="quick")
            contacts = receiver.contacts()
            seal.write(CONTENT)
        assert slow.result() == replace(first, sent_now=False)
    assert receiver.contacts() == contacts


def test_a_ledger_changed_by_hand(delivering: Delivering) -> None:
    """A delivery that was committed at no time was not committed by us: nothing is sent, and that is said."""
    delivering.deliver()
    with sqlite3.connect(delivering.ledger_file) as database:
        database.execute("update liveramp_deliveries set committed_at = null")
    database.close()
    with pytest.raises(LedgerError, match=f"{NAME}: committed without a time; the ledger was changed by hand"):
        delivering.deliver()


def test_no_refresh_overtakes_another(delivering: Delivering, receiver: Receiver) -> None:
    """With a refresh, one day waits while another is under way, older or newer; an incremental day goes beside it."""
    other = of_day(delivering, 21)
    claim = delivering.ledger.claim(other, folder=receiver.path, holder="other day")
    contacts = receiver.contacts()
    with pytest.raises(DeliveryBusyError, match=f"{NAME} waits: 21.csv is being delivered by other day"):
        delivering.deliver(update_method="full_refresh")
    assert receiver.contacts() == contacts
    delivering.deliver(replace(delivering.file, slot="D", name="d.csv"), update_method="full_refresh")
    claim.release()
    assert delivering.deliver(update_method="full_refresh", holder="run 2").sent_now
    claim = delivering.ledger.claim(other, folder=receiver.path, holder="other day")
    assert delivering.deliver(of_day(delivering, 22), holder="run 3").sent_now


def test_a_revision_is_judged_like_the_first(delivering: Delivering, receiver: Receiver) -> None:
    """Its header against the last one's, its members against the day before: not against what it corrects."""
    delivering.deliver(of_day(delivering, 19, members=100))
    delivering.deliver(replace(delivering.file, members=1000))
    again = replace(delivering.file, revision=2, name="again.csv", members=60)
    for other in ({"header": ("CCID",)}, {"delimiter": "|"}):
        with pytest.raises(SchemaDriftError, match=f"not that of {re.escape(NAME)}"):
            delivering.deliver(replace(again, **other), why="wrong people")
    assert len(recorded(delivering.ledger_file)) == 2  # nothing was begun
    with pytest.raises(SuspiciousShrinkError, match="49 members, and 2026-11-19 had 100"):
        delivering.deliver(replace(again, members=49), why="wrong people")
    assert delivering.deliver(again, why="wrong people").sent_now


def test_what_is_at_the_receiver_is_what_is_judged(delivering: Delivering, receiver: Receiver) -> None:
    """A delivery under way is finished as it was begun, though the audience file has other columns by now."""
    delivering.deliver(of_day(delivering, 19))
    delivering.claim(State.UPLOADING, State.VERIFIED, State.INTENT).release()
    delivering.deliver(replace(delivering.file, header=("CCID", "EMAIL1", "VIP")))
    assert delivering.ledger.last_committed(destination="liveramp", audience="high_value", slot="PII").day == DAY
