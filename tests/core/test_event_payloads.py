"""Events in Segment's form: one JSON text a row, which says what an independent reading says."""

from __future__ import annotations

import hashlib
import json
import math
import string
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveramp_provider.core.destinations.event_payloads import Event, Message, payload
from liveramp_provider.core.snake_case import snake_case

TIMESTAMP = "2026-11-21T00:00:00Z"
ENGINE = ibis.duckdb.connect()


def event(message: Message = Message.IDENTIFY, **changes: Any) -> Event:
    facts = {"audience_key": "vip", "timestamp": TIMESTAMP, "delivery": "d1", **changes}
    return Event(message=message, **facts)


def payloads(rows: dict[str, list[Any]], event: Event, *, member: bool = True) -> list[Any]:
    table = ENGINE.create_table("rows", pa.table(rows), overwrite=True)
    texts = ENGINE.to_pyarrow(table.select(it=payload(table, event, member=ibis.literal(member))))["it"].to_pylist()
    return [json.loads(text, parse_constant=pytest.fail) for text in texts]


def message_id(member: str, message: str = "identify", way: str = "in") -> str:
    return hashlib.sha256(f"v1|d1|{message}|{way}|{member}".encode()).hexdigest()


PEOPLE = {"member_id": ["C1", "C2"], "mail": ["ann@example.com", None], "spent": [2.5, math.nan], "age": [41, None]}
TRAITS = {"email": "mail", "ltv": "spent", "age": "age"}
ANN = {"email": "ann@example.com", "ltv": 2.5, "age": 41}


@pytest.mark.parametrize(
    ("message", "own"),
    [
        ("identify", {"traits": {**ANN, "vip": True}}),
        ("track", {"event": "Audience Entered", "properties": {**ANN, "audience_key": "vip", "vip": True}}),
        ("page", {"name": "Home", "properties": {**ANN, "vip": True}}),
        ("screen", {"name": "Home", "properties": {**ANN, "vip": True}}),
        ("group", {"groupId": "g1", "traits": {**ANN, "vip": True}}),
    ],
)
def test_every_message(message: str, own: dict[str, Any]) -> None:
    """Each message has Segment's common fields and its own, and carries the membership by the audience's name."""
    name = {"name": "Home"} if message in ("page", "screen") else {"group_id": "g1"} if message == "group" else {}
    first, _ = payloads(PEOPLE, event(Message(message), traits=TRAITS, **name))
    common = {"type": message, "messageId": message_id("C1", message), "userId": "C1", "timestamp": TIMESTAMP}
    assert first == common | own


def test_what_has_no_value_is_left_out() -> None:
    """A missing trait has no key, and neither has a number that JSON cannot write."""
    _, second = payloads(PEOPLE, event(traits=TRAITS))
    assert second["traits"] == {"vip": True}


@pytest.mark.parametrize(("message", "told"), [("identify", {"vip": False}), ("track", "Audience Exited")])
def test_who_left(message: str, told: Any) -> None:
    """Somebody who left is told by `false`, and by another event; never under the id of the entry."""
    (left,) = payloads({"member_id": ["C1"]}, event(Message(message)), member=False)
    assert told == (left["event"] if message == "track" else left["traits"])
    assert left["messageId"] == message_id("C1", message, "out")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=5))
def test_any_text(people: list[tuple[str, str]]) -> None:
    """Whatever stands in a value, a payload is one JSON text, and reading it gives the value back."""
    people = [(f"{key}".replace("\0", ""), value.replace("\0", "")) for key, value in people]
    rows = {"member_id": [key for key, _ in people], "mail": [value for _, value in people]}
    read = payloads(rows, event(traits={"email": "mail"}))
    assert [(one["userId"], one["traits"]["email"], one["messageId"]) for one in read] == [
        (key, value, message_id(key)) for key, value in people
    ]


@given(st.text())
def test_snake_case(name: str) -> None:
    """A name becomes lower-case words joined by one `_`, or nothing; twice is the same as once."""
    words = snake_case(name)
    assert set(words) <= {*string.ascii_lowercase, *string.digits, "_"}
    assert all(words.split("_")) or not words
    assert snake_case(words) == words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("High-Value Customers", "high_value_customers"),
        ("  VIPs & friends (US) ", "vips_friends_us"),
        ("high_value", "high_value"),
        ("Café 24h", "cafe_24h"),
        ("高", ""),
    ],
)
def test_names(name: str, expected: str) -> None:
    """What parts words becomes one `_`; what has no ASCII form is not there."""
    assert snake_case(name) == expected
