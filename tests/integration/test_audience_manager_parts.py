"""Audience Manager's large files in parts, and control files: all of a day or nothing that a receiver could mistake."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.errors import DeliveryBusyError, OutOfOrderError, SealBrokenError, TransportError
from liveramp_provider.core.ledger import Ledger, recorded
from liveramp_provider.core.parts import parts_of
from liveramp_provider.core.pipeline.deliver import deliver
from liveramp_provider.testing import FakeS3
from liveramp_provider.testing.keys import pgp_keys
from tests.core.pipeline import workspace
from tests.deliveries import way_to, way_to_s3
from tests.integration.test_audience_manager import KINDS, People, Reader, Sending, day, device

if TYPE_CHECKING:
    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.transports import Transport
    from tests.servers import OpenSshServer

#: A row of these people has some 45 bytes.
SPLIT = {"split_bytes": 1000, "split_numbers": "001", "control_file": True}


@pytest.fixture
def sending(server: OpenSshServer, folder: Path, tmp_path: Path) -> Sending:
    home = tmp_path / "home"
    home.mkdir()
    return Sending(home, way_to(server), Reader(folder), changes=SPLIT)


def people(seed: int, count: int = 60) -> People:
    rng = random.Random(seed)
    return {
        f"C{number}": {
            "high_value": "1",
            "lapsed": rng.choice(["1", "0"]),
            "gaid": device(number),
            "idfa": device(1000 + number),
        }
        for number in range(count)
    }


@dataclass
class Failing:
    """A way that breaks before the file with that number, counted from 1, is sent."""

    way: Transport
    before: int
    sent: int = 0

    def check(self, folder: str) -> None:
        self.way.check(folder)

    def send(self, file: Path, claim: Claim) -> None:
        self.sent += 1
        if self.sent == self.before:
            claim.release()
            raise TransportError("it broke")
        self.way.send(file, claim)


@pytest.mark.parametrize(("numbers", "first"), [("001", "001.sync.gz"), ("-1", "-1.sync.gz")])
def test_parts_and_control_file(numbers: str, first: str, sending: Sending) -> None:
    """A large file comes in parts of whole lines, none too large, and last what says that they are all there."""
    sending.changes = SPLIT | {"split_numbers": numbers}
    sending.send(people(1), day(0))
    came = list(sending.receiver.came)
    assert came[0].endswith(f"1795219200000{first}")
    assert [name.endswith(".info") for name in came] == [False] * (len(came) - 1) + [True]
    assert len(came) == 4
    assert sending.receiver.known == sending.expected(people(1))
    rows = {one.slot: one.rows for one in recorded(sending.ledger_file)}
    assert sorted(rows) == ["20914", "20914_2", "20914_3", "20914_info"]
    assert sum(rows.values()) == 60
    assert {one.members for one in recorded(sending.ledger_file)} == {60}


def test_into_a_bucket(sending: Sending, tmp_path: Path) -> None:
    """On S3 a full file, what changes it, their parts and control files come as they do by SFTP, each object once."""

    def arrived(content: Path, key: str) -> None:
        shutil.copy(content, sending.receiver.folder / Path(key).name)

    with FakeS3(tmp_path / "s3", arrived=arrived) as s3:
        sending.transport = way_to_s3(s3)
        sending.changes = SPLIT | {"path": f"s3://{s3.bucket_name}/drop"}
        for number in range(3):
            sending.send(people(number), day(number))
            assert sending.receiver.known == sending.expected(people(number))
        assert {version.number for version in s3.writes()} == {1}
    assert set(sending.receiver.modes) == {"full", "iter"}
    assert len(sending.receiver.controls) == 3


def test_encrypted(sending: Sending, tmp_path: Path) -> None:
    """Parts are encrypted one by one, and what changes a file that was sent encrypted as well."""
    keys = pgp_keys(tmp_path / "keys")
    drop = sending.receiver.folder / "drop"
    encryption = Encryption(recipients=(keys.fingerprint,), public_key=keys.folder / "public.asc", extension="gpg")
    sending.changes = SPLIT | {"control_file": False, "encryption": encryption, "path": str(drop)}
    for number in range(3):
        drop.mkdir()
        made, (file,) = sending.build(people(number), day(number))
        sending.deliver(made, file)
        for path in sorted(drop.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            assert path.suffix == ".gpg"
            (sending.receiver.folder / path.stem).write_bytes(keys.decrypt(path)[0])
        shutil.rmtree(drop)
        sending.receiver.take()
        assert sending.receiver.known == sending.expected(people(number))
    assert set(sending.receiver.modes) == {"full", "iter"}


def test_what_fits_is_one_file(sending: Sending) -> None:
    """A file that is not too large has no number, and its control file follows it as well."""
    sending.changes = SPLIT | {"split_bytes": 10_000}
    sending.slots = tuple(KINDS)
    sending.send(people(1), day(0))
    assert list(sending.receiver.came) == [
        f"ftp_1234_{dpid}_Acme_full_1795219200000.{ending}" for dpid in KINDS for ending in ("sync.gz", "info")
    ]


@pytest.mark.parametrize("before", [1, 2, 3, 4])
def test_a_try_that_breaks(before: int, sending: Sending) -> None:
    """Wherever a try breaks off, the next one sends what is missing and nothing twice; the control file comes last."""
    made, (file,) = sending.build(people(1), day(0))
    working = sending.transport
    sending.transport = Failing(working, before)
    with pytest.raises(TransportError):
        sending.deliver(made, file)
    assert len(list(sending.receiver.folder.iterdir())) == before - 1
    sending.receiver.take()
    assert sending.receiver.controls == []
    sending.transport = working
    sending.deliver(made, file)
    sending.deliver(made, file)
    sending.receiver.take()
    assert sending.receiver.known == sending.expected(people(1))
    assert len(sending.receiver.controls) == 1


def test_who_opts_out_between_two_parts(sending: Sending) -> None:
    """Before the first part an opt-out makes all anew; after it the parts of one file go on, and none of another."""
    _, (file,) = sending.build(people(1), day(0))
    sending.opted_out = ["C59"]
    made = sending.audience(people(1))
    working = sending.transport
    sending.transport = Failing(working, 2)
    with pytest.raises(TransportError):
        sending.deliver(made, file)
    sending.opted_out = ["C58", "C59"]
    made = sending.audience(people(1))
    sending.transport = working
    sending.deliver(made, file)  # as a retry would: with what the build task returned
    sending.receiver.take()
    sending.opted_out = ["C59"]
    assert sending.receiver.known == sending.expected(people(1))
    sending.opted_out = ["C58", "C59"]
    sending.send(people(1), day(1))
    assert sending.receiver.known == sending.expected(people(1))
    assert sending.receiver.modes[-1] == "iter"


def test_after_half_a_day(sending: Sending) -> None:
    """After a day of which only some parts came the next one is full, and then no part of the old day is sent."""
    sending.send(people(1), day(0))
    made, (file,) = sending.build(people(2, count=90), day(1))
    assert len(file.parts) > 0
    working = sending.transport
    sending.transport = Failing(working, 2)
    with pytest.raises(TransportError):
        sending.deliver(made, file)
    sending.transport = working
    sending.receiver.take()
    sending.changes = SPLIT | {"split_bytes": 10_000}  # so that the old day's second part has no history of its own
    sending.send(people(3), day(2))
    assert sending.receiver.known == sending.expected(people(3))
    assert sending.receiver.modes[-1] == "full"
    with pytest.raises(OutOfOrderError):
        sending.deliver(made, file)
    sending.receiver.take()
    assert sending.receiver.known == sending.expected(people(3))


def test_nothing_before_its_time(sending: Sending) -> None:
    """A part or a control file that is sent by hand before what goes before it is refused."""
    made, (file,) = sending.build(people(1), day(0))
    here, ledger = workspace(sending.home / "staging"), Ledger.in_file(sending.ledger_file)
    _, second, third = parts_of(file, here.staging)
    for one in (second, third):
        with pytest.raises(DeliveryBusyError, match="which goes before it, is not delivered"):
            deliver(one, made.destinations[0], transport=sending.transport, ledger=ledger, holder="by hand")
    assert list(sending.receiver.folder.iterdir()) == []


def test_a_day_in_parts_sent_again(sending: Sending) -> None:
    """A revision may have more parts than the first, and has a control file of its own."""
    sending.changes = SPLIT | {"split_bytes": 10_000}
    sending.send(people(1), day(0))
    sending.changes = SPLIT
    sending.send(people(1), day(0), revision=2)
    assert sending.receiver.known == sending.expected(people(1))
    assert len(sending.receiver.controls) == 2


def test_parts_without_a_control_file(sending: Sending) -> None:
    """A receiver that wants to be told nothing gets the parts alone."""
    sending.changes = SPLIT | {"control_file": False}
    sending.send(people(1), day(0))
    assert [name.endswith(".gz") for name in sending.receiver.came] == [True] * 3
    assert sending.receiver.known == sending.expected(people(1))


def unstage(sending: Sending, slot: str) -> None:
    """Remove what was sealed of it."""
    for path in (sending.home / "staging" / "vip" / str(day(0))).glob(f"build-*-{slot}-*/*"):
        path.unlink()


def test_a_part_that_is_gone(sending: Sending) -> None:
    """Where a part is not staged any more nothing of the day that is left is sent, and the way out is said."""
    made, (file,) = sending.build(people(1), day(0))
    unstage(sending, "20914_2")
    with pytest.raises(SealBrokenError) as met:
        sending.deliver(made, file)
    assert str(met.value) == (
        f"{file.name}: 20914_2 is not staged any more, and what is left of the day cannot be sent without it. "
        "If nothing of it was delivered, clear its build task; else send the day again as a revision."
    )
    assert [one.slot for one in recorded(sending.ledger_file)] == ["20914"]


def test_a_first_part_that_is_gone(sending: Sending) -> None:
    """When a try broke after the first part, and that is not staged any more, no other part is sent."""
    made, (file,) = sending.build(people(1), day(0))
    working = sending.transport
    sending.transport = Failing(working, 2)
    with pytest.raises(TransportError):
        sending.deliver(made, file)
    sending.transport = working
    unstage(sending, "20914")
    with pytest.raises(SealBrokenError, match="20914 is not staged any more"):
        sending.deliver(made, file)
    assert [one.slot for one in recorded(sending.ledger_file)] == ["20914", "20914_2"]
