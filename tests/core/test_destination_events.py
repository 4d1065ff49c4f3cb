"""Files of Segment's messages: one a member, which say what an independent reading says; and what may be written."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience_file import audience_from, load_audience
from liveramp_provider.core.destinations.event_messages import MAX_MESSAGE_BYTES
from liveramp_provider.core.destinations.events import Events
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.identifiers import BLANK_WORDS
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.preview import preview_files
from tests.core.pipeline import DAY, csv_of, parquet, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience

EXAMPLE = Path(__file__).parents[2] / "examples" / "audiences" / "events.yaml"
GOLDEN = Path(__file__).parent / "golden"
DESTINATION = {
    "id": "events",
    "kind": "events",
    "conn_id": "drop",
    "path": "/events",
    "message": "identify",
    "compression": "none",
    "traits": {"email": "email", "firstName": "first_name"},
}


def written(*traits: str, **changes: Any) -> dict[str, Any]:
    """An audience of these traits, delivered as messages."""
    source = {"files": {"path": "people-{snapshot_date}.parquet"}, "key": "customer_id"}
    destination = {key: value for key, value in (DESTINATION | changes).items() if value is not None}
    return {
        "audience": "vip",
        "name": "High-Value Customers",
        "schedule": {"cron": "0 0 * * *", "timezone": "America/New_York"},
        "membership": source,
        "traits": [source | {"select": {trait: trait for trait in traits}}] if traits else [],
        "destinations": [destination],
    }


def sealed_of(audience: Audience, folder: Path, day: date = DAY, revision: int = 1) -> SealedFile:
    here = workspace(folder / "staging")
    profiles = enrich(audience, day, extract(audience, day, workspace=here), workspace=here)
    (file,) = build(audience, audience.destinations[0], day, profiles, workspace=here, revision=revision)
    return file


def built(
    folder: Path, rows: Mapping[str, Sequence[object]], day: date = DAY, revision: int = 1, **changes: Any
) -> SealedFile:
    """The sealed file of people with these columns, the first of which is their key."""
    pq.write_table(pa.table(dict(rows)), folder / f"people-{day}.parquet")
    traits = [name for name in rows if name != "customer_id"]
    return sealed_of(audience_from(written(*traits, **changes), file=folder / "vip.py"), folder, day, revision)


def messages(sealed: SealedFile) -> list[dict[str, Any]]:
    text = csv_of(sealed).decode()
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.removesuffix("\n").split("\n")]


def message_id(member: str, message: str = "identify", day: str = "2026-11-20", revision: int = 1) -> str:
    return hashlib.sha256(f"v1|events|vip|{day}|{revision}|{message}|{member}".encode()).hexdigest()


PEOPLE: dict[str, list[object]] = {
    "customer_id": ["C2", 'C"1', "30", "Zoë\U0001f600"],
    "email": [" Ann@Example.com", None, "=cmd()", "n/a"],
    "first_name": ['"Ann"\nLee\\', "null", "Bo\u2028", "\u0001\U0001f642"],
}


@pytest.mark.parametrize("message", ["identify", "track"])
def test_golden_files(message: str, tmp_path: Path) -> None:
    """A file is, byte for byte, what was agreed: one message a line in the order of the member ids, named .jsonl."""
    sealed = built(tmp_path, PEOPLE, message=message)
    assert sealed.name == f"vip-{message.upper()}_2026-11-20.jsonl"
    assert csv_of(sealed) == (GOLDEN / f"events_{message}.jsonl").read_bytes()


def test_kinds_of_values(tmp_path: Path) -> None:
    """Numbers and truth stay what they are, moments are in UTC, and what JSON cannot say is left out and counted."""
    rows = {
        "customer_id": ["A", "B"],
        "ltv": [2.0, math.inf],
        "share": [0.1, math.nan],
        "spent": pa.array([Decimal("12.50"), None], pa.decimal128(20, 9)),
        "visits": [2**53 + 1, None],
        "loyal": [False, None],
        "birthday": [date(1980, 3, 1), None],
        "seen": [datetime(2026, 11, 20, 12, 0, 0, 250000, UTC), None],
    }
    sealed = built(tmp_path, rows, traits={name: name for name in rows if name != "customer_id"})
    full, empty = (one["traits"] for one in messages(sealed))
    assert full == {
        "ltv": 2,
        "share": 0.1,
        "spent": 12.5,
        "visits": 2**53 + 1,
        "loyal": False,
        "birthday": "1980-03-01",
        "seen": "2026-11-20T12:00:00.250000Z",
        "high_value_customers": True,
    }
    assert '"ltv":2,' in csv_of(sealed).decode()
    assert empty == {"high_value_customers": True}
    assert sealed.blanked == {"infinite_number": 1}


def test_default_setup(tmp_path: Path) -> None:
    """Without chosen traits the membership is all that is said."""
    (first, *_) = messages(built(tmp_path, PEOPLE, traits=None))
    assert first["traits"] == {"high_value_customers": True}


# What is neither a blank word nor a lone surrogate; control characters included.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["null", "N/A", " ", '"', "\\", "\n", "\r\n", "\u2028", "\U0001f642", "{}", '{"a":1}', "null\n", "x" * 5000]
)
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], codec="utf-8"), min_size=1, max_size=12)


def plainly_read(value: str) -> str | None:
    """A trait as a message has it, read without any of our rules."""
    outer = "".join(map(chr, [*range(0x21), 0x7F, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x202F, 0x205F]))
    inner = value.strip(f"{outer}\u2028\u2029\u3000\ufeff")
    return None if inner.lower() in BLANK_WORDS else value


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.dictionaries(KEYS.filter(lambda key: plainly_read(key) == key), TEXTS, min_size=1, max_size=6))
@pytest.mark.parametrize("message", ["identify", "track"])
def test_any_text(message: str, people: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in a value, each line is one JSON text, and reading it gives the member's own value back."""
    rows = {"customer_id": list(people), "email": list(people.values())}
    sealed = built(tmp_path_factory.mktemp("people"), rows, message=message, traits={"mail": "email"})
    read = messages(sealed)
    keys = sorted(people, key=str.encode)
    assert [(one["userId"], one["messageId"]) for one in read] == [(key, message_id(key, message)) for key in keys]
    told = [one["traits" if message == "identify" else "properties"].get("mail") for one in read]
    assert told == [plainly_read(people[key]) for key in keys]
    assert sealed.rows == sealed.members == len(people)


def test_the_same_day_again(tmp_path: Path) -> None:
    """A day says the same under the same ids whenever it is built; another day, or a revision, has ids of its own."""
    first, again = (csv_of(built(made_folder(tmp_path / name), PEOPLE)) for name in "ab")
    other_day = messages(built(made_folder(tmp_path / "c"), PEOPLE, day=date(2026, 11, 21)))
    revised = messages(built(made_folder(tmp_path / "d"), PEOPLE, revision=2))
    assert first == again
    assert [one["messageId"] for one in other_day if one["userId"] == "C2"] == [message_id("C2", day="2026-11-21")]
    assert [one["messageId"] for one in revised if one["userId"] == "C2"] == [message_id("C2", revision=2)]


def made_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("day", "moment"),
    [
        ("2026-11-20", "2026-11-21T04:59:59.999Z"),
        ("2026-07-01", "2026-07-02T03:59:59.999Z"),
        ("2026-11-01", "2026-11-02T04:59:59.999Z"),  # a day of 25 hours
    ],
)
def test_the_last_moment_of_the_day(day: str, moment: str, tmp_path: Path) -> None:
    """A message is of the last moment of its day in the audience's zone, daylight saving included."""
    assert {one["timestamp"] for one in messages(built(tmp_path, PEOPLE, day=date.fromisoformat(day)))} == {moment}


@pytest.mark.parametrize("message", ["identify", "track"])
def test_our_own_reading(message: str, tmp_path: Path) -> None:
    """Folded by the reading of Segment's event log, a file gives the members and traits of the day it was made for."""
    sealed = built(tmp_path, PEOPLE, message=message)
    (tmp_path / "log.jsonl").write_bytes(csv_of(sealed))
    log = {"path": "log.jsonl"}
    document = written() | {
        "membership": {"segment_events": log | {"audience_key": "high_value_customers"}},
        "traits": [{"segment_events": log, "select": {"email": "email", "first_name": "firstName"}}],
    }
    document["destinations"] = [DESTINATION | {"message": message}]
    again = sealed_of(audience_from(document, file=tmp_path / "again.py"), made_folder(tmp_path / "again"))
    assert csv_of(again) == csv_of(sealed)


def test_a_message_that_is_too_large(tmp_path: Path) -> None:
    """Segment takes no message of more than 32 KB: such a one is left out, and the account says so."""
    people = {"customer_id": ["A", "B"], "email": ["x", "x"]}
    bare = len(csv_of(built(made_folder(tmp_path / "bare"), people, traits={"email": "email"})).splitlines()[0])
    people["email"] = ["x" * (MAX_MESSAGE_BYTES - bare + 1), "x" * (MAX_MESSAGE_BYTES - bare) + "é"]
    sealed = built(tmp_path, people, traits={"email": "email"})
    assert [one["userId"] for one in messages(sealed)] == ["A"]
    assert sealed.waterfall == {"members": 2, "message_size": 1, "rows": 1}


def test_who_has_opted_out_by_another_name(tmp_path: Path) -> None:
    """A trait that only the message calls an e-mail is held against the opt-outs as any other."""
    parquet(tmp_path / "opt_outs.parquet", {"mail": ["BO@example.com"]})
    pq.write_table(
        pa.table({"customer_id": ["A", "B"], "email": ["", ""], "contact": ["ann@example.com", "bo@example.com"]}),
        tmp_path / f"people-{DAY}.parquet",
    )
    document = written("email", "contact", traits={"email": "contact"})
    document["suppression"] = {"files": {"path": "opt_outs.parquet"}, "email": "mail"}
    sealed = sealed_of(audience_from(document, file=tmp_path / "vip.py"), tmp_path)
    assert [one["userId"] for one in messages(sealed)] == ["A"]


def test_preview_shows_no_value(tmp_path: Path) -> None:
    """A preview has the size and shape of the messages, and no key or value of a person."""
    sealed = built(tmp_path, PEOPLE)
    audience = audience_from(written("email", "first_name"), file=tmp_path / "vip.py")
    here = workspace(tmp_path / "staging")
    profiles = enrich(audience, DAY, extract(audience, DAY, workspace=here), workspace=here)
    (shown,) = preview_files(audience, audience.destinations[0], DAY, profiles, sample_rows=4, workspace=here)
    assert (shown.header, shown.csv_bytes) == (("message",), sealed.csv_bytes)
    assert [len(row) for row in shown.sample] == [1, 1, 1, 1]
    assert not [row for (row,) in shown.sample if "Ann" in row or "C2" in row or "Zo" in row]


# The audience file.


def test_example() -> None:
    """The example is the audience it says, under its name in snake case."""
    (destination,) = load_audience(EXAMPLE).destinations
    assert isinstance(destination, Events)
    assert [(file.slot, column.header) for file in destination.files for column in file.columns] == [
        ("IDENTIFY", "userId"),
        ("IDENTIFY", "traits.email"),
        ("IDENTIFY", "traits.firstName"),
        ("IDENTIFY", "traits.high_value_customers"),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"message": None}, "destinations[0].message: is missing"),
        ({"message": "page"}, "must be identify or track"),
        ({"traits": {"email": "mail"}}, "no source gives a trait mail. Known traits: email, first_name."),
        ({"traits": {"vip": "vip"}}, "vip is the audience's own key, which is no trait"),
        ({"traits": {"High_Value_Customers": "email"}}, "is what messages say of the audience itself"),
        ({"traits": {"audience_key": "email"}, "message": "track"}, "is what messages say of the audience itself"),
        ({"traits": {"email": "email", "EMAIL": "first_name"}}, "stands twice, in other capitals"),
        ({"traits": {"e mail": "email"}}, "letters, digits and _"),
        ({"audience_key": "high value"}, "letters, digits and _"),
        ({"filename": "{audience}_{date}"}, "has no {kind}"),
        ({"upload": "direct"}, "may show the receiver half a file"),
    ],
)
def test_faults(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """What cannot be a message is said when the file is read, with its place and the way out."""
    with pytest.raises(AudienceFileError) as error:
        audience_from(written("email", "first_name", **changes), file=tmp_path / "vip.py")
    assert words in str(error.value)


def test_a_name_without_letters(tmp_path: Path) -> None:
    """An audience whose name has no snake case needs a key."""
    document = written("email", "first_name") | {"name": "高"}
    with pytest.raises(AudienceFileError, match="the audience's name has no snake_case"):
        audience_from(document, file=tmp_path / "vip.py")
    document["destinations"][0]["audience_key"] = "vips"
    assert audience_from(document, file=tmp_path / "vip.py").destinations[0].files
