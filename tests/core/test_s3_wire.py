"""What goes over the wire to S3: a stretch of a file that is read, and read again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest

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
