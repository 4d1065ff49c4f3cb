"""Delivery of messages in batches against a fake endpoint: every message once, or a doubt about one batch."""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import (
    CredentialsError,
    DeliveryInDoubtError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.ledger.resolution import Outcome, resolve
from liveramp_provider.core.transports import events as transport_module
from liveramp_provider.core.transports.events import MAX_BATCH_BYTES, EventsEndpoint, EventsTransport, batches
from liveramp_provider.testing import EventsFault as Fault
from liveramp_provider.testing import FakeEventsEndpoint
from tests.core.pipeline import told
from tests.deliveries import Delivering, sealed_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "vip-IDENTIFY_2026-11-20.jsonl"
IDS = [f"id-{number:02}" for number in range(30)]
PLACE = "liveintent-events://vip"


def content(padding: str = "") -> bytes:
    """Thirty messages, one a line."""
    lines = [
        {
            "type": "identify",
            "messageId": one,
            "userId": f"member {one}",
            "timestamp": "2026-11-21T04:59:59.999Z",
            "traits": {"vip": True} | ({"note": padding} if padding else {}),
        }
        for one in IDS
    ]
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Tries follow each other at once; how long they would have waited."""
    waits: list[float] = []
    monkeypatch.setattr(transport_module, "sleep", waits.append)
    return waits


@pytest.fixture
def fake() -> Iterator[FakeEventsEndpoint]:
    with FakeEventsEndpoint() as running:
        yield running


def endpoint_of(fake: FakeEventsEndpoint) -> EventsEndpoint:
    return EventsEndpoint(url=f"{fake.url}{fake.path}", headers=tuple(fake.headers.items()))


def delivering_to(fake: FakeEventsEndpoint, tmp_path: Path, text: bytes = b"", **changes: Any) -> Delivering:
    facts = {"slot": "IDENTIFY", "name": NAME, "header": ("message",)}
    file = sealed_file(tmp_path / NAME, text or content(), **facts)
    way = EventsTransport(**{"connect": partial(endpoint_of, fake), "batch_size": 10, **changes})
    return Delivering(file, tmp_path / "ledger" / "ledger.sqlite", PLACE, way)


@pytest.fixture
def delivering(fake: FakeEventsEndpoint, tmp_path: Path) -> Delivering:
    return delivering_to(fake, tmp_path)


def arrived(fake: FakeEventsEndpoint) -> list[str]:
    return [message["messageId"] for message in fake.messages]


def test_delivers(delivering: Delivering, fake: FakeEventsEndpoint) -> None:
    """Every message arrives in order, in batches of one size, and a rerun sends nothing."""
    receipt = delivering.deliver()
    again = delivering.deliver()
    assert arrived(fake) == IDS
    assert [size for size, _ in fake.batches] == [10, 10, 10]
    assert (receipt.evidence, again.sent_now, fake.calls["Batch"], fake.repeated) == ("E6", False, 3, 0)


def test_the_same_batches_at_every_try(tmp_path: Path) -> None:
    """Batches and their ids hang on nothing but the sealed bytes and the size of a batch, and differ among them."""
    ids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with FakeEventsEndpoint() as fake:
            delivering_to(fake, tmp_path / name).deliver()
            ids.append([batch for _, batch in fake.batches])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_large_messages_make_smaller_batches(fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """A batch is as large as Segment takes, to the byte, and no larger; no message is lost on the way."""
    delivering_to(fake, tmp_path, content("x" * 31_000), batch_size=2_500).deliver()
    assert arrived(fake) == IDS
    assert [size for size, _ in fake.batches] == [16, 14]
    line = b"y" * 50_000
    (tmp_path / "lines").write_bytes(b"\n".join([line] * 9 + [b"z" * (MAX_BATCH_BYTES - 12 - 9 * 50_001 - 1)]) + b"\n")
    assert [len(batch) for batch in batches(tmp_path / "lines", size=100, after=0)] == [10]
    assert [len(batch) for batch in batches(tmp_path / "lines", size=4, after=8)] == [2]
    (tmp_path / "full").write_bytes(b"\n".join([line] * 18 + [b""]) + b"w" * 49_980 + b"\n")
    assert [len(batch) for batch in batches(tmp_path / "full", size=100, after=0)] == [9, 9, 1]
    assert list(batches(tmp_path / "lines", size=4, after=10)) == []


def test_check(fake: FakeEventsEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    """Preflight sends nothing, and says what it cannot know."""
    caplog.set_level(logging.INFO)
    EventsTransport(connect=partial(endpoint_of, fake), batch_size=10).check(PLACE)
    assert "only a message can try it" in caplog.text
    assert not fake.calls


# Faults. Whatever happens, every message counts once in the end, or a person is asked.


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("after", [0, 2])
def test_a_receiver_that_asks_for_patience(
    after: int, times: int, resend: bool, fake: FakeEventsEndpoint, tmp_path: Path, slept: list[float]
) -> None:
    """What was plainly not taken is sent again after the time it says, by this try or the next; nothing comes twice."""
    fake.misbehave(Fault.PATIENCE, times, after=after)
    assert delivering_to(fake, tmp_path, resend=resend).tried() == "E6"
    assert (arrived(fake), fake.repeated, fake.calls["Batch"]) == (IDS, 0, 3 + times)
    assert slept[0] == 2


def test_much_patience(delivering: Delivering, fake: FakeEventsEndpoint, slept: list[float]) -> None:
    """A long wait is left to the task's next try, which goes on with the first batch that was not acknowledged."""
    fake.misbehave(Fault.MUCH_PATIENCE, after=1)
    with pytest.raises(TransportError, match="3600 seconds"):
        delivering.deliver()
    assert (slept, delivering.recorded().state, delivering.recorded().temp_path) == ([], State.INTENT, "10/0")
    assert delivering.deliver().evidence == "E6"
    assert (arrived(fake), fake.repeated, fake.calls["Batch"]) == (IDS, 0, 4)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    ("fault", "taken"),
    [
        (Fault.HANGS_UP, 0),
        (Fault.LOST_ANSWER, 10),
        (Fault.LATE_ERROR, 10),
        (Fault.INTERNAL_ERROR, 0),
        (Fault.OVERLOADED, 0),
    ],
)
def test_a_lost_answer_stops(
    fault: Fault, taken: int, after: int, delivering: Delivering, fake: FakeEventsEndpoint
) -> None:
    """A batch that may have been taken is in doubt, which says how many messages, and stays so; nothing goes on."""
    fake.misbehave(fault, after=after)
    words = f"the answer to 10 messages after the first {10 * after} was lost, and nobody can know whether LiveRamp has"
    with pytest.raises(DeliveryInDoubtError, match=words):
        delivering.deliver()
    with pytest.raises(DeliveryInDoubtError):
        delivering.deliver()
    assert (len(arrived(fake)), fake.calls["Batch"]) == (10 * after + taken, after + 1)


@pytest.mark.parametrize("times", [1, 9])
@pytest.mark.parametrize("fault", [Fault.HANGS_UP, Fault.LOST_ANSWER, Fault.LATE_ERROR, Fault.INTERNAL_ERROR])
def test_a_lost_answer_is_sent_again(fault: Fault, times: int, fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """With `on_doubt: resend` a batch goes out again under the same ids, and a receiver that knows them has it once."""
    fake.misbehave(fault, times, after=1)
    assert delivering_to(fake, tmp_path, resend=True).tried() == "E6"
    assert (arrived(fake), len(fake.messages)) == (IDS, 30)
    assert fake.repeated == (10 * times if fault in (Fault.LOST_ANSWER, Fault.LATE_ERROR) else 0)


def test_retry_after_of_a_server_that_is_overloaded(
    fake: FakeEventsEndpoint, tmp_path: Path, slept: list[float]
) -> None:
    """A 503 may hide anything, but how long it asks to wait is heeded."""
    fake.misbehave(Fault.OVERLOADED)
    assert delivering_to(fake, tmp_path, resend=True).tried() == "E6"
    assert slept == [7]


def test_patience_after_a_lost_answer(fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """That a batch was refused later does not unsay that it may have been taken before."""
    delivering = delivering_to(fake, tmp_path, resend=True)
    fake.misbehave(Fault.LOST_ANSWER)
    fake.misbehave(Fault.MUCH_PATIENCE)
    with pytest.raises(TransportError):
        delivering.deliver()
    assert (delivering.recorded().state, delivering.recorded().temp_path) == (State.INTENT, "0/10")
    assert delivering.tried() == "E6"
    assert (arrived(fake), fake.repeated) == (IDS, 10)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.DENIED, CredentialsError), (Fault.UNREADABLE, ReceiverRefusedError), (Fault.MOVED, RemoteFolderError)],
)
def test_a_plain_no(
    fault: Fault, error: type[LiveRampError], after: int, delivering: Delivering, fake: FakeEventsEndpoint
) -> None:
    """A refusal is not tried again by itself and leaves no doubt; the next try goes on with that batch."""
    fake.misbehave(fault, after=after)
    with pytest.raises(error):
        delivering.deliver()
    assert fake.calls["Batch"] == after + 1
    assert delivering.recorded().state is (State.INTENT if after else State.SEALED)
    assert delivering.deliver().evidence == "E6"
    assert (arrived(fake), fake.repeated) == (IDS, 0)


@pytest.mark.parametrize(
    ("changes", "path", "error"),
    [({"X-Api-Key": "another"}, "/v1/batch", CredentialsError), ({}, "/v2/batch", RemoteFolderError)],
)
def test_wrong_settings(
    changes: dict[str, str], path: str, error: type[LiveRampError], fake: FakeEventsEndpoint, tmp_path: Path
) -> None:
    """A wrong key and a wrong address are for a person who edits the connection."""
    wrong = EventsEndpoint(url=f"{fake.url}{path}", headers=tuple((fake.headers | changes).items()))
    with pytest.raises(error):
        delivering_to(fake, tmp_path, connect=lambda: wrong).deliver()
    assert (fake.messages, fake.calls.total()) == ([], 1)


def test_nobody_there(tmp_path: Path) -> None:
    """An endpoint that cannot be reached has taken nothing, so nothing is in doubt."""
    with FakeEventsEndpoint() as fake:
        gone = endpoint_of(fake)
    delivering = delivering_to(fake, tmp_path, connect=lambda: gone)
    with pytest.raises(TransportError, match="cannot be reached"):
        delivering.deliver()
    assert delivering.recorded().state is State.SEALED


def test_a_batch_that_is_too_large_for_it(fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """What the receiver says is too large is for a person, with the key to change; with it changed, it goes on."""
    delivering = delivering_to(fake, tmp_path, content("x" * 31_000), batch_size=16)
    real, transport_module.MAX_BATCH_BYTES = MAX_BATCH_BYTES, 2 * MAX_BATCH_BYTES
    try:
        with pytest.raises(ReceiverRefusedError, match="Lower batch_size"):
            replace(delivering, transport=replace(delivering.transport, batch_size=20)).deliver()  # type: ignore[type-var]
    finally:
        transport_module.MAX_BATCH_BYTES = real
    assert delivering.deliver().evidence == "E6"
    assert arrived(fake) == IDS


def test_another_batch_size_in_between(fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """A changed size of batches neither sends a message twice nor leaves one out."""
    fake.misbehave(Fault.DENIED, after=2)
    assert delivering_to(fake, tmp_path).tried() == "CredentialsError"
    assert delivering_to(fake, tmp_path, batch_size=7).tried() == "E6"
    assert ([size for size, _ in fake.batches], arrived(fake), fake.repeated) == ([10, 10, 7, 3], IDS, 0)


def test_a_file_that_was_built_anew(delivering: Delivering, fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """Other bytes are never sent after the first part of a file."""
    fake.misbehave(Fault.DENIED, after=1)
    assert delivering.tried() == "CredentialsError"
    other = delivering_to(fake, tmp_path, content("new"))
    with pytest.raises(DeliveryInDoubtError, match="built anew"):
        other.deliver()
    assert len(arrived(fake)) == 10


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_doubt_is_closed_by_a_person(outcome: Outcome, delivering: Delivering, fake: FakeEventsEndpoint) -> None:
    """Who looked says that it is there, and nothing is sent; or that it is not, and all is, under the same ids."""
    fake.misbehave(Fault.LOST_ANSWER, after=1)
    assert delivering.tried() == "DeliveryInDoubtError"
    resolve(delivering.ledger, delivering.recorded().delivery_id, outcome, why="asked LiveIntent", who="tests")
    delivered = outcome is Outcome.DELIVERED
    assert delivering.tried() == ("P" if delivered else "E6")
    assert (len(arrived(fake)), fake.repeated) == ((20, 0) if delivered else (30, 20))


def deliver_and_die(fake_url: str, headers: dict[str, str], delivering: Delivering, *, at: int, after: bool) -> None:
    """In a process of its own: kill -9 before or after the batch number `at`."""
    real, count = EventsEndpoint.post, iter(range(at + 1))

    def deadly(self: EventsEndpoint, batch: Any) -> None:
        last = next(count) == at
        if not last or after:
            real(self, batch)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    EventsEndpoint.post = deadly  # type: ignore[method-assign]
    endpoint = EventsEndpoint(url=fake_url, headers=tuple(headers.items()))
    replace(delivering, transport=replace(delivering.transport, connect=lambda: endpoint)).deliver()  # type: ignore[type-var]


@pytest.mark.parametrize("resend", [False, True])
@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("after", [False, True])
def test_kill(after: bool, at: int, resend: bool, fake: FakeEventsEndpoint, tmp_path: Path) -> None:
    """A worker that is killed at any batch leaves a doubt about that one, or has it sent again under the same ids."""
    delivering = delivering_to(fake, tmp_path, resend=resend)
    child = get_context("fork").Process(
        target=deliver_and_die,
        args=(f"{fake.url}{fake.path}", fake.headers, delivering),
        kwargs={"at": at, "after": after},
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert delivering.tried() == ("E6" if resend else "DeliveryInDoubtError")
    there = 30 if resend else 10 * (at + after)
    assert (len(arrived(fake)), fake.repeated) == (there, 10 if resend and after else 0)


@pytest.mark.parametrize("fault", [Fault.HANGS_UP, Fault.LOST_ANSWER, Fault.DENIED, Fault.UNREADABLE])
def test_secrets(
    fault: Fault, delivering: Delivering, fake: FakeEventsEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a key nor anything of a message is in an error, the log or the ledger."""
    caplog.set_level(logging.DEBUG)
    fake.misbehave(fault, after=1)
    with pytest.raises(LiveRampError) as error:
        delivering.deliver()
    said = told(error.value) + repr(delivering.transport) + repr(endpoint_of(fake)) + caplog.text
    said += delivering.ledger_file.read_bytes().decode("latin-1")
    assert not [secret for secret in (*fake.headers.values(), "member id", *IDS) if secret in said]
