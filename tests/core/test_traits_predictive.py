"""Predictive traits: what the function gets, what it may give, and how it is told when it fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from liveramp_provider.core.audience import ComputedTrait, PredictiveTraits, Trait
from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.traits import predictive
from tests.core import user_functions
from tests.core.pipeline import told
from tests.core.trait_steps import audience_of, from_source, known, profiles_of, table
from tests.core.user_functions import CANARY, NAME


def calling(function: str, *inputs: str, **traits: str) -> PredictiveTraits:
    """Our name: the frame's column; ``score`` where nothing is said."""
    named = tuple(Trait(name=ours, column=theirs) for ours, theirs in (traits or {"score": "score"}).items())
    return PredictiveTraits(function=f"{NAME}:{function}", inputs=inputs or ("visits",), traits=named)


def visits(folder: Path, count: int) -> Any:
    """So many members, whose visits are not in the order of their keys."""
    keys = [f"m{number:04}" for number in range(count)]
    numbers = [number * 7 % count for number in range(count)]
    rows = {"id": keys[::-1], "visits": numbers[::-1], "email": [f"{key}@example.com" for key in keys[::-1]]}
    return keys, numbers, from_source(table(folder / "visits.parquet", rows), "visits", "email")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictive, "BATCH_ROWS", 4)
    user_functions.seen.clear()


def test_batch_by_batch(tmp_path: Path) -> None:
    """Every member gets what the function gave for it, from batches in order of the key that cover all members."""
    keys, numbers, source = visits(tmp_path, 10)
    step = calling("score", "visits", churn="score", row="first_row")
    profiles, rows = profiles_of(audience_of(tmp_path, keys, source, step), tmp_path)
    assert [row["churn"] for row in rows] == [2 * number for number in numbers]
    assert [row["row"] for row in rows] == [1, 1, 1, 1, 5, 5, 5, 5, 9, 9]
    assert profiles.traits == ("visits", "email", "churn", "row")
    assert list(rows[0]) == ["member_id", *profiles.traits]
    assert [one[2:] for one in user_functions.seen] == [(1, 4, 4), (5, 8, 4), (9, 10, 2)]


def test_the_frame(tmp_path: Path) -> None:
    """The function gets its inputs in their order, Arrow-backed, and no key."""
    keys, _, source = visits(tmp_path, 2)
    known(tmp_path, keys, source, calling("score", "email", "visits"))
    columns, types, *_ = user_functions.seen[0]
    assert columns == ["email", "visits"]
    assert types == {"email": pd.ArrowDtype(pa.string()), "visits": pd.ArrowDtype(pa.int64())}


def test_later_steps(tmp_path: Path) -> None:
    """What a function gives can be computed with and given to the next, and computed traits can be given to it."""
    keys, numbers, source = visits(tmp_path, 6)
    steps = [
        ComputedTrait(name="one_more", expression="visits + 1"),
        PredictiveTraits(function=f"{NAME}:score", inputs=("visits",), traits=(Trait(name="first", column="score"),)),
        ComputedTrait(name="sum", expression='"first" + one_more'),
    ]
    rows = known(tmp_path, keys, source, *steps)
    assert [row["sum"] for row in rows] == [3 * number + 1 for number in numbers]


def test_side_effects(tmp_path: Path) -> None:
    """Whatever a function does to its frame, keys and traits stay as they are."""
    keys, numbers, source = visits(tmp_path, 6)
    rows = known(tmp_path, keys, source, calling("spoils_its_input"))
    assert [(row["member_id"], row["visits"]) for row in rows] == list(zip(keys, numbers, strict=True))


def test_missing_values(tmp_path: Path) -> None:
    """None, NA, NaN and NaT are all missing, in whatever kind of column."""
    keys, _, source = visits(tmp_path, 2)
    names = ("none", "na", "nan", "nat", "arrow_nan", "never")
    first, second = known(tmp_path, keys, source, calling("missing_values", **{name: name for name in names}))
    assert {first[name] for name in names} == {None}
    assert [second[name] for name in names] == ["x", 1, 1.5, pd.Timestamp("2026-01-01"), 2.5, None]


@pytest.mark.parametrize(
    ("batches", "scores"),
    [
        ([[1] * 4, [2.5] * 4], [1.0] * 4 + [2.5] * 4),
        ([[None] * 4, ["x"] * 4], [None] * 4 + ["x"] * 4),
        ([[None, True, None, False], [None] * 4], [None, True, None, False] + [None] * 4),
        ([pd.Series([1.5, None], index=[1, 4]), [3] * 4], [1.5] + [None] * 3 + [3.0] * 4),
    ],
)
def test_types_over_batches(tmp_path: Path, batches: list[Any], scores: list[Any]) -> None:
    """A column has one type over all batches, wide enough for each."""
    user_functions.batches[:] = batches
    keys, _, source = visits(tmp_path, 8)
    assert [row["score"] for row in known(tmp_path, keys, source, calling("by_batch"))] == scores


@pytest.mark.parametrize(
    "batches", [[[1] * 4, ["canary"] * 4], [["canary"] * 4, [1.5] * 4], [[True] * 4, [1] * 4], [[1, "canary", 2, 3]]]
)
def test_mixed_kinds(tmp_path: Path, batches: list[Any]) -> None:
    """Text and numbers in one column are an error that names it, in one batch or over two."""
    user_functions.batches[:] = batches
    keys, _, source = visits(tmp_path, 4 * len(batches))
    with pytest.raises(DataError, match="column score holds values of different kinds") as caught:
        known(tmp_path, keys, source, calling("by_batch"))
    assert "canary" not in told(caught.value)


def test_a_failing_function(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is named with its batch, its error's class and line, and no row can be learnt from the error."""
    caplog.set_level(logging.DEBUG)
    keys, _, source = visits(tmp_path, 10)
    with pytest.raises(DataError) as caught:
        known(tmp_path, keys, source, calling("fails_later", "email"))
    assert str(caught.value).startswith(
        f"function {NAME}:fails_later: batch 2 (rows 5 to 8) failed with ValueError (user_functions.py, line "
    )
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert "example.com" not in told(caught.value) + caplog.text
    assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file() and "enrich" in str(path)] == []


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("returns_a_series", "gave a Series, where a pandas frame was due"),
        ("drops_a_row", "gave 3 rows for 4"),
        ("sorts", "gave rows of another index"),
        ("resets_the_index", "gave rows of another index"),
        ("pivots", "gave 1 columns, and not just one score among them"),
        ("twice", "gave 2 columns, and not just one score among them"),
        ("lists", "column score holds values of different kinds, or such that are no text"),
    ],
)
def test_what_does_not_go_with_the_input(tmp_path: Path, function: str, message: str) -> None:
    """A result of another shape is an error that names the function and the batch, and quotes nothing of it."""
    keys, _, source = visits(tmp_path, 10)
    with pytest.raises(DataError, match=rf"^function {NAME}:{function}: batch 1 \(rows 1 to 4\):? {message}") as caught:
        known(tmp_path, keys, source, calling(function))
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("function", ["takes_two", "takes_none"])
def test_what_a_function_must_take(tmp_path: Path, function: str) -> None:
    """A function that takes anything but one frame is refused before it is called."""
    keys, _, source = visits(tmp_path, 2)
    with pytest.raises(SourceError, match=f"function {NAME}:{function}: must take one argument"):
        known(tmp_path, keys, source, calling(function))


def test_computed_values_are_named_before_a_function(tmp_path: Path) -> None:
    """A computed trait that fails is named also where a function is the first to need it."""
    keys, _, source = visits(tmp_path, 2)
    broken = ComputedTrait(name="broken", expression="cast(email as bigint)")
    with pytest.raises(DataError, match=r"^trait broken: "):
        known(tmp_path, keys, source, broken, calling("score"))
