"""LiveRamp's limits on one file, each at its edge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa
import pytest

from liveramp_provider.core.destination import Column, Region, SegmentColumn
from liveramp_provider.core.destinations.liveramp import REGIONS
from liveramp_provider.core.errors import DataError
from liveramp_provider.core.guards.limits import check_limits
from liveramp_provider.core.rows import Rows, add_up
from tests.core.pipeline import (
    audience,
    email_column,
    people_file,
    pii_file,
    run,
    trait_column,
    workspace,
)

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import Audience


@pytest.fixture(scope="module")
def engine() -> Iterator[Backend]:
    backend = ibis.duckdb.connect(threads=1)
    yield backend
    backend.disconnect()


class Checked:
    """A file with these columns and cells, checked."""

    def __init__(self, engine: Backend) -> None:
        self._engine = engine

    def __call__(
        self, cells: dict[str, list[str | None]], *columns: Column, region: Region = "us", count: int | None = None
    ) -> None:
        file = replace(pii_file(*columns), rules=REGIONS[region].files)
        table = ibis.memtable(pa.table({header: pa.array(cells[header], pa.string()) for header in file.headers}))
        rows = len(cells["CCID"])
        found = Rows(table=table, count=count or rows, members=rows, waterfall={}, blanked={})
        check_limits(file, found, receiver="LiveRamp", engine=self._engine)


@pytest.fixture
def check(engine: Backend) -> Checked:
    return Checked(engine)


def test_a_receiver_without_limits(engine: Backend) -> None:
    """Whoever declares no limits is sent a file of any size."""
    file = replace(pii_file(), rules=replace(REGIONS["us"].files, limits=None))
    rows = Rows(table=ibis.memtable(pa.table({"CCID": ["a"]})), count=10**12, members=1, waterfall={}, blanked={})
    check_limits(file, rows, receiver="somebody", engine=engine)


@pytest.mark.parametrize(("region", "limit"), [("us", 500_000_000), ("uk", 100_000_000), ("fr", 30_000_000)])
def test_rows(check: Checked, region: str, limit: int) -> None:
    """A file may have as many rows as its region takes, and not one more."""
    check({"CCID": ["a"]}, region=region, count=limit)
    with pytest.raises(DataError, match=f"PII: LiveRamp would refuse the file: {limit + 1:,} rows"):
        check({"CCID": ["a"]}, region=region, count=limit + 1)


@pytest.mark.parametrize(("region", "limit"), [("us", 10_000), ("eu", 1_000)])
@pytest.mark.parametrize("filling", ["é", '"'])
def test_row_length(check: Checked, region: str, limit: int, filling: str) -> None:
    """The longest row is measured in characters as it is written: quotes doubled, commas and line end counted."""
    written = len(filling.replace('"', '""'))
    length = (limit - len('"a","",""\n')) // written
    cells = {"CCID": ["a", "b"], "EMAIL1": [filling * length, None], "EMAIL1_MD5": [None, None]}
    columns = (email_column(), replace(email_column(), header="EMAIL1_MD5"))
    check(cells, *columns, region=region)
    cells["EMAIL1"][0] += filling
    with pytest.raises(DataError, match=f"a row of [0-9,]+ characters .limit {limit:,} in region {region}"):
        check(cells, *columns, region=region)


def test_field_values(check: Checked) -> None:
    """A file may have 5,000 pairs of field and value, the fixed ones among them; blanks are none."""
    cells = {
        "CCID": [f"{n:04}" for n in range(5_001)],
        "TIER": [f"t{n}" for n in range(4_999)] + [None] * 2,
        "VIP": ["1"] * 5_001,
    }
    columns = (trait_column("tier"), SegmentColumn(header="VIP", value="1"))
    check(cells, *columns)
    cells["TIER"][-1] = "one more"
    with pytest.raises(DataError, match="5,001 field values, most of them in TIER"):
        check(cells, *columns)


@pytest.mark.parametrize("column", [trait_column("tier"), SegmentColumn(header="TIER", value="")])
def test_segment_name(check: Checked, column: Column) -> None:
    """A segment's name, field=value, has at most 150 characters, also where the value is fixed."""
    for length, refused in ((145, False), (146, True)):
        value = "v" * length
        fitted = replace(column, value=value) if isinstance(column, SegmentColumn) else column
        if not refused:
            check({"CCID": ["a"], "TIER": [value]}, fitted)
            continue
        with pytest.raises(DataError, match="TIER: a segment name of 151 characters"):
            check({"CCID": ["a"], "TIER": [value]}, fitted)


def test_all_breaches_at_once(check: Checked) -> None:
    """Whoever mends a file learns of everything that is wrong with it."""
    cells = {"CCID": [f"{n:04}" for n in range(5_001)], "TIER": ["v" * 10_000, *(f"t{n}" for n in range(5_000))]}
    with pytest.raises(DataError) as caught:
        check(cells, trait_column("tier"), count=500_000_001)
    message = str(caught.value)
    parts = ("500,000,001 rows [^;]+", "a row of [^;]+", "TIER: a segment name of [^;]+", "5,001 field values, [^;]+")
    assert re.fullmatch(f"PII: LiveRamp would refuse the file: {'; '.join(parts)}; use bands[.]", message)
    assert "vvv" not in message


def test_an_empty_file_is_within_all_limits(check: Checked) -> None:
    """Nobody is too many for no limit; how few are too few is asked at delivery."""
    check({"CCID": [], "TIER": []}, trait_column("tier"))


def test_as_many_segment_fields_as_liveramp_takes(engine: Backend) -> None:
    """What is added up over all fields of a row can be added up over more than the 500 that a file may have."""
    people = ibis.memtable(pa.table({f"f{number}": ["ab"] for number in range(1_000)}))
    total = add_up([people[column].length() for column in people.columns])
    assert engine.to_pyarrow(total.max()).as_py() == 2_000


def test_size(tmp_path: Path) -> None:
    """More bytes before compression than the receiver takes are refused, and nothing is sealed."""
    people = {"a": {"email": "ann@example.com"}}
    source = people_file(tmp_path / "people.parquet", people, ["email"])
    made = audience(members=source, traits={"email": "email"}, traits_from=source, files=[pii_file(email_column())])
    size = len('"CCID","EMAIL1"\n"a","ann@example.com"\n')
    with pytest.raises(DataError, match=f"{size} bytes before compression"):
        run(_with_room_for(made, size - 1), workspace(tmp_path / "staging"))
    assert list((tmp_path / "staging").rglob("*.csv")) == []
    assert run(_with_room_for(made, size), workspace(tmp_path / "staging"))["PII"].csv_bytes == size


def _with_room_for(made: Audience, size: int) -> Audience:
    """The audience, whose receiver takes files of that many bytes."""
    there = made.destinations[0]
    rules = there.files[0].rules
    assert rules.limits is not None
    tight = replace(rules, limits=replace(rules.limits, max_bytes=size))
    return replace(made, destinations=(replace(there, files=(replace(there.files[0], rules=tight),)),))
