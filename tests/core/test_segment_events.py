"""Membership in Segment's event log: of any day, whatever order, files and copies its events come in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import Schedule, SegmentEventsSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.pipeline.extract import extract
from tests import plain_events
from tests.core.event_log import DAY, NOON, VIP, Log, entered, exited, identify, midnight_after, track
from tests.core.pipeline import audience, told, workspace

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

CANARY = "canary@example.com"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with open_engine(EngineSettings(), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
def log(tmp_path: Path, engine: Backend) -> Log:
    return Log(tmp_path, engine)


# Any day of any log.

# Both zones have a midnight among these, and New York loses an hour on the 8th.
DAYS = [date(2026, 3, 7), date(2026, 3, 8), date(2026, 3, 9)]
MIDNIGHTS = [midnight_after(day, zone) for day in DAYS for zone in ("America/New_York", "Asia/Tokyo")]
MOMENTS = st.one_of(
    st.builds(
        lambda midnight, millis: midnight + timedelta(milliseconds=millis),
        st.sampled_from(MIDNIGHTS),
        st.sampled_from([-1, 0, 1]),
    ),
    st.datetimes(datetime(2026, 3, 7), datetime(2026, 3, 10), timezones=st.just(UTC)),  # noqa: DTZ001
)
OFFSETS = st.sampled_from(["Z", "+00:00", "-05:00", "+09:00", "+0530", "-08"])
TRAITS = ["email", "$Mobile", 'it\'s "odd"/a.b~c']
VALUES = st.sampled_from(["a@example.com", "x", "", 'quo"te', "null", 1, 15551234567, True, None])


@st.composite
def timestamps(draw: st.DrawFn, moment: datetime) -> str:
    """A moment as it may be written, with any offset, and a fraction only where it needs one."""
    offset = draw(OFFSETS)
    if offset == "Z":
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    zone = datetime.strptime(offset.ljust(5, "0").replace(":", ""), "%z").tzinfo
    return moment.astimezone(zone).replace(tzinfo=None).isoformat() + offset


@st.composite
def said(draw: st.DrawFn) -> dict[str, Any]:
    """What an event says, not yet of whom and when."""
    key = draw(st.sampled_from([VIP, VIP, "other"]))
    about = draw(st.dictionaries(st.sampled_from(TRAITS), VALUES, max_size=2))
    match draw(st.sampled_from(["moved", "moved", "identify", "identify", "order", "page"])):
        case "moved":
            event = draw(st.sampled_from(["Audience Entered", "Audience Exited"]))
            return {"type": "track", "event": event, "properties": {"audience_key": key, **about}}
        case "identify":
            answer = draw(st.sampled_from([{}, {key: True}, {key: False}, {key: "true"}, {key: "false"}, {key: None}]))
            return {"type": "identify", "traits": {**answer, **about}}
        case "order":
            return {"type": "track", "event": "Order Completed", "properties": {"audience_key": key, **about}}
        case _:
            return {"type": "page", "properties": about}


IDS = ["a", "B", "b-1", "Z", "é", "~", "10", "9", "m", "n", "0", "AA"]
USERS = st.sampled_from([{"userId": "u1", "anonymousId": "a1"}, {"userId": 7}, {"anonymousId": "a1"}, {"userId": "é"}])


@st.composite
def logs(draw: st.DrawFn) -> list[list[str]]:
    """A log in files: events of several people in any order, some of them sent again with another time."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=6, unique=True))
    lines = []
    for id in ids:
        event = {"messageId": id, **draw(USERS), **draw(said())}
        moments = draw(st.lists(MOMENTS, min_size=1, max_size=2))
        lines += [json.dumps({**event, "timestamp": draw(timestamps(moment))}) for moment in moments]
    lines = draw(st.permutations(lines))
    cut = draw(st.integers(0, len(lines)))
    return [lines[:cut], lines[cut:]]


def written(engine: Backend, folder: str, files: list[list[str]]) -> Log:
    log = Log(Path(folder), engine)
    for name, lines in zip(("1.jsonl", "2.jsonl.gz"), files, strict=True):
        log.write(*lines, name=name)
    return log


PROPERTY = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
SOME_DAY = {"day": st.sampled_from(DAYS), "zone": st.sampled_from(["America/New_York", "Asia/Tokyo"])}


@PROPERTY
@given(files=logs(), **SOME_DAY)
def test_members_of_any_day(engine: Backend, files: list[list[str]], day: date, zone: str) -> None:
    """On any day, in New York and in Tokyo, the members are those whom a reading line by line finds."""
    lines = [*files[0], *files[1]]
    with tempfile.TemporaryDirectory() as folder:
        log = written(engine, folder, files).write(entered("u0", "2026-01-01T00:00:00Z", "first"), name="0.jsonl")
        expected = {"u0"} | plain_events.members(lines, VIP, midnight_after(day, zone))
        assert log.members(day, zone=zone) == sorted(expected)


@PROPERTY
@given(files=logs(), **SOME_DAY)
def test_traits_of_any_day(engine: Backend, files: list[list[str]], day: date, zone: str) -> None:
    """On any day, in New York and in Tokyo, everybody has the values that a reading line by line finds."""
    expected = plain_events.traits([*files[0], *files[1]], TRAITS, midnight_after(day, zone))
    with tempfile.TemporaryDirectory() as folder:
        found = written(engine, folder, files).traits(*TRAITS, day=day, zone=zone)
    assert found == {user: {name: told_as(said.get(name)) for name in TRAITS} for user, said in expected.items()}


def told_as(value: object) -> str | None:
    return "true" if value is True else None if value is None else str(value)


@pytest.mark.parametrize(
    ("zone", "day", "last", "first"),
    [
        ("America/New_York", date(2026, 3, 8), "2026-03-09T03:59:59.999Z", "2026-03-09T04:00:00Z"),
        ("America/New_York", date(2026, 3, 7), "2026-03-07T23:59:59.999-05:00", "2026-03-08T00:00:00-05:00"),
        ("America/New_York", date(2026, 11, 1), "2026-11-01T23:59:59.999999-05:00", "2026-11-02T05:00:00.000Z"),
        ("America/New_York", date(2026, 10, 31), "2026-11-01T03:59:59.9999999Z", "2026-11-01T00:00:00-0400"),
        ("Asia/Tokyo", date(2026, 3, 8), "2026-03-08T14:59:59.999Z", "2026-03-09T00:00:00+09"),
        ("Pacific/Auckland", date(2026, 4, 5), "2026-04-05T23:59:59.999+12:00", "2026-04-05T12:00:00Z"),
    ],
)
def test_the_end_of_a_day(engine: Backend, tmp_path: Path, zone: str, day: date, last: str, first: str) -> None:
    """A day ends at midnight in the audience's zone, also when clocks change: what happens then is of the next."""
    Log(tmp_path, engine).write(entered("last", last, "m1"), entered("first", first, "m2"))
    assert members_of(tmp_path, day, zone) == 1
    assert members_of(tmp_path, day + timedelta(days=1), zone) == 2


def members_of(folder: Path, day: date, zone: str = "UTC") -> int:
    source = SegmentEventsSource(path=f"{folder}/*.jsonl", audience_key=VIP)
    made = audience(members=source, traits={}, traits_from=[], files=[], key="userId")
    made = replace(made, schedule=Schedule(cron="0 3 * * *", timezone=zone))
    return extract(made, day, workspace=workspace(folder / "staging")).members


def test_a_week_is_rebuilt_from_the_log(log: Log) -> None:
    """Whatever comes later, a past day has the members and traits that it had on its own night."""
    week = [date(2026, 11, day) for day in range(16, 23)]
    night_by_night = []
    for number, day in enumerate(week):
        log.write(
            entered(f"u{number}", f"{day}T10:00:00Z", f"in {number}"),
            exited(f"u{number - 2}", f"{day}T11:00:00Z", f"out {number}"),
            identify("u0", {"tier": number}, f"{day}T12:00:00Z", f"tier {number}"),
            name=f"{day}.jsonl.gz",
        )
        night_by_night.append((log.members(day), log.traits("tier", day=day)))
    assert [(log.members(day), log.traits("tier", day=day)) for day in week] == night_by_night
    assert night_by_night[6] == (["u5", "u6"], {"u0": {"tier": "6"}})


# What counts, and in which order.


def test_a_copy_counts_at_its_first_time(log: Log) -> None:
    """An event that Segment got twice, with times worked out apart, does not undo what happened in between."""
    log.write(
        entered("a", "2026-11-20T10:00:00Z", "m1"),
        exited("a", "2026-11-20T11:00:00Z", "m2"),
        entered("a", "2026-11-20T12:00:00Z", "m1"),
        entered("b", "2026-11-20T23:59:59Z", "m3"),
        entered("b", "2026-11-21T00:00:01Z", "m3"),
    )
    assert log.members() == ["b"]


def test_copies_that_differ(log: Log) -> None:
    """Copies of one time that say different things give the same members whichever comes first in the log."""
    for copies in ([entered("a"), exited("a")], [exited("a"), entered("a")]):
        assert log.write(*copies, entered("b", NOON, "m2")).members() == ["b"]


def test_at_one_time_the_greater_message_id_is_later(log: Log) -> None:
    """Events of the same moment are in the byte order of their messageId, as in every other reading of the log."""
    log.write(exited("a", NOON, "B"), entered("a", NOON, "a"), entered("b", NOON, "10"), exited("b", NOON, "9"))
    assert log.members() == ["a"]


def test_one_message_id_of_two_people(log: Log) -> None:
    """Segment tells several ids of a person the same thing; none of them is taken for a copy of another."""
    log.write(entered("a", NOON, "m1"), entered("b", NOON, "m1"))
    assert log.members() == ["a", "b"]


@pytest.mark.parametrize(
    ("answer", "inside"), [(True, True), ("true", True), (False, False), ("false", False), (None, False)]
)
def test_identify_says_it_too(log: Log, answer: object, inside: bool) -> None:
    """Membership as a trait is true or false, as such or as text; a trait taken back means that they are out."""
    log.write(entered("a", "2026-11-20T10:00:00Z", "m1"), entered("b", NOON, "m2"))
    log.write(identify("a", {VIP: answer}, NOON, "m3"), name="2.jsonl")
    assert log.members() == (["a", "b"] if inside else ["b"])


def test_a_trait_that_is_no_audience(log: Log) -> None:
    """Where the newest answer is neither true nor false, nobody is guessed in or out; the value is not shown."""
    log.write(identify("a", {VIP: CANARY}), identify("b", {VIP: 1}, NOON, "m2"), identify("c", {VIP: True}, NOON, "m3"))
    with pytest.raises(DataError, match=r"of 2 users the newest traits\.vip is neither true nor false") as caught:
        log.members()
    assert CANARY not in told(caught.value)


def test_who_an_event_is_about(log: Log) -> None:
    """It is the user id, or the anonymous id where that is blank; numbers and spaces around make no other person."""
    anonymous = {"anonymousId": "anon", **entered(" null ", NOON, "m1")}
    known = {"anonymousId": "other", **entered(7, NOON, "m2")}
    log.write(anonymous, known, entered("7 ", NOON, "m3"), entered(8.0, NOON, "m4"))
    log.write(exited("8", "2026-11-20T13:00:00Z", "m5"), name="2.jsonl")
    assert log.members() == ["7", "anon"]


def test_events_about_nobody_are_counted(engine: Backend, tmp_path: Path) -> None:
    """An event without any user is a row without a key, so that extract says how many there are."""
    nobody = [entered(None, NOON, "m1"), entered({"id": 1}, NOON, "m2"), entered(" ", NOON, "m2")]
    Log(tmp_path, engine).write(*nobody, entered("a", NOON, "m3"))
    source = SegmentEventsSource(path=f"{tmp_path}/*.jsonl", audience_key=VIP)
    made = audience(members=source, traits={}, traits_from=[], files=[], key="userId")
    membership = extract(made, DAY, workspace=workspace(tmp_path / "staging"))
    assert (membership.rows_read, membership.blank_keys, membership.members) == (3, 2, 1)


def test_other_events_do_not_matter(log: Log) -> None:
    """Events of other kinds and audiences are passed over, whatever they look like."""
    log.write(
        entered("a"),
        {**entered("f", 5), "type": "page"},
        {**identify("g", {VIP: True}, 5), "type": "group"},
        {"type": ["track"], "event": {}, "userId": [], "traits": 1, "properties": "x", "messageId": None},
        track("b", "Order Completed", None, None, audience_key=VIP),
        entered("c", None, None, key="other"),
        identify("d", None, None, None),
        identify("e", [VIP], None, None),
        {},
        "null",
        "",
    )
    assert log.members() == ["a"]


# What stops for a person.

LOST = {
    "no messageId": (entered("a", NOON, None), "1 have no messageId, 0 no timestamp"),
    "blank messageId": (entered("a", NOON, " "), "1 have no messageId, 0 no timestamp"),
    "no timestamp": (entered("a", None), "0 have no messageId, 1 no timestamp"),
    "no offset": (entered("a", "2026-11-20T12:00:00"), "0 have no messageId, 1 no timestamp"),
    "no time": (entered("a", "2026-11-20"), "0 have no messageId, 1 no timestamp"),
    "no such date": (entered("a", "2026-02-30T12:00:00Z"), "0 have no messageId, 1 no timestamp"),
    "no such offset": (entered("a", "2026-11-20T12:00:00+99:00"), "0 have no messageId, 1 no timestamp"),
    "no number of seconds": (entered("a", 1763640000), "0 have no messageId, 1 no timestamp"),
    "zero of some libraries": (entered("a", "0001-01-01T00:00:00Z"), "0 have no messageId, 1 no timestamp"),
    "nothing": (identify("a", {VIP: True}, CANARY, None), "1 have no messageId, 1 no timestamp"),
}


@pytest.mark.parametrize("name", LOST)
def test_an_event_without_its_place(log: Log, name: str) -> None:
    """An event that may be anywhere in the order stops the run, and how many there are is said."""
    event, counted = LOST[name]
    log.write(event, entered("b", NOON, "m2"))
    with pytest.raises(DataError, match=f"the log: 1 of 2 events cannot be put in order: {counted}") as caught:
        log.members()
    assert CANARY not in told(caught.value)


def test_later_faults_do_not_stop_a_past_day(log: Log) -> None:
    """An event after the day, even one without messageId, changes nothing of it."""
    log.write(entered("c", "2026-11-20T05:00:00-04:00"), entered("a"), entered("b", "2026-11-21T00:00:00Z", None))
    assert log.members() == ["a", "c"]
    assert log.watermark == "2026-11-20T12:00:00+00:00"


SPOILT = {
    "a torn line": f'{{"type": "track", "userId": "{CANARY}',
    "text": CANARY,
    "a list": f'["{CANARY}"]',
    "two on a line": f'{{"userId": "{CANARY}"}} {{}}',
    "a field twice": f'{{"userId": "{CANARY}", "userId": "b"}}',
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_line_that_is_no_event(log: Log, name: str) -> None:
    """The file is named and its content is not."""
    log.write(entered("a"), SPOILT[name], entered("b"), name="spoilt.jsonl").write(entered("c"))
    with pytest.raises(SourceError, match=r"the log: spoilt\.jsonl: a line is no JSON object") as caught:
        log.members()
    assert CANARY not in told(caught.value)


def test_an_audience_that_nobody_names(log: Log) -> None:
    """A misspelt audience key is not an empty audience: the keys that there are stand in the error, ten at most."""
    log.write(*(entered("a", NOON, f"m{number}", key=f"key{number:02}") for number in range(11)))
    named = ", ".join(f"key{number:02}" for number in range(10))
    with pytest.raises(SourceError, match=f"no event is about the audience vip. .* about {named} and more. Correct"):
        log.members()
    (log.folder / "1.jsonl").unlink()
    log.write(entered("a", key="vips"), {"type": "page", "properties": {"audience_key": "page"}})
    with pytest.raises(SourceError, match=r"There are events about vips\. Correct"):
        log.members()


def test_an_audience_before_its_first_event(log: Log, tmp_path: Path) -> None:
    """Where there are events, but none so early, the day is empty, and extract stops as for any source."""
    log.write(entered("a", "2026-11-21T00:00:00Z"), entered("b", key="other"))
    assert log.members() == []
    assert log.watermark == ""
    with pytest.raises(DataError, match="the source has no rows of 2026-11-20"):
        members_of(tmp_path, DAY)


def test_a_log_without_audiences(log: Log) -> None:
    """Nothing is there to name: no rows."""
    assert log.write(track("a", "Order Completed")).members() == []


def test_members_have_no_other_columns(log: Log) -> None:
    """Whoever asks an audience for more than its users learns what it has."""
    with pytest.raises(SourceError, match=r"no column email\. The source has: userId"):
        log.write(entered("a")).rows(["userId", "email"], audience_key=VIP, day=DAY, zone="UTC")
