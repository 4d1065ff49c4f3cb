"""Several values of a trait: in a stated order, each once, as many as asked for; against plain Python."""

from __future__ import annotations

import logging
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import AsOf
from liveramp_provider.core.errors import DataError
from tests.core.pipeline import told
from tests.core.trait_steps import audience_of, from_source, known, profiles_of, table

ROWS = {
    "id": ["a", "a", "a", "b", "stranger", "stranger"],
    "email": ["2@x.de", " 1@x.de", "3@x.de", "9@x.de", "7@x.de", "8@x.de"],
    "seen": [date(2026, 1, 2), date(2026, 1, 1), date(2026, 1, 3), None, None, None],
}


def test_the_default_set_up(tmp_path: Path) -> None:
    """Without traits, a profile is the key alone, in byte order."""
    profiles, rows = profiles_of(audience_of(tmp_path, ["b", "a", "ä", "B"]), tmp_path)
    assert rows == [{"member_id": key} for key in ("B", "a", "b", "ä")]
    assert (profiles.traits, profiles.cut, profiles.members) == ((), {}, 4)


@pytest.mark.parametrize(
    ("keep", "most", "emails"),
    [
        ("first", 1, ["1@x.de"]),
        ("last", 1, ["3@x.de"]),
        ("first", 2, ["1@x.de", "2@x.de"]),
        ("last", 2, ["2@x.de", "3@x.de"]),
        ("all", 3, ["1@x.de", "2@x.de", "3@x.de"]),
        ("last", 5, ["1@x.de", "2@x.de", "3@x.de", None, None]),
    ],
)
def test_keep(tmp_path: Path, keep: str, most: int, emails: list[str | None]) -> None:
    """The first or the last n values are kept, in their order, and become columns of their own."""
    step = from_source(table(tmp_path / "t.parquet", ROWS), "email", keep=keep, max_per_member=most, order_by="seen")
    profiles, rows = profiles_of(audience_of(tmp_path, ["b", "a"], step), tmp_path)
    names = ["email", *(f"email{number}" for number in range(2, most + 1))]
    assert profiles.traits == tuple(names)
    assert [row[names[0]].strip() for row in rows] == [emails[0], "9@x.de"]
    assert [rows[0][name] for name in names[1:]] == emails[1:]
    assert [rows[1][name] for name in names[1:]] == [None] * (most - 1)
    cut = 3 - sum(1 for email in emails if email)
    assert profiles.cut == ({"email": cut} if cut else {})


def test_what_is_cut_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how many values of which trait were left out."""
    caplog.set_level(logging.INFO)
    step = from_source(table(tmp_path / "t.parquet", ROWS), "email", keep="first", max_per_member=2, order_by="seen")
    known(tmp_path, ["a", "b"], step)
    assert "2 members, 2 traits from 1 steps, 1 of email cut off (" in caplog.text


def test_more_than_promised(tmp_path: Path) -> None:
    """Members with more values than `max_per_member` are counted, and no value is quoted."""
    step = from_source(table(tmp_path / "t.parquet", ROWS), "email", max_per_member=2)
    with pytest.raises(DataError, match="traits source 1: 1 members have more than 2 values of email") as caught:
        known(tmp_path, ["a", "b"], step)
    assert "x.de" not in told(caught.value)


def test_repeated_rows_where_one_was_promised(tmp_path: Path) -> None:
    """Without a word on several values, a source has one row a member, even if they say the same."""
    step = from_source(table(tmp_path / "t.parquet", {"id": ["a", "a"], "tier": ["x", "x"]}), "tier")
    with pytest.raises(
        DataError, match="traits source 1: 1 members have more than one row by id; a trait has one value"
    ):
        known(tmp_path, ["a"], step)


@pytest.mark.parametrize("keep", ["first", "last"])
def test_no_order(tmp_path: Path, keep: str) -> None:
    """First and last of several rows mean nothing without an order, and nobody guesses one."""
    step = from_source(table(tmp_path / "t.parquet", ROWS), "email", keep=keep, max_per_member=2)
    with pytest.raises(DataError, match=f"1 members have more than one row by id, and nothing says which is {keep}"):
        known(tmp_path, ["a", "b"], step)


@pytest.mark.parametrize(
    ("keep", "most", "phones"),
    [("first", 2, ["3", "1"]), ("last", 2, ["1", "2"]), ("first", 1, ["3"]), ("all", 3, ["3", "1", "2"])],
)
def test_lists_are_in_order_by_themselves(tmp_path: Path, keep: str, most: int, phones: list[str]) -> None:
    """Values of a list column keep the order of the list, blank ones left out and equal ones once."""
    lists = [["3", " ", "1", None, "3", "null", "2"], None, []]
    source = table(tmp_path / "t.parquet", {"id": ["a", "b", "c"], "phone": lists})
    rows = known(tmp_path, ["a", "b", "c"], from_source(source, "phone", keep=keep, max_per_member=most))
    names = ["phone", "phone2", "phone3"][:most]
    assert [[row[name] for name in names] for row in rows] == [phones, [None] * most, [None] * most]


def test_a_list_of_one(tmp_path: Path) -> None:
    """A list column needs no more words where nobody has several values; else members are counted."""
    source = table(tmp_path / "t.parquet", {"id": ["a", "b"], "n": [[7, 7], [8]], "tier": ["x", "y"]})
    assert known(tmp_path, ["a", "b"], from_source(source, "n", "tier")) == [
        {"member_id": "a", "n": "7", "tier": "x"},
        {"member_id": "b", "n": "8", "tier": "y"},
    ]
    several = table(tmp_path / "several.parquet", {"id": ["a", "b"], "n": [[7, 6, 5], [1, 2]]})
    with pytest.raises(DataError, match="2 members have more than 1 value of n"):
        known(tmp_path, ["a", "b"], from_source(several, "n"))


def test_every_trait_by_itself(tmp_path: Path) -> None:
    """The last value of each trait may stand in different rows; a blank one is none."""
    rows = {"id": ["a", "a"], "tier": ["gold", ""], "visits": [3, 4], "seen": ["2026-01-01", "2026-01-02"]}
    step = from_source(table(tmp_path / "t.parquet", rows), "tier", "visits", keep="last", order_by="seen")
    profiles, found = profiles_of(audience_of(tmp_path, ["a"], step), tmp_path)
    assert found == [{"member_id": "a", "tier": "gold", "visits": 4}]
    assert profiles.cut == {"visits": 1}


def test_types_stay(tmp_path: Path) -> None:
    """Where a member has one value it keeps its type; of several, all are text as people write it."""
    moment = pa.scalar(1_700_000_000_000_000, pa.timestamp("us", "UTC"))
    columns = {
        "id": pa.array(["a"]),
        "n": pa.array([7], pa.int32()),
        "share": pa.array([0.5]),
        "price": pa.array([Decimal("1.50")]),
        "vip": pa.array([True]),
        "day": pa.array([date(2026, 1, 1)]),
        "at": pa.array([moment]),
    }
    source = table(tmp_path / "t.parquet", pa.table(columns))
    traits = [name for name in columns if name != "id"]
    for keep in ("all", "first"):
        (row,) = known(tmp_path, ["a"], from_source(source, *traits, keep=keep))
        assert {name: type(row[name]) for name in traits[:-1]} == {
            "n": int, "share": float, "price": Decimal, "vip": bool, "day": date,
        }  # fmt: skip
        assert row["at"] == moment.as_py()
    (row,) = known(tmp_path, ["a"], from_source(source, *traits, max_per_member=2))
    assert [row[name] for name in traits[:-1]] == ["7", "0.5", "1.5", "true", "2026-01-01"]


def test_several_sources(tmp_path: Path) -> None:
    """Sources are joined one after the other, and errors name the one that is wrong, counted from 1."""
    first = from_source(table(tmp_path / "1.parquet", {"id": ["a", "c"], "x": [1, 3]}), "x")
    second = from_source(table(tmp_path / "2.parquet", {"id": ["b", "a"], "y": ["B", "A"]}), "y")
    assert known(tmp_path, ["a", "b"], first, second) == [
        {"member_id": "a", "x": 1, "y": "A"},
        {"member_id": "b", "x": None, "y": "B"},
    ]
    wrong = from_source(table(tmp_path / "3.parquet", {"id": ["a", "a"], "z": [1, 2]}), "z")
    with pytest.raises(DataError, match=r"^traits source 3: "):
        known(tmp_path, ["a", "b"], first, second, wrong)


def test_traits_of_any_name(tmp_path: Path) -> None:
    """A trait may be called like anything that enrichment uses inside."""
    names = ["value", "text", "number", "total", "place", "order", "position", "occurrence", "rows", "rank", "snapshot"]
    columns = {
        "id": ["a", "a", "b"],
        "seen": [2, 1, 1],
        "day": ["2026-01-01"] * 3,
        **{name: [f"new {name}", name, name] for name in names},
    }
    source = table(tmp_path / "t.parquet", columns)
    rows = known(tmp_path, ["a"], from_source(source, *names, max_per_member=2, keep="first", order_by="seen"))
    assert [(rows[0][name], rows[0][f"{name}2"]) for name in names] == [(name, f"new {name}") for name in names]
    (tmp_path / "other").mkdir()
    only = table(tmp_path / "b.parquet", {name: cells[2:] for name, cells in columns.items()})
    (row,) = known(tmp_path / "other", ["b"], from_source(only, *names, as_of=AsOf(valid_from="day")))
    assert [row[name] for name in names] == names


Row = tuple[str, str | list[str | None] | None, int | None]


def collected(rows: list[Row], most: int, keep: str) -> dict[str, list[str]]:
    """The plain reading: of every key the values in order of (order, place in the list, value), each once."""
    found: dict[str, list[str]] = {}
    placed = [
        (key, (order is not None, order or 0), place, (value or "").strip())
        for key, cell, order in rows
        for place, value in enumerate(cell if isinstance(cell, list) else [cell])
    ]
    for key, _, _, value in sorted(placed, key=lambda one: (one[1], one[2], one[3].encode())):
        if value and value not in found.setdefault(key, []):
            found[key].append(value)
    return {key: values[:most] if keep == "first" else values[-most:] for key, values in found.items()}


words = st.sampled_from(["", " ", "a", " a", "B", "ä", "10", "9", None])
orders = st.none() | st.integers(0, 2)
single = st.lists(st.tuples(st.sampled_from("xyz"), words, orders), max_size=12)
lists = st.lists(st.tuples(st.sampled_from("xyz"), st.lists(words, max_size=4), orders), max_size=8)


@settings(max_examples=15)
@given(rows=single | lists, most=st.integers(1, 4), keep=st.sampled_from(["first", "last"]))
@example(rows=[("x", "a", 2), ("x", "B", 1), ("x", "a", None)], most=1, keep="last")
def test_like_the_plain_reading(rows: list[Row], most: int, keep: str) -> None:
    """For any rows and lists, the values and their order are those of the plain reading, and the rest is counted."""
    kind = pa.list_(pa.string()) if any(isinstance(cell, list) for _, cell, _ in rows) else pa.string()
    columns = {
        "id": pa.array([key for key, _, _ in rows], pa.string()),
        "v": pa.array([cell for _, cell, _ in rows], kind),
        "order": pa.array([order for _, _, order in rows], pa.int64()),
    }
    with tempfile.TemporaryDirectory() as folder:
        source = table(Path(folder) / "t.parquet", columns)
        step = from_source(source, "v", max_per_member=most, keep=keep, order_by="order")
        profiles, found = profiles_of(audience_of(Path(folder), ["x", "y", "z"], step), Path(folder), threads=1)
    got: dict[Any, list[str]] = {
        row.pop("member_id"): [value.strip() for value in row.values() if value is not None] for row in found
    }
    expected = collected(rows, most, keep)
    assert got == {key: expected.get(key, []) for key in "xyz"}
    everything = collected(rows, 99, "first")
    assert sum(profiles.cut.values()) == sum(len(values) for values in everything.values()) - sum(
        map(len, got.values())
    )
