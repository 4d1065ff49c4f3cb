"""Wild cards mean the same on S3 as on this machine, and the days of a path are found."""

from __future__ import annotations

import glob
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liveramp_provider.core.sources.globs import days_among, fixed_prefix, matches

PARTS = ["*", "**", "?", "a", "b", "a*", "[ab]", "[!a]", "[[]1]", ".*", ".h", "*.csv", "x.csv", "**.csv"]
NAMES = ["x.csv", "a", ".h", ".x.csv", "[1]", "b.csv"]
FOLDERS = ["", "a", "b", ".h", "a/a", "a/b", "b/.h", "a/b/a", "[1]"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
    for folder in FOLDERS:
        for name in NAMES:
            if not (root / folder / name).exists():
                (root / folder / name).touch()
    return root


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5))
@example(["**"])
@example(["a", "**"])
@example(["**", "**"])
def test_wild_cards_are_those_of_local_paths(tree: Path, parts: list[str]) -> None:
    """Whatever the pattern, it names the files that `glob.glob` finds."""
    pattern = "/".join(parts)
    there = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    found = set(glob.glob(pattern, root_dir=tree, recursive=True)).intersection(there)
    assert {name for name in there if matches(name, pattern)} == found


@pytest.mark.parametrize(
    ("key", "pattern", "same"),
    [
        ("vip/", "vip/*", False),
        ("vip/", "vip/**", False),
        ("vip", "vip/**", False),
        ("vip//a.csv", "vip//*.csv", True),
        ("vip//a.csv", "vip/*/*.csv", False),
        ("vip/a\nb.csv", "vip/*.csv", True),
        ("VIP/a.csv", "vip/*.csv", False),
    ],
)
def test_keys_that_no_file_could_have(key: str, pattern: str, same: bool) -> None:
    """The marker of a folder is no file, nothing matches only in part, and capitals count."""
    assert matches(key, pattern) is same


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [("vip/a.csv", "vip/a.csv"), ("vip/ds=????-*/x", "vip/ds="), ("v[ab]/*", "v"), ("*", ""), ("a/**/b", "a/")],
)
def test_what_is_fixed(pattern: str, prefix: str) -> None:
    """Only what comes before the first wild card can be asked for."""
    assert fixed_prefix(pattern) == prefix


@pytest.mark.parametrize(
    ("path", "names", "days"),
    [
        ("ds={snapshot_date}/*.csv", ["ds=2026-11-19/a.csv", "ds=2026-11-20/a.csv", "ds=2026-11-20/b.csv"], [20, 19]),
        ("ds={snapshot_date}/*.csv", ["ds=2026-11-19/a.parquet", "ds=2026-13-01/a.csv", "ds=yyyy-mm-dd/a.csv"], []),
        ("{snapshot_date}/v-{snapshot_date}", ["2026-11-19/v-2026-11-19", "2026-11-20/v-2026-11-19"], [19]),
        ("2026-11-{snapshot_date}.csv", ["2026-11-2026-11-19.csv"], [19]),
        ("*/{snapshot_date}.csv", ["2026-11-20/2026-11-19.csv", "x/y/2026-11-20.csv"], [19]),
    ],
)
def test_days_of_a_path(path: str, names: list[str], days: list[int]) -> None:
    """A day counts where a file of it would be found: all its places agree, and the rest matches too."""
    assert days_among(names, path) == [date(2026, 11, day) for day in days]
