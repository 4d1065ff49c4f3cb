"""A source of frames: what its function is given and may give, and how it is told when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveramp_provider.core import frames as frames_module
from liveramp_provider.core.audience import PythonSource
from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError
from liveramp_provider.core.identifiers import as_text
from liveramp_provider.core.sources.frames import land_frames
from tests.core import user_functions
from tests.core.pipeline import DAY, told
from tests.core.trait_steps import audience_of, from_source, known, profiles_of
from tests.core.user_functions import CANARY, NAME

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with open_engine(EngineSettings(threads=1), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    user_functions.seen.clear()


def source(function: str, *, current: bool = False) -> PythonSource:
    return PythonSource(function=f"{NAME}:{function}", current=current)


def landed(engine: Backend, folder: Path, one: PythonSource, *columns: str) -> list[tuple[Any, ...]]:
    rows = land_frames(
        one,
        engine,
        parameters={"snapshot_date": DAY, "audience": "vip"},
        columns=columns or ("id", "day"),
        folder=folder / "frames",
        label="membership",
    )
    return [tuple(row.values()) for row in engine.to_pyarrow(rows).to_pylist()]


def test_what_a_function_is_given(engine: Backend, tmp_path: Path) -> None:
    """It gets the day and the audience by name, and its columns are taken by name, whatever their order."""
    assert landed(engine, tmp_path, source("people")) == [("b", "2026-11-20"), ("a", "vip")]
    assert user_functions.seen == [(DAY, "vip")]


def test_as_far_as_it_has_parameters(engine: Backend, tmp_path: Path) -> None:
    """A function takes what it names; one that takes any name gets both. It may return one frame or a list."""
    assert landed(engine, tmp_path, source("one_frame")) == [("a", DAY)]
    (tmp_path / "other").mkdir()
    assert landed(engine, tmp_path / "other", source("list_of_frames"), "day", "id") == [(DAY, "a"), (DAY, "b")]
    assert user_functions.seen == [["audience", "snapshot_date"]]


def test_no_frames(engine: Backend, tmp_path: Path) -> None:
    """No frames are no rows, with the columns that were asked for."""
    assert landed(engine, tmp_path, source("no_frames")) == []


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("without_a_day", "does not take snapshot_date, so nobody can say which day it reads"),
        ("needs_more", "needs region, limit, but only snapshot_date and audience are given"),
        ("positional", "needs snapshot_date, but only"),
        ("nobody", f"{NAME} has no nobody"),
        ("not_a_function", "not_a_function is a int"),
    ],
)
def test_what_a_function_must_take(engine: Backend, tmp_path: Path, function: str, message: str) -> None:
    """A function that cannot be called with a day is refused before it is."""
    with pytest.raises(SourceError, match=f"function {NAME}:{function}: {message}"):
        landed(engine, tmp_path, source(function))


def test_current(engine: Backend, tmp_path: Path) -> None:
    """A function that knows only today needs to take no day."""
    assert landed(engine, tmp_path, source("without_a_day", current=True)) == [("a", "today")]


@pytest.mark.parametrize(
    ("function", "kind"),
    [("breaks_at_once", "KeyError"), ("breaks_half_way", "RuntimeError"), ("exits", "SystemExit")],
)
def test_a_failing_function(engine: Backend, tmp_path: Path, function: str, kind: str) -> None:
    """It is told by the class and the line of its error; what it said is out of reach."""
    message = rf"membership: {NAME}:{function} failed with {kind} \(user_functions\.py, line \d+\)\. Its message"
    with pytest.raises(DataError, match=message) as caught:
        landed(engine, tmp_path, source(function))
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert CANARY not in told(caught.value)


def test_unavailable(engine: Backend, tmp_path: Path) -> None:
    """A function can say that its source is not available now: it is tried again, and its words are shown."""
    with pytest.raises(SourceUnavailableError, match="unavailable: the feature store is being loaded") as caught:
        landed(engine, tmp_path, source("unavailable"))
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(("function", "kind"), [("no_frame", "NoneType"), ("nothing", "NoneType"), ("a_text", "str")])
def test_something_else_than_frames(engine: Backend, tmp_path: Path, function: str, kind: str) -> None:
    """What is no frame is named by its type, also between good ones."""
    with pytest.raises(DataError, match=f"{function} gave a {kind}, where a pandas frame was due") as caught:
        landed(engine, tmp_path, source(function))
    assert CANARY not in told(caught.value)


def test_a_missing_column(engine: Backend, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A frame without a column is an error that lists those it has; the function is closed, and not heard any more."""
    with pytest.raises(SourceError, match=r"membership: no column id, day\. The source has: wrong\.") as caught:
        landed(engine, tmp_path, source("breaks_when_closed"))
    assert user_functions.seen == ["closed"]
    assert CANARY not in told(caught.value) + "".join(capfd.readouterr())


def of_frames(engine: Backend, folder: Path, *columns: Any) -> list[Any]:
    """The texts of the column x, of one frame after the other."""
    user_functions.frames[:] = [pd.DataFrame({"x": column}) for column in columns]
    rows = land_frames(
        source("given_frames"),
        engine,
        parameters={"snapshot_date": DAY},
        columns=["x"],
        folder=folder,
        label="membership",
    )
    return engine.to_pyarrow(rows.select(x=as_text(rows.x)))["x"].to_pylist()


MOMENT = datetime(2026, 11, 20, 10, tzinfo=UTC)
CELLS = {
    "text": (["a", None], ["a", None]),
    "object": (pd.Series(["a", pd.NA, np.nan, pd.NaT], dtype=object), ["a", None, None, None]),
    "category": (pd.Series(["a", "b", None], dtype="category"), ["a", "b", None]),
    "whole": ([1, 30], ["1", "30"]),
    "whole with a gap": ([1, None], ["1", None]),
    "nullable": (pd.Series([1, None], dtype="Int64"), ["1", None]),
    "small": (pd.Series([1], dtype="uint8"), ["1"]),
    "large": (pd.Series([2**64 - 1], dtype="uint64"), ["18446744073709551615"]),
    "id": ([9007199254740993], ["9007199254740993"]),
    "fraction": ([0.25, float("nan")], ["0.25", None]),
    "decimal": ([Decimal("1.50"), Decimal("2")], ["1.5", "2"]),
    "bool": ([True, None], ["true", None]),
    "date": ([date(2026, 11, 20)], ["2026-11-20"]),
    "moment": (pd.Series([MOMENT, pd.NaT]), ["2026-11-20 10:00:00+00", None]),
    "zone": (pd.Series([MOMENT]).dt.tz_convert("Asia/Tokyo"), ["2026-11-20 10:00:00+00"]),
    "arrow": (pd.Series(["a"], dtype=pd.ArrowDtype(pa.large_string())), ["a"]),
    "nothing": ([None, None], [None, None]),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("first", [[], [[None]], [[], [None]]], ids=["alone", "after nothing", "after an empty one"])
def test_plain_values(engine: Backend, tmp_path: Path, name: str, first: list[Any]) -> None:
    """A column of any plain kind has the texts that people write, whatever pandas keeps it in."""
    cells, texts = CELLS[name]
    assert of_frames(engine, tmp_path / "f", *first, cells) == [None for frame in first for _ in frame] + texts


def test_lists(engine: Backend, tmp_path: Path) -> None:
    """Lists stay lists, also where the first frames have none."""
    user_functions.frames[:] = [
        pd.DataFrame({"x": column})
        for column in ([None], [[]], [["a", None], None], [np.array(["b"], dtype=object)], [()])
    ]
    rows = land_frames(
        source("given_frames"),
        engine,
        parameters={"snapshot_date": DAY},
        columns=["x"],
        folder=tmp_path / "f",
        label="m",
    )
    found = engine.to_pyarrow(rows)["x"].to_pylist()
    assert sorted(found, key=str) == sorted([None, [], ["a", None], None, ["b"], []], key=str)


@pytest.mark.parametrize(
    ("columns", "texts"),
    [
        (([1], [2.5], [3]), ["1", "2.5", "3"]),
        (([2.5], [1]), ["2.5", "1"]),
        (([1], [2**53 + 1], [3]), ["1", "9007199254740993", "3"]),
        (([1], [Decimal("2.5")]), ["1", "2.5"]),
        (([Decimal("2.5")], [Decimal("0.000000000001")]), ["2.5", "0.000000000001"]),
    ],
)
def test_types_widen(engine: Backend, tmp_path: Path, columns: Any, texts: list[str]) -> None:
    """Numbers of several kinds go together where nothing is lost."""
    assert of_frames(engine, tmp_path / "f", *columns) == texts


@pytest.mark.parametrize(
    "columns",
    [
        (["canary"], [1]),
        ([1], ["canary"]),
        (["canary", 1],),
        ([True], [1]),
        ([2**53 + 1], [0.5]),  # the sum of both kinds would change the id
        ([Decimal("2.5")], [0.5]),
        ([date(2026, 1, 1)], [MOMENT]),
        ([date(2026, 1, 1), datetime(2026, 1, 1, 10)],),  # noqa: DTZ001
        ([MOMENT], [datetime(2026, 1, 1, 10)]),  # noqa: DTZ001
        ([["canary"]], ["canary"]),
        ([["canary"]], [[1]]),
        ([{"canary"}],),
        ([{"a": "canary"}],),
        ([b"canary"],),
        ([object()],),
        ([pd.Timedelta(days=1)],),
        ([2**70],),
        (pd.Series(["\ud800"], dtype=object),),
        (pd.Series(pd.arrays.SparseArray([1, 2])),),
    ],
    # Not by their words: those of an object hold its address, and tests have the same names in every process.
    ids=lambda columns: None,
)
def test_different_kinds(engine: Backend, tmp_path: Path, columns: Any) -> None:
    """A column that mixes kinds, or holds what no file can, is named, and none of its values is."""
    with pytest.raises(DataError, match="membership: column x holds values of different kinds") as caught:
        of_frames(engine, tmp_path / "f", *columns)
    assert "canary" not in told(caught.value)


def test_repeated_columns(engine: Backend, tmp_path: Path) -> None:
    """A column that stands twice in a frame is not guessed at."""
    user_functions.frames[:] = [pd.DataFrame([[1, 2]], columns=["x", "x"])]
    with pytest.raises(SourceError, match="there are several columns x"):
        landed(engine, tmp_path, source("given_frames"), "x")


@given(sizes=st.lists(st.integers(0, 5), max_size=8), batch_rows=st.integers(1, 6))
def test_no_row_is_lost(
    engine: Backend, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], batch_rows: int
) -> None:
    """Whatever the sizes of frames and of what is written at once, all rows arrive, each once."""
    numbers = iter(range(100))
    columns = [[next(numbers) + (0.5 if index == 3 else 0) for _ in range(size)] for index, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames_module, "BATCH_ROWS", batch_rows)
        found = of_frames(engine, tmp_path_factory.mktemp("rows") / "f", *columns)
    assert sorted(map(float, found)) == [cell for column in columns for cell in column]


def test_from_membership_to_traits(tmp_path: Path) -> None:
    """Functions can give the members and their traits; both say in the records which function it was."""
    made = audience_of(tmp_path, ["a", "b", "c"], from_source(source("people"), "day"))
    made = replace(made, membership=replace(made.membership, source=source("list_of_frames")))
    profiles, rows = profiles_of(made, tmp_path)
    assert rows == [{"member_id": "a", "day": "vip"}, {"member_id": "b", "day": "2026-11-20"}]
    assert [(one.label, one.source) for one in profiles.sources] == [("traits source 1", f"{NAME}:people")]


def test_a_past_day(tmp_path: Path) -> None:
    """A function that knows only today serves no past day, and is not called for one."""
    step = from_source(source("without_a_day", current=True), "day")
    with pytest.raises(SourceError, match="traits source 1: the source is `current: true`"):
        known(tmp_path, ["a"], step, day=date(2020, 1, 1))
