"""Computed traits in enrichment: seen by later steps, refused by name, and no value quoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from liveramp_provider.core.audience import ComputedTrait, FilesSource
from liveramp_provider.core.errors import DataError, SourceError
from tests.core.pipeline import DAY, email_column, pii_file, run, told, workspace
from tests.core.trait_steps import audience_of, from_source, known, profiles_of, table
from tests.core.user_functions import CANARY


def computed(**expressions: str) -> list[ComputedTrait]:
    return [ComputedTrait(name=name, expression=expression) for name, expression in expressions.items()]


def test_later_steps_see_earlier_ones(tmp_path: Path) -> None:
    """A computed trait may use traits of sources and computed ones before it; strangers to sources have nulls."""
    source = table(tmp_path / "t.parquet", {"id": ["a", "b"], "Ltv": [1500.0, 20.0], "born": [date(2000, 1, 1), DAY]})
    steps = [
        from_source(source, "Ltv", "born"),
        *computed(band="case when ltv > 1000 then 'high' else 'low' end", shout="upper(BAND) || '!'"),
        from_source(table(tmp_path / "2.parquet", {"id": ["b"], "x": [5]}), "x"),
        *computed(age="date_diff('year', born, snapshot_date)", more="coalesce(x, 0) + 1"),
    ]
    profiles, rows = profiles_of(audience_of(tmp_path, ["a", "b", "c"], *steps), tmp_path)
    assert profiles.traits == ("Ltv", "born", "band", "shout", "x", "age", "more")
    told_of = ("band", "shout", "age", "more")
    assert [tuple(row[name] for name in told_of) for row in rows] == [
        ("high", "HIGH!", 26, 1),
        ("low", "LOW!", 0, 6),
        ("low", "LOW!", None, 1),
    ]


def test_the_day(tmp_path: Path) -> None:
    """`snapshot_date` is the day that is built, whenever that is done."""
    made = audience_of(tmp_path, ["a"], *computed(day="snapshot_date", text="cast(snapshot_date as varchar)"))
    for day in (DAY, DAY - timedelta(days=400)):
        assert profiles_of(made, tmp_path, day)[1] == [{"member_id": "a", "day": day, "text": day.isoformat()}]


def test_without_any_source(tmp_path: Path) -> None:
    """A constant is a trait of everybody."""
    assert known(tmp_path, ["a", "b"], *computed(x="1 + 1")) == [{"member_id": "a", "x": 2}, {"member_id": "b", "x": 2}]


def test_many(tmp_path: Path) -> None:
    """As many as one likes may build on each other."""
    steps = computed(x0="1", **{f"x{n}": f"x{n - 1} + 1" for n in range(1, 30)})
    assert known(tmp_path, ["a"], *steps)[0]["x29"] == 30


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("ltv + 1", r"Binder Error: .*'\+\(VARCHAR, INTEGER"),
        ("born - interval 3 day - born", "gives a value of type interval"),
        ("ltv = ltv = ltv", "Parser Error: syntax error"),
    ],
)
def test_types_that_do_not_go_together(tmp_path: Path, expression: str, message: str) -> None:
    """An expression that the engine cannot type is the audience file's fault, and the trait is named."""
    source = table(tmp_path / "t.parquet", {"id": ["a"], "ltv": [CANARY], "born": [date(2000, 1, 1)]})
    with pytest.raises(SourceError, match=f"^trait band: .*{message}") as caught:
        known(tmp_path, ["a"], from_source(source, "ltv", "born"), *computed(band=expression))
    assert "canary" not in told(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "cast(ltv as bigint)",
        "cast(ltv as date)",
        "9223372036854775807 + length(ltv)",
        "regexp_matches('x', ltv || '(')",
    ],
)
def test_values_that_an_expression_cannot_take(tmp_path: Path, expression: str) -> None:
    """A value that cannot be cast is the data's fault: the first trait that fails is named, and the value is not."""
    source = table(tmp_path / "t.parquet", {"id": ["a", "b"], "ltv": ["12", CANARY]})
    steps = computed(good="length(ltv)", band=expression, after="try_cast(ltv as bigint)", worse="cast(ltv as double)")
    with pytest.raises(DataError, match=r"^trait band: its expression cannot take some member's value") as caught:
        known(tmp_path, ["a", "b"], from_source(source, "ltv"), *steps)
    assert "canary" not in told(caught.value)


def test_csv_columns_are_text(tmp_path: Path) -> None:
    """Columns of CSV files are text: numbers compare as numbers only when they are cast."""
    (tmp_path / "t.csv").write_text("id,ltv\na,9\nb,1000\n")
    source = FilesSource(path=str(tmp_path / "t.csv"), format="csv", current=False)
    steps = computed(as_text="ltv > '10'", as_number="cast(ltv as double) > 10")
    found = known(tmp_path, ["a", "b"], from_source(source, "ltv"), *steps)
    assert [(row["as_text"], row["as_number"]) for row in found] == [(True, False), (True, True)]


def test_large_whole_numbers(tmp_path: Path) -> None:
    """Whole numbers beyond 64 bits are not rounded."""
    source = table(tmp_path / "t.parquet", {"id": ["a"], "n": pa.array([2**64 - 1], pa.uint64())})
    (row,) = known(tmp_path, ["a"], from_source(source, "n"), *computed(more="n + 99999999999999999999"))
    assert row["more"] == 2**64 + 99999999999999999998


def test_in_a_file(tmp_path: Path) -> None:
    """A computed trait is an identifier where it is named like one: it is normalised as any other."""
    source = table(tmp_path / "t.parquet", {"id": ["a"], "login": ["Ann"]})
    made = audience_of(tmp_path, ["a"], from_source(source, "login"), *computed(email="login || '@Example.com'"))
    destination = replace(made.destinations[0], files=(pii_file(email_column()),))
    made = replace(made, destinations=(destination,))
    sealed = run(made, workspace(tmp_path / "staging"))["PII"]
    assert sealed.path.read_text() == '"CCID","EMAIL1"\n"a","ann@example.com"\n'
