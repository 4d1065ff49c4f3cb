"""Traits in Segment's event log: the newest value of each, under any name, as people write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.audience import SegmentEventsSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from tests.core.event_log import DAY, NOON, VIP, Log, entered, identify, track
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


def test_where_traits_stand(log: Log) -> None:
    """Identify events and Segment's own Track events tell of people; properties of other Track events do not."""
    log.write(
        identify("a", {"x": "identify"}),
        track("b", "Audience Entered", NOON, "m2", audience_key="any", x="entered"),
        track("c", "Audience Exited", NOON, "m3", audience_key="any", x="exited"),
        track("d", "Trait Computed", NOON, "m4", trait_key="x", x=450.0),
        track("e", "Course Clicked", NOON, "m5", x="no trait"),
        {"type": "page", "event": "Audience Entered", "properties": {"x": "no trait"}, "traits": {"x": "no trait"}},
        {"anonymousId": "g", **identify("", {"x": "anonymous"}, NOON, "m6")},
        identify(None, {"x": "nobody"}, NOON, "m7"),
    )
    assert {user: row["x"] for user, row in log.traits("x").items()} == {
        "a": "identify",
        "b": "entered",
        "c": "exited",
        "d": "450",
        "g": "anonymous",
    }
    assert log.watermark == "2026-11-20T12:00:00+00:00"


def test_the_newest_value_of_each(log: Log) -> None:
    """What a later event does not mention stays, and what it sets to null is gone."""
    log.write(
        identify("a", {"x": "old", "y": "old", "z": "old"}, "2026-11-20T10:00:00Z", "m1"),
        identify("a", {"x": "new", "y": None}, "2026-11-20T11:00:00Z", "m2"),
        identify("a", {"x": "tomorrow"}, "2026-11-21T11:00:00Z", "m3"),
    )
    assert log.traits("x", "y", "z") == {"a": {"x": "new", "y": None, "z": "old"}}


@pytest.mark.parametrize(
    "name",
    ["$Mobile", "first name", "a.b", ".", "a/b~c", "~1", "it's", 'say "x"', "$.x", "/x", "Ünï", "[0]", "*", "\\"],
)
def test_any_name(log: Log, name: str) -> None:
    """A trait is found under exactly its name, whatever signs are in it."""
    log.write(identify("u", {name: "found", "x": "other", "": "other", "a": {"b": "other", "c": "other"}}))
    assert log.traits(name) == {"u": {name: "found"}}


def test_fields_of_a_trait(log: Log) -> None:
    """A field of an address belongs to the newest address: two are never mixed."""
    log.write(
        identify("a", {"address": {"city": "Ames", "street": "1 Elm"}}, "2026-11-20T10:00:00Z", "m1"),
        identify("a", {"address": {"city": "Boone"}}, "2026-11-20T11:00:00Z", "m2"),
        identify("b", {"address": {"city": "Ames"}}, "2026-11-20T10:00:00Z", "m3"),
        identify("b", {"address": None}, "2026-11-20T11:00:00Z", "m4"),
        identify("c", {"address.city": "flat", "address": {"city": "Ames"}}, NOON, "m5"),
    )
    assert log.traits("address.city", "address.street") == {
        "a": {"address.city": "Boone", "address.street": None},
        "b": {"address.city": None, "address.street": None},
        "c": {"address.city": "flat", "address.street": None},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("02134", "02134"),
        ("1.0", "1.0"),
        ('"quoted"', '"quoted"'),
        (1, "1"),
        (1.0, "1"),
        (2.50, "2.5"),
        (1e16, "10000000000000000"),
        (15551234567, "15551234567"),
        (True, "true"),
        (["a", 1.0, "é"], ["a", "1", "é"]),
        ([], []),
    ],
)
def test_values_as_people_write_them(log: Log, value: object, text: object) -> None:
    """Numbers have no idle digits, texts no quotes, and lists are lists."""
    assert log.write(identify("a", {"x": value})).traits("x") == {"a": {"x": text}}


def test_one_list_makes_them_all_lists(log: Log, tmp_path: Path) -> None:
    """Who has one value and who has several are in one column, and the members' traits come out of it."""
    log.write(
        entered("a"),
        entered("b", NOON, "m2"),
        identify("a", {"email": ["a@example.com", None, "b@example.com"]}, NOON, "m3"),
        identify("b", {"email": "c@example.com"}, NOON, "m4"),
        identify("c", {"email": None}, NOON, "m5"),
    )
    assert {user: row["email"] for user, row in log.traits("email").items()} == {
        "a": ["a@example.com", None, "b@example.com"],
        "b": ["c@example.com"],
        "c": None,
    }


def test_an_object_is_no_value(log: Log) -> None:
    """What has fields is not put into a cell; the way out is said."""
    log.write(identify("a", {"address": {"city": CANARY}}), identify("b", {"address": [[CANARY]]}, NOON, "m2"))
    with pytest.raises(DataError, match=r"address is an object for 2 of 2 users.*as address\.<field>") as caught:
        log.traits("address")
    assert CANARY not in told(caught.value)


def test_a_trait_that_nobody_has(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """The column is there, as it is on the days when somebody has it, and the log says that it is empty."""
    assert log.write(identify("a", {"x": 1})).traits("x", "y") == {"a": {"x": "1", "y": None}}
    assert "the log: no event up to the day gives a user any y" in caplog.text
    assert log.traits("z") == {}


def test_traits_need_order_too(log: Log) -> None:
    """Which value is the newest cannot be said without time; of traits that nobody asked for, it does not matter."""
    log.write(identify("a", {"email": "a@example.com"}), identify("a", {"other": 1}, None, None))
    assert log.traits("email") == {"a": {"email": "a@example.com"}}
    log.write(identify("a", {"email": CANARY}, None, "m3"), name="2.jsonl")
    with pytest.raises(DataError, match="1 of 2 events cannot be put in order"):
        log.traits("email")


def test_names_that_differ_in_capitals(log: Log) -> None:
    """The engine would mix them up, so they are refused."""
    log.write(identify("a", {"x": 1}))
    for names in (("Email", "email"), ("userid",)):
        with pytest.raises(SourceError, match="differ in capitals only"):
            log.traits(*names)


def test_traits_reach_the_profiles(tmp_path: Path, engine: Backend) -> None:
    """Members and traits of one log are joined on the user."""
    Log(tmp_path, engine).write(entered("a"), identify("a", {"$Mobile": 15551234567}, NOON, "m2"))
    events = SegmentEventsSource(path=f"{tmp_path}/*.jsonl")
    made = audience(
        members=replace(events, audience_key=VIP),
        traits={"phone": "$Mobile"},
        traits_from=events,
        files=[],
        key="userId",
    )
    here = workspace(tmp_path / "staging")
    profiles = enrich(made, DAY, extract(made, DAY, workspace=here), workspace=here)
    rows = engine.to_pyarrow(engine.read_parquet(profiles.path)).to_pylist()
    assert rows == [{"member_id": "a", "phone": "15551234567"}]
