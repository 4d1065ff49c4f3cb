"""docs/coverage.md is true: its keys are keys of the audience file, its tests are there, and so are its pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_docs import DOCS, SCHEMA

ROOT = Path(__file__).parents[1]
SECTIONS = (DOCS / "coverage.md").read_text(encoding="utf-8").split("\n## ")[1:]
#: Their setting, ours, and what proves it.
SETTINGS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for section in SECTIONS
    for line in section.splitlines()
    if line.startswith("| ") and not line.startswith("| their setting")
]


def existing_tests() -> set[str]:
    """Every test function, as the page names it."""
    return {
        f"{path.name}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_row_is_proven_by_tests_that_exist() -> None:
    """No setting without a test, and no test that is only a name."""
    there = existing_tests()
    named = {setting: re.findall(r"`([^`]+::[^`]+)`", proven) for setting, _, proven in SETTINGS}
    assert {setting: [test for test in tests if test not in there] for setting, tests in named.items()} == {
        setting: [] for setting in named
    }
    assert all(named.values())
    assert len(SETTINGS) > 40


@pytest.mark.parametrize("row", SETTINGS, ids=[row[0][:40] for row in SETTINGS])
def test_every_key_is_one_of_the_audience_file(row: list[str]) -> None:
    """What stands in code and looks like a key of the audience file is one."""
    keys = [word for word in re.findall(r"`([a-z_]+(?:\[[a-z]*\])?(?:\.[A-Za-z_<>\[\]]+)*)`", row[1]) if "." in word]
    assert [key for key in keys if key not in SCHEMA] == []
