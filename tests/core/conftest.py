"""Both kinds of staging, for the tests that either has to pass."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.ledger import Ledger
from liveramp_provider.core.staging import Staging
from tests.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    #: Gives every worker, that is every task, a staging of its own; all lead to the same place.
    Worker = Callable[[], Staging]


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of the newest schema; its migrations take longer than many a test."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    Ledger.in_file(path)
    return path


@pytest.fixture
def ledger_file(empty_ledger: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    folder = tmp_path / "ledger"
    folder.mkdir(mode=0o700)
    return shutil.copy(empty_ledger, folder / "ledger.sqlite")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_worker(tmp_path: Path, s3: S3Server) -> Worker:
    from liveramp_provider.core.staging.s3 import S3Store

    numbers, address, client = itertools.count(1), f"s3://{s3.bucket()}/staging/of-tests", s3.client()

    def worker() -> Staging:
        machine = tmp_path / f"machine-{next(numbers)}"
        store = S3Store.at(address, client=client, kms_key_id="the-key", local=machine / "copies")
        return Staging(machine, store)

    return worker


@pytest.fixture(params=["folder", "s3"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Worker:
    if request.param == "folder":
        return lambda: Staging(tmp_path / "staging")
    made: Worker = request.getfixturevalue("s3_worker")
    return made
