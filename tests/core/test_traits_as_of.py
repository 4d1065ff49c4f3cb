"""Point-in-time joins: of a slowly changing table the row that held at the end of the day, against plain Python."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveramp_provider.core.audience import AsOf, Audience, FilesSource, Membership
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.pipeline.extract import extract
from tests.core.pipeline import DAY, audience, told, workspace
from tests.core.trait_steps import audience_of, from_source, known, profiles_of, table

PERIOD = AsOf(valid_from="since", valid_to="until")
SINCE = AsOf(valid_from="since")
NEW_YORK = "America/New_York"


def tiers(
    folder: Path, rows: list[tuple[Any, ...]], *, as_of: AsOf = PERIOD, timezone: str = "UTC", day: date = DAY
) -> dict:
    """Everybody's tier on the day.

    :param rows: Key, tier, since and until.
    """
    folder.mkdir(exist_ok=True)
    columns = {name: [row[number] for row in rows] for number, name in enumerate(("id", "tier", "since", "until"))}
    source = table(folder / "tiers.parquet", columns)
    made = audience_of(folder, ["a", "b", "c"], from_source(source, "tier", as_of=as_of), timezone=timezone)
    return {row["member_id"]: row["tier"] for row in profiles_of(made, folder, day)[1]}


def days(offset: int | None) -> date | None:
    return None if offset is None else DAY + timedelta(days=offset)


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        (0, None, True),  # begins on the day itself
        (1, None, False),
        (-9, 0, False),  # ended on the day: not on it any more
        (-9, 1, True),  # the day is its last
        (-9, None, True),
        (0, 1, True),
        (0, 0, False),  # never held
    ],
)
@pytest.mark.parametrize("form", ["date", "text", "moment"])
def test_a_period(tmp_path: Path, form: str, since: int, until: int | None, holds: bool) -> None:
    """A row holds from the day it begins, included, to the day before it ends; midnights mean the same."""
    forms = {
        "date": lambda one: one,
        "text": lambda one: one and one.isoformat(),
        "moment": lambda one: one and datetime(one.year, one.month, one.day, tzinfo=UTC),
    }
    rows = [("a", "gold", forms[form](days(since)), forms[form](days(until)))]
    # A row with an end gives the column its type, where the other has none.
    rows.append(("z", "x", forms[form](days(-3)), forms[form](days(-2))))
    assert tiers(tmp_path, rows)["a"] == ("gold" if holds else None)


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (datetime(2026, 11, 21, 4, 59, 59, 999999, tzinfo=UTC), True),
        (datetime(2026, 11, 21, 5, 0, tzinfo=UTC), False),  # midnight in New York
        (datetime(2026, 11, 21, 4, 59), True),  # noqa: DTZ001 - without a zone it is UTC
        (datetime(2026, 11, 21, 5, 0), False),  # noqa: DTZ001
        (date(2026, 11, 20), True),
        (date(2026, 11, 21), False),
        ("2026-11-21T04:59:59Z", True),
        ("2026-11-21 00:00:00-05:00", False),
        ("2026-11-20 23:59:59-05", True),
        ("2026-11-21 05:00:00", False),
        (" 2026-11-20 ", True),
        ("2026-11-21", False),
        (pa.scalar(datetime(2026, 11, 21, 6, tzinfo=UTC), pa.timestamp("ns", "Asia/Tokyo")), False),
    ],
)
def test_the_end_of_the_day(tmp_path: Path, moment: Any, holds: bool) -> None:
    """The day ends at midnight in the audience's zone, to the microsecond; dates are days there."""
    since = pa.array([moment], moment.type) if isinstance(moment, pa.Scalar) else pa.array([moment])
    source = table(tmp_path / "t.parquet", {"id": ["a"], "tier": ["gold"], "since": since})
    made = audience_of(tmp_path, ["a"], from_source(source, "tier", as_of=SINCE), timezone=NEW_YORK)
    (row,) = profiles_of(made, tmp_path)[1]
    assert row["tier"] == ("gold" if holds else None)


def test_the_newest_row(tmp_path: Path) -> None:
    """Of several rows the newest that has begun counts, and if that has ended, no older one does."""
    rows = [
        ("a", "old", days(-9), days(99)),
        ("a", "new", days(-3), None),
        ("a", "next", days(1), None),
        ("b", "old", days(-9), None),
        ("b", "ended", days(-3), days(-1)),
    ]
    assert tiers(tmp_path, rows) == {"a": "new", "b": None, "c": None}


def test_without_an_end(tmp_path: Path) -> None:
    """Where no column says when a row ends, it holds until the next."""
    rows = [("a", "old", days(-9), days(-8)), ("a", "new", days(-3), days(-2)), ("b", "later", days(5), None)]
    assert tiers(tmp_path, rows, as_of=SINCE) == {"a": "new", "b": None, "c": None}


def test_every_day_has_its_own(tmp_path: Path) -> None:
    """An old day rebuilt gives the traits of that day."""
    rows = [("a", "bronze", days(-9), days(-3)), ("a", "silver", days(-3), days(0)), ("a", "gold", days(0), None)]
    found = [tiers(tmp_path, rows, day=DAY + timedelta(days=offset))["a"] for offset in (-10, -9, -4, -3, -1, 0, 50)]
    assert found == [None, "bronze", "bronze", "silver", "silver", "gold", "gold"]


def test_repeated_beginnings(tmp_path: Path) -> None:
    """Two rows of a member that begin together and both hold are counted, not chosen from."""
    rows = [
        ("a", "x", days(-1), None),
        ("a", "y", days(-1), days(9)),
        ("b", "x", days(-1), days(0)),
        ("b", "y", days(-1), None),
    ]
    with pytest.raises(
        DataError, match="traits source 1: 1 members have more than one row by id that hold since the same since"
    ):
        tiers(tmp_path, rows)
    assert tiers(tmp_path, rows[2:]) == {"a": None, "b": "y", "c": None}


def test_several_values_that_begin_together(tmp_path: Path) -> None:
    """Where a member may have several values, rows that begin together are one state of affairs."""
    rows = {
        "id": ["a"] * 4,
        "email": ["1@x.de", "2@x.de", "3@x.de", "4@x.de"],
        "since": [days(o) for o in (-9, -1, -1, 1)],
    }
    step = from_source(table(tmp_path / "t.parquet", rows), "email", as_of=SINCE, max_per_member=2)
    assert known(tmp_path, ["a"], step) == [{"member_id": "a", "email": "2@x.de", "email2": "3@x.de"}]


@pytest.mark.parametrize("bad", ["20.11.2026", "2026-02-30", "canary@example.com", "", None])
def test_unreadable_dates(tmp_path: Path, bad: str | None) -> None:
    """A beginning that is missing or no date is an error that says how many; strangers' rows do not matter."""
    rows = [
        ("a", "x", "2026-01-01", None),
        ("a", "y", bad, None),
        ("b", "x", bad, "2026-12-01"),
        ("stranger", "x", bad, ""),
    ]
    with pytest.raises(DataError, match=r"traits source 1: rows whose .* cannot be read: 2 in since\.") as caught:
        tiers(tmp_path, rows)
    assert "canary" not in told(caught.value)


def test_unreadable_ends(tmp_path: Path) -> None:
    """An end may be blank, in any spelling, but not unreadable."""
    blank = [("a", "x", "2026-01-01", " "), ("b", "y", "2026-01-01", "NULL"), ("c", "z", "2026-01-01", None)]
    assert tiers(tmp_path, blank) == {"a": "x", "b": "y", "c": "z"}
    with pytest.raises(DataError, match="cannot be read: 1 in until"):
        tiers(tmp_path / "soon", [("a", "x", "2026-01-01", "soon")])


def test_a_column_of_no_dates(tmp_path: Path) -> None:
    """A column of numbers says no day, and is not guessed at."""
    with pytest.raises(SourceError, match="traits source 1: column since is of type int64, which says no day"):
        tiers(tmp_path, [("a", "x", 1, "2026-01-01")])


def test_csv(tmp_path: Path) -> None:
    """In a CSV file, dates are text of ISO 8601."""
    (tmp_path / "t.csv").write_text(
        "id,tier,since,until\na,old,2026-01-01,\na,new,2026-11-20,2026-11-21\nb,x,2026-11-21,\n"
    )
    source = FilesSource(path=str(tmp_path / "t.csv"), format="csv", current=False)
    found = known(tmp_path, ["a", "b"], from_source(source, "tier", as_of=PERIOD))
    assert [row["tier"] for row in found] == ["new", None]


def members_as_of(source: FilesSource, as_of: AsOf) -> Audience:
    made = audience(members=source, traits={}, traits_from=(), files=[])
    return replace(made, membership=Membership(source=source, key="id", as_of=as_of))


def test_membership(tmp_path: Path) -> None:
    """Members are those whose row holds; blank and repeated keys among the rows that hold are counted."""
    columns = {
        "id": ["a", "a", "b", "c", "c", "d", None, None, "d"],
        "since": [days(o) for o in (-9, -1, 1, -9, -1, -1, -9, -8, -1)],
        "until": [days(o) for o in (-1, None, None, None, 0, None, None, -7, None)],
    }
    members = table(tmp_path / "m.parquet", columns)
    made = members_as_of(members, PERIOD)
    found = extract(made, DAY, workspace=workspace(tmp_path / "staging"))
    assert (found.members, found.rows_read, found.blank_keys, found.repeated_keys) == (2, 4, 1, 1)


def test_a_day_without_members(tmp_path: Path) -> None:
    """A day before all rows is a day that has none, and is not sealed as an empty audience."""
    members = table(tmp_path / "m.parquet", {"id": ["a"], "since": [days(1)]})
    made = members_as_of(members, SINCE)
    with pytest.raises(DataError, match="membership: the source has no rows of 2026-11-20"):
        extract(made, DAY, workspace=workspace(tmp_path / "staging"))


def held(rows: list[tuple[str, int, datetime, datetime | None]], end: datetime) -> dict[str, set[int]]:
    """The plain reading: of every key the newest rows that have begun, as far as they have not ended."""
    found = {}
    for key in {row[0] for row in rows}:
        begun = [row for row in rows if row[0] == key and row[2] < end]
        newest = max((row[2] for row in begun), default=None)
        found[key] = {row[1] for row in begun if row[2] == newest and (row[3] is None or row[3] >= end)}
    return found


moments = st.integers(-3, 3).map(lambda hours: datetime(2026, 11, 21, 5, tzinfo=UTC) + timedelta(hours=hours))
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), ZoneInfo(NEW_YORK)])
histories = st.lists(st.tuples(st.sampled_from("abc"), moments, st.none() | moments, zones), max_size=12)


@settings(max_examples=15)
@given(history=histories, as_text=st.booleans())
def test_like_the_plain_reading(history: list[tuple[str, datetime, datetime | None, Any]], as_text: bool) -> None:
    """For any history, the rows given are those of the plain reading, in whatever zone its moments are written."""
    rows = [(key, number, since, until) for number, (key, since, until, _) in enumerate(history)]

    def written(one: datetime | None, zone: Any) -> str | datetime | None:
        return one and (one.astimezone(zone).isoformat() if as_text else one)

    kind = pa.string() if as_text else pa.timestamp("us", "UTC")
    columns = {
        "id": pa.array([row[0] for row in rows], pa.string()),
        "row": pa.array([row[1] for row in rows], pa.int64()),
        "since": pa.array([written(since, zone) for _, since, _, zone in history], kind),
        "until": pa.array([written(until, zone) for _, _, until, zone in history], kind),
    }
    with tempfile.TemporaryDirectory() as folder:
        source = table(Path(folder) / "t.parquet", columns)
        step = from_source(source, "row", as_of=PERIOD, max_per_member=20)
        made = audience_of(Path(folder), ["a", "b", "c"], step, timezone=NEW_YORK)
        found = profiles_of(made, Path(folder), threads=1)[1]
    got = {row.pop("member_id"): {int(value) for value in row.values() if value is not None} for row in found}
    expected = held(rows, datetime(2026, 11, 21, 5, tzinfo=UTC))
    assert got == {key: expected.get(key, set()) for key in "abc"}
