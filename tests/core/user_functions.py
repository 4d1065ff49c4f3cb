"""Functions as users write them, good ones and bad ones; named in tests as ``tests.core.user_functions:…``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from liveramp_provider.core.errors import SourceUnavailableError

NAME = "tests.core.user_functions"
CANARY = "canary@example.com"

#: What functions have seen, for tests to look at.
seen: list[Any] = []

not_a_function = 7


# Sources of frames.


def people(snapshot_date: date, audience: str) -> Iterator[pd.DataFrame]:
    seen.append((snapshot_date, audience))
    yield pd.DataFrame({"id": ["b"], "day": [snapshot_date.isoformat()]})
    yield pd.DataFrame({"day": [audience], "id": ["a"], "more": ["is left out"]})


def one_frame(snapshot_date: date) -> pd.DataFrame:
    return pd.DataFrame({"id": ["a"], "day": [snapshot_date]})


def list_of_frames(**parameters: Any) -> list[pd.DataFrame]:
    seen.append(sorted(parameters))
    return [pd.DataFrame({"id": [key], "day": [parameters["snapshot_date"]]}) for key in "ab"]


def no_frames(snapshot_date: date) -> Iterator[pd.DataFrame]:
    yield from ()


def without_a_day() -> pd.DataFrame:
    return pd.DataFrame({"id": ["a"], "day": ["today"]})


def needs_more(snapshot_date: date, region: str, *, limit: int) -> pd.DataFrame:
    raise AssertionError("is never called")


def positional(snapshot_date: date, /) -> pd.DataFrame:
    raise AssertionError("is never called")


def breaks_at_once(snapshot_date: date) -> pd.DataFrame:
    raise KeyError(CANARY)


def breaks_half_way(snapshot_date: date) -> Iterator[pd.DataFrame]:
    yield pd.DataFrame({"id": ["a"], "day": ["x"]})
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        raise RuntimeError(CANARY) from error


def breaks_when_closed(snapshot_date: date) -> Iterator[pd.DataFrame]:
    try:
        yield pd.DataFrame({"wrong": [CANARY]})
    finally:
        seen.append("closed")
        raise ValueError(CANARY)


def exits(snapshot_date: date) -> pd.DataFrame:
    raise SystemExit(CANARY)


def unavailable(snapshot_date: date) -> Iterator[pd.DataFrame]:
    yield pd.DataFrame({"id": ["a"], "day": ["x"]})
    try:
        raise ConnectionError(CANARY)
    except ConnectionError as error:
        raise SourceUnavailableError("the feature store is being loaded") from error


def no_frame(snapshot_date: date) -> Iterator[Any]:
    yield pd.DataFrame({"id": ["a"], "day": ["x"]})
    yield None
    yield pd.DataFrame({"id": ["b"], "day": ["y"]})


def nothing(snapshot_date: date) -> None:
    return None


def a_text(snapshot_date: date) -> str:
    return CANARY


#: Frames of the column x, for :func:`given_frames` to give.
frames: list[pd.DataFrame] = []


def given_frames(snapshot_date: date) -> list[pd.DataFrame]:
    return frames


# Predictive traits.


def score(frame: pd.DataFrame) -> pd.DataFrame:
    seen.append((list(frame.columns), frame.dtypes.to_dict(), frame.index[0], frame.index[-1], len(frame)))
    return pd.DataFrame({"score": frame["visits"] * 2, "first_row": frame.index[0], "spare": "x"}, index=frame.index)


def spoils_its_input(frame: pd.DataFrame) -> pd.DataFrame:
    made = frame[["visits"]].rename(columns={"visits": "score"})
    frame["visits"] = 0
    frame["member_id"] = "nobody"
    frame.index = frame.index * 0
    return made


def missing_values(frame: pd.DataFrame) -> pd.DataFrame:
    cells = {
        "none": [None, "x"],
        "na": [pd.NA, 1],
        "nan": [np.nan, 1.5],
        "nat": [pd.NaT, pd.Timestamp("2026-01-01")],
        "arrow_nan": pd.array([float("nan"), 2.5], dtype=pd.ArrowDtype(pa.float64())),
        "never": [None, None],
    }
    return pd.DataFrame(cells, index=frame.index)


#: What :func:`by_batch` gives of each batch in turn.
batches: list[Any] = []


def by_batch(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"score": batches.pop(0)}, index=frame.index)


def fails_later(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.index[0] > 1:
        raise ValueError(str(frame["email"].iloc[0]))
    return frame.rename(columns={"email": "score"})


def returns_a_series(frame: pd.DataFrame) -> Any:
    return frame["visits"]


def drops_a_row(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"visits": "score"}).iloc[1:]


def sorts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"visits": "score"}).sort_values("score", ascending=False)


def resets_the_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"visits": "score"}).reset_index(drop=True)


def pivots(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({CANARY: 1}, index=frame.index)


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame["visits"].rename("score")] * 2, axis=1)


def lists(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"score": [["x"]] * len(frame)}, index=frame.index)


def takes_two(frame: pd.DataFrame, model: object) -> pd.DataFrame:
    raise AssertionError("is never called")


def takes_none() -> pd.DataFrame:
    raise AssertionError("is never called")
