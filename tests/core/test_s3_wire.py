"""What goes over the wire to S3: a stretch of a file that is read, and read again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.hooks import HierarchicalEmitter

from liveramp_provider.core.ledger import Claim, Ledger
from liveramp_provider.core.progress import Progress
from liveramp_provider.core.transports.s3_wire import Body, Stretch, Tries
from tests.deliveries import sealed_file

CONTENT = bytes(range(100))


@dataclass
class Wire:
    """Forty bytes from the middle of a file, on their way."""

    claim: Claim
    progress: Progress
    stretch: Stretch


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    file = sealed_file(tmp_path / "sealed", CONTENT)
    claim = Ledger.in_file(tmp_path / "ledger.sqlite").claim(file, folder="s3://drop/vip", holder="run 1")
    progress = Progress(what="deliver", unit="bytes", total=100)
    return Wire(claim, progress, Stretch(file.path, 30, 40, claim=claim, progress=progress))


@pytest.mark.parametrize(
    ("offset", "whence", "place"), [(5, io.SEEK_SET, 5), (3, io.SEEK_CUR, 13), (-4, io.SEEK_END, 36)]
)
def test_every_way_to_a_place(offset: int, whence: int, place: int, wire: Wire) -> None:
    """From the beginning, from where one is, and from the end, a stretch is its own bytes and no others."""
    assert wire.stretch.read(10) == CONTENT[30:40]
    assert wire.stretch.seek(offset, whence) == place
    assert wire.stretch.read() == CONTENT[30 + place : 70]
    assert wire.stretch.read() == b""


def test_progress_is_that_of_the_file(wire: Wire) -> None:
    """What is told of a large file counts the parts before, and goes back when a part is sent again."""
    for _ in range(2):
        wire.stretch.seek(0)
        assert wire.stretch.read(15) == CONTENT[30:45]
        assert wire.progress.done == 45


def test_what_was_read(wire: Wire) -> None:
    """A body may have been sent when all of it was read, and not before."""
    body = Body(wire.stretch)
    told = [body.was_read]
    for size in (39, 1):
        body.read(size)
        told.append(body.was_read)
    body.seek(0)
    assert [*told, body.was_read] == [False, False, True, False]


def test_a_short_read_renews_nothing(wire: Wire) -> None:
    """The ledger is told that the work goes on every half minute, not at every byte."""
    before = wire.claim.delivery
    assert wire.stretch.read() == CONTENT[30:70]
    assert wire.claim.delivery is before


def test_nothing_is_unanswered_before_it_was_asked() -> None:
    """What was never sent cannot have come through."""
    assert not Tries().unanswered


def test_its_file_is_closed_with_it(wire: Wire) -> None:
    """A body that is done with holds no file open."""
    with Body(wire.stretch) as body:
        assert body.read() == CONTENT[30:70]
    assert wire.stretch._file.closed


# Which requests may have come through.


@dataclass
class Request:
    """What botocore sends."""

    body: object


def answer(status: int, code: str = "") -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}}


def tried(*requests: tuple[object, dict[str, Any] | None], call: str = "PutObject") -> Tries:
    """The tries after `requests`, each a body and its answer, were sent and answered."""
    client: Any = SimpleNamespace(meta=SimpleNamespace(events=HierarchicalEmitter()))
    tries = Tries()
    with tries.watched(client):
        for body, told in requests:
            client.meta.events.emit(f"before-send.s3.{call}", request=Request(body))
            assert tries.unanswered or call == "UploadPart"
            client.meta.events.emit(f"response-received.s3.{call}", parsed_response=told)
    now = tries.unanswered
    client.meta.events.emit("response-received.s3.PutObject", parsed_response=None)
    assert tries.unanswered is now  # watched no more
    return tries


@pytest.mark.parametrize("call", ["PutObject", "CompleteMultipartUpload"])
@pytest.mark.parametrize(
    ("told", "unanswered"),
    [
        ([answer(200)], False),
        ([answer(412, "PreconditionFailed")], False),
        ([answer(499, "Strange")], False),
        ([answer(500, "InternalError")], True),
        ([answer(503, "ServiceUnavailable")], True),
        ([answer(503, "SlowDown")], False),
        ([answer(501, "NotImplemented")], False),
        ([None], True),
        ([answer(500, "InternalError"), answer(200)], True),
        ([None, answer(200)], True),
        ([None, answer(503, "SlowDown")], True),
        ([answer(503, "SlowDown"), answer(500, "InternalError")], True),
        ([answer(503, "SlowDown"), answer(200)], False),
    ],
)
def test_which_answers_leave_it_open(told: list[dict[str, Any] | None], unanswered: bool, call: str) -> None:
    """A plain answer settles its own try; a failure of S3, or none at all, leaves open whether the object is there."""
    assert tried(*((b"<parts/>", one) for one in told), call=call).unanswered is unanswered


@pytest.mark.parametrize(("read", "unanswered"), [(0, False), (39, False), (40, True)])
def test_a_body_that_broke_off(read: int, unanswered: bool, wire: Wire) -> None:
    """S3 makes an object of all bytes or of none, so without an answer it depends on whether all were sent."""
    body = Body(wire.stretch)
    body.read(read)
    assert tried((body, None)).unanswered is unanswered


def test_a_part_makes_no_object() -> None:
    """An answer to a part that is lost leaves nothing open."""
    assert not tried((b"", None), call="UploadPart").unanswered
