"""A box per test, whose PGP key was made once for the whole run."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from liveramp_provider.testing import LiveRampAudience, LiveRampBox
from tests.testing.box_client import DEVICE, PII

NewBox = Callable[..., LiveRampBox]


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a box that was made and never started."""
    home = tmp_path_factory.mktemp("made") / "home"
    LiveRampBox(home, audiences=[])
    return home


@pytest.fixture
def new_box(tmp_path: Path, made_home: Path) -> Iterator[NewBox]:
    """Starts a box in this test's own home; a second call starts another box with the same home."""
    home = tmp_path / "box"
    shutil.copytree(made_home, home)
    with ExitStack() as running:

        def start(*audiences: LiveRampAudience) -> LiveRampBox:
            running.close()
            return running.enter_context(LiveRampBox(home, audiences=audiences or (PII, DEVICE)))

        yield start


@pytest.fixture
def box(new_box: NewBox) -> LiveRampBox:
    """A running box with a PII and a device audience."""
    return new_box()
