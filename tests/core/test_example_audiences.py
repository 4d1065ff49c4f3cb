"""The audience files in `examples/audiences`: each can be copied, and makes files of the sample warehouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.destination import Destination
from liveramp_provider.core.pipeline.build import build
from liveramp_provider.core.pipeline.enrich import enrich
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.testing.warehouse import make_warehouse
from tests.core.pipeline import DAY, workspace

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "audiences").glob("*.yaml"))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "warehouse.db"
    make_warehouse(path, day=DAY, customers=500, seed=11)
    return path


def test_there_is_one_for_every_kind() -> None:
    """Whoever moves over finds a file to begin with."""
    shown = {type(there).__name__ for path in EXAMPLES for there in load_audience(path).destinations}
    assert shown >= {kind.__name__ for kind in Destination.__subclasses__()}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_makes_files(path: Path, warehouse: Path, tmp_path: Path) -> None:
    """It has no faults, and every one of its files has rows; nobody is lost on the way."""
    audience = load_audience(path)
    here = workspace(tmp_path, database=warehouse)
    profiles = enrich(audience, DAY, extract(audience, DAY, workspace=here), workspace=here)
    for there in audience.destinations:
        for sealed in build(audience, there, DAY, profiles, workspace=here):
            assert sealed.members >= there.min_members, sealed.name
            assert sealed.waterfall["members"] == profiles.members
