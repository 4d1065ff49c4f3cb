"""Audience Manager's files, day by day to a real OpenSSH server: every day the receiver knows who is in what.

The receiver of these tests reads by the published form alone, and keeps what it was told.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import Suppression
from liveramp_provider.core.bases import bases_at
from liveramp_provider.core.errors import OutOfOrderError, StaleBaseError, TransportError
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED, Acceptance, Guard
from liveramp_provider.core.ledger import Ledger, Outcome, State, recorded, resolve
from liveramp_provider.core.parts import following
from liveramp_provider.core.pipeline.build import build, rebuild
from liveramp_provider.core.pipeline.deliver import deliver
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import DAY, audience, parquet, people_file, workspace
from tests.core.test_destination_audience_manager import KINDS, SEGMENTS, audience_manager, segment_files
from tests.deliveries import way_to
from tests.plain_segments import State as Known
from tests.plain_segments import applied, check_control, membership, read

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import Receipt, SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.transports import Transport
    from tests.servers import OpenSshServer

People = dict[str, dict[str, object]]


@dataclass
class Reader:
    """A receiver: a folder, and what it knows by the files that it has read there, each once, as they came."""

    folder: Path
    known: dict[str, Known] = field(default_factory=lambda: {dpid: {} for dpid in KINDS})
    came: dict[str, bytes] = field(default_factory=dict)
    controls: list[str] = field(default_factory=list)

    def take(self) -> None:
        """Read what is new, and take it away."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            assert path.name not in self.came, "a name twice"
            if path.suffix == ".info":
                check_control(path.name, path.read_bytes(), self.came)
                self.controls.append(path.name)
            else:
                file = read(path.name, path.read_bytes())
                self.known[file.dpid] = applied(self.known[file.dpid], file)
            self.came[path.name] = path.read_bytes()
            path.unlink()

    @property
    def modes(self) -> list[str]:
        """Of all files so far, whether each was full or iter."""
        return [name.split("_")[4] for name in self.came if name not in self.controls]


@dataclass
class Sending:
    """An audience that is delivered day by day, as its tasks do it."""

    home: Path
    transport: Transport
    receiver: Reader
    segments: Mapping[str, str] = field(default_factory=lambda: SEGMENTS)
    opted_out: Sequence[str] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    slots: Sequence[str] = ("20914",)

    @property
    def ledger_file(self) -> Path:
        return self.home / "ledger.sqlite"

    def audience(self, people: People) -> Audience:
        """As it is with these people and opt-outs."""
        traits = {name: name for name in (*self.segments, *KINDS.values())}
        source = people_file(self.home / "people.parquet", people, list(traits))
        opt_outs = parquet(self.home / "opt_outs.parquet", {"key": list(self.opted_out) or ["nobody"]})
        made = audience(
            members=source,
            traits=traits,
            traits_from=source,
            files=[],
            suppression=Suppression(source=opt_outs, key="key"),
        )
        files = [replace(file, sync="iter") for file in segment_files(self.segments) if file.slot in self.slots]
        there = audience_manager(*files, path=str(self.receiver.folder), min_members=1, max_shrink_percent=None)
        return replace(made, destinations=(replace(there, **self.changes),))

    def build(self, people: People, day: date, *, revision: int = 1) -> tuple[Audience, list[SealedFile]]:
        """As the build task does it."""
        made, here = self.audience(people), workspace(self.home / "staging")
        Ledger.in_file(self.ledger_file)  # made where it is missing
        profiles = enrich(made, day, extract(made, day, workspace=here), workspace=here)
        (there,) = made.destinations
        bases = bases_at(made, there, day, (self.ledger_file, here.staging), revision=revision)
        return made, list(build(made, there, day, profiles, workspace=here, revision=revision, bases=bases))

    def deliver(self, made: Audience, file: SealedFile, *, acceptance: Acceptance = NOTHING_ACCEPTED) -> Receipt:
        """As the deliver task does it: the main file, and what follows it."""
        here, ledger = workspace(self.home / "staging"), Ledger.in_file(self.ledger_file)
        (there,) = made.destinations
        if ledger.may_change(file):
            installation = (self.ledger_file, here.staging) if file.base else None
            bases = bases_at(made, there, file.day, installation, revision=file.revision)
            file = rebuild(made, there, file, workspace=here, bases=bases)
        why = "lost" if file.revision > 1 else ""
        send = partial(
            deliver,
            destination=there,
            transport=self.transport,
            ledger=ledger,
            holder="run",
            why=why,
            acceptance=acceptance,
        )
        receipt = send(file)
        delivery = ledger.find(receipt.delivery_id)
        assert delivery is not None
        for one in following(file, delivery, there, workspace=here):
            send(one)
        return receipt

    def send(self, people: People, day: date, **build: Any) -> None:
        """A day from beginning to end, and the receiver reads it."""
        made, files = self.build(people, day, **build)
        for file in files:
            self.deliver(made, file)
        self.receiver.take()

    def expected(self, people: People) -> dict[str, Known]:
        """What the receiver should know of these people, in plain words."""
        left = {key: person for key, person in people.items() if key not in self.opted_out}
        of_all = {dpid: membership(left, self.segments, trait=KINDS[dpid], dpid=dpid) for dpid in KINDS}
        return {dpid: known if dpid in self.slots else {} for dpid, known in of_all.items()}


@pytest.fixture
def sending(server: OpenSshServer, folder: Path, tmp_path: Path) -> Sending:
    home = tmp_path / "home"
    home.mkdir()
    return Sending(home, way_to(server), Reader(folder))


def device(number: int) -> str:
    return f"{number:08x}-fb9c-47ad-9866-0794d394c912"


def some_people(rng: random.Random, count: int = 40) -> People:
    """People with flags and devices, some of whom share one."""
    return {
        f"C{number}": {
            "high_value": rng.choice(["1", "0", None]),
            "lapsed": rng.choice(["yes", "no"]),
            "gaid": device(rng.randrange(count)) if rng.random() < 0.8 else None,
            "idfa": device(1000 + number),
        }
        for number in range(count)
        if rng.random() < 0.9
    }


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def test_a_week(sending: Sending) -> None:
    """One full file, then what has changed; every day the receiver knows who is in which segment, opt-outs included."""
    rng = random.Random(5)
    sending.slots = tuple(KINDS)
    people = some_people(rng)
    for number in range(5):
        people = people if number == 3 else some_people(rng)  # a day on which nothing changes but the opt-outs
        sending.opted_out = {2: ["C1", "C2"], 3: ["C1"], 4: ["C2"]}.get(number, [])
        sending.send(people, day(number))
        assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes == ["full"] * 2 + ["iter"] * 8
    assert sending.receiver.known != {dpid: {} for dpid in KINDS}


def test_a_retry_and_a_rerun(sending: Sending, server: OpenSshServer) -> None:
    """A try that finds nobody sends nothing; the next one sends the day once; and a rerun sends nothing more."""
    rng = random.Random(6)
    sending.send(some_people(rng), day(0))
    people, working = some_people(rng), sending.transport
    made, files = sending.build(people, day(1))
    sending.transport = way_to(server, port=1)
    with pytest.raises(TransportError):
        sending.deliver(made, files[0])
    sending.transport = working
    for _ in range(2):
        made, files = sending.build(people, day(1))
        receipts = [sending.deliver(made, file) for file in files]
        sending.receiver.take()
    assert [receipt.sent_now for receipt in receipts] == [False]
    assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes == ["full", "iter"]


def test_a_day_that_was_built_too_early(sending: Sending) -> None:
    """What was made before the day before arrived is not sent as it is, but made anew on top of it."""
    rng = random.Random(7)
    first, second, third = (some_people(rng) for _ in range(3))
    sending.send(first, day(0))
    made_second, second_files = sending.build(second, day(1))
    made_third, third_files = sending.build(third, day(2))
    for file in second_files:
        sending.deliver(made_second, file)
    sending.receiver.take()
    with pytest.raises(StaleBaseError, match="was delivered since"):
        deliver(
            third_files[0],
            made_third.destinations[0],
            transport=sending.transport,
            ledger=Ledger.in_file(sending.ledger_file),
            holder="by hand",
        )
    sending.audience(third)  # the list of opt-outs and the people as they are on the third day
    for file in third_files:
        sending.deliver(made_third, file)
    sending.receiver.take()
    assert sending.receiver.known == sending.expected(third)
    assert sending.receiver.modes == ["full", "iter", "iter"]


def test_an_older_day(sending: Sending) -> None:
    """An older day after a newer one is refused; where somebody accepts it, it goes in full, and so does the next."""
    rng = random.Random(8)
    first, second, third = (some_people(rng) for _ in range(3))
    sending.send(second, day(1))
    made, files = sending.build(first, day(0))
    for file in files:
        with pytest.raises(OutOfOrderError):
            sending.deliver(made, file)
    assert list(sending.receiver.folder.iterdir()) == []
    for file in files:
        sending.deliver(made, file, acceptance=Acceptance(guards=frozenset([Guard.BACKDATED]), why="agreed"))
    sending.receiver.take()
    assert sending.receiver.known == sending.expected(first)
    sending.send(third, day(2))
    assert sending.receiver.known == sending.expected(third)
    assert set(sending.receiver.modes) == {"full"}


@pytest.mark.parametrize("outcome", [None, Outcome.DELIVERED, Outcome.NOT_DELIVERED], ids=str)
def test_after_a_day_in_doubt(outcome: Outcome | None, sending: Sending) -> None:
    """After a day of which nobody knows whether it arrived the next one is full, and right whatever became of it."""
    rng = random.Random(9)
    sending.send(some_people(rng), day(0))
    _, (file,) = sending.build(some_people(rng), day(1))
    ledger = Ledger.in_file(sending.ledger_file)
    claim = ledger.claim(file, folder=str(sending.receiver.folder), holder="run")
    claim.advance(State.UPLOADING, temp_path=f"{sending.receiver.folder}/.tmp")
    claim.advance(State.VERIFIED)
    claim.advance(State.INTENT)
    claim.doubt("it cannot be known")
    if outcome is not None:
        resolve(ledger, claim.delivery.delivery_id, outcome, why="looked", who="me")
    if outcome is not Outcome.NOT_DELIVERED:  # it was there, whatever is known by then
        (sending.receiver.folder / file.name).write_bytes(file.path.read_bytes())
        sending.receiver.take()
    people = some_people(rng)
    sending.send(people, day(2))
    assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes[-1] == ("full" if outcome is None else "iter")
    people = some_people(rng)
    sending.send(people, day(3))
    assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes[-1] == "iter"


def test_a_doubt_that_was_closed_late(sending: Sending) -> None:
    """A day that somebody closes as delivered after the next one went out is nothing to build on."""
    rng = random.Random(10)
    sending.send(some_people(rng), day(0))
    _, (file,) = sending.build(some_people(rng), day(1))
    ledger = Ledger.in_file(sending.ledger_file)
    claim = ledger.claim(file, folder=str(sending.receiver.folder), holder="run")
    claim.doubt("it cannot be known")
    sending.send(some_people(rng), day(2))
    resolve(ledger, claim.delivery.delivery_id, Outcome.DELIVERED, why="looked", who="me")
    people = some_people(rng)
    sending.send(people, day(3))
    assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes == ["full", "full", "full"]


def test_a_day_sent_again(sending: Sending) -> None:
    """A revision brings everything, for what was lost may have been anything; the next day builds on it."""
    rng = random.Random(11)
    sending.send(some_people(rng), day(0))
    people = some_people(rng)
    made, files = sending.build(people, day(1))
    for file in files:
        sending.deliver(made, file)
    for path in sending.receiver.folder.iterdir():
        path.unlink()  # lost at the receiver
    sending.send(people, day(1), revision=2)
    assert sending.receiver.known == sending.expected(people)
    people = some_people(rng)
    sending.send(people, day(2))
    assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes == ["full", "full", "iter"]


def test_without_what_was_staged(sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """Where the day before is not staged any more the file is full, and a warning says so."""
    rng = random.Random(12)
    sending.send(some_people(rng), day(0))
    for path in (sending.home / "staging" / "vip" / str(day(0))).glob("snapshot-*"):
        for one in path.iterdir():
            one.unlink()
        path.rmdir()
    people = some_people(rng)
    caplog.clear()
    sending.send(people, day(1))
    assert sending.receiver.known == sending.expected(people)
    assert set(sending.receiver.modes) == {"full"}
    assert "is not staged any more" in caplog.text


def test_another_mapping(sending: Sending) -> None:
    """A segment that is mapped anew, under another value or not any more reaches the receiver with the next changes."""
    people = some_people(random.Random(13))
    sending.segments = {"high_value": "101"}
    sending.send(people, day(0))
    for number, segments in enumerate(
        ({"high_value": "101", "lapsed": "102"}, {"lapsed": "102", "high_value": "BEST"}, {"lapsed": "102"}), 1
    ):
        sending.segments = segments
        sending.send(people, day(number))
        assert sending.receiver.known == sending.expected(people)
    assert sending.receiver.modes == ["full", "iter", "iter", "iter"]


def test_the_order_of_segments_changes_nothing(sending: Sending) -> None:
    """Segments in another order are the same segments: nobody is sent."""
    people = some_people(random.Random(14))
    sending.send(people, day(0))
    sending.segments = dict(reversed(SEGMENTS.items()))
    _, files = sending.build(people, day(1))
    assert [file.rows for file in files] == [0]


DEVICES = st.sampled_from([device(number) for number in range(4)] + [device(2).upper(), "", "x"])
PERSON = st.fixed_dictionaries(
    {"high_value": st.sampled_from(["1", "0", ""]), "lapsed": st.sampled_from(["yes", "no"]), "gaid": DEVICES}
)
CROWD = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), PERSON, min_size=1)
OPT_OUTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.tuples(CROWD, OPT_OUTS), min_size=2, max_size=3))
def test_any_days(days: list[tuple[People, list[str]]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever enters, leaves, swaps devices or opts out: full and changes, one after the other, are the membership."""
    known: Known = {}
    home = tmp_path_factory.mktemp("home")
    sending = Sending(home, cast("Transport", None), Reader(home))  # nothing is sent

    for number, (people, opted_out) in enumerate(days):
        sending.opted_out = opted_out
        _, (file,) = sending.build(people, day(number))
        received = read(file.name, file.path.read_bytes())
        known = applied(known, received)
        assert known == sending.expected(people)["20914"]
        assert file.rows == len(received.rows)
        assert (received.sync == "iter") is (number > 0)
        if number:
            steps = file.waterfall
            assert steps["devices_and_former"] - steps["unchanged"] == steps["rows"] == file.rows
            assert steps["devices"] == len(known)
        claim = Ledger.in_file(sending.ledger_file).claim(file, folder="/uploads", holder="run")
        claim.advance(State.INTENT)
        claim.advance(State.COMMITTED, committed_at=claim.delivery.updated_at, evidence="E1")
    assert len(recorded(sending.ledger_file)) == len(days)
