"""What delivery promises whatever the way to the receiver: by SFTP to OpenSSH, and to S3."""

from __future__ import annotations

import multiprocessing
import random
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import (
    DeliveryBusyError,
    DeliveryInDoubtError,
    LedgerError,
    LiveRampError,
    SealBrokenError,
    SmallAudienceError,
    TransportError,
)
from liveramp_provider.core.ledger import Outcome, State, resolve
from liveramp_provider.testing import FakeS3
from tests.deliveries import DAY, NAME, Delivering, listing, sealed_file, way_to, way_to_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

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


def test_rerun_sends_nothing(delivering: Delivering, receiver: Receiver) -> None:
    """A rerun gives the old receipt without so much as a connection, whatever has become of the staged file."""
    first = delivering.deliver()
    contacts = receiver.contacts()
    rebuilt = sealed_file(delivering.file.path, b"rebuilt", members=99)
    small, broken = replace(rebuilt, members=3), delivering.file
    for file in (rebuilt, small, broken):
        assert delivering.deliver(file, holder="run 2") == replace(first, sent_now=False)
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
    line = f"deliver: {NAME}, 30 rows, 720 bytes, {receiver.evidence} ("
    assert any(message.startswith(line) for message in caplog.messages)
    assert "jane.doe" not in caplog.text + str(caught.value)
