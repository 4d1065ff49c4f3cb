"""One real OpenSSH server for all tests here, with a folder for each; others are started where a test needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.ledger import Ledger
from tests.servers import OpenSshServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSshServer]:
    """OpenSSH with nothing forbidden."""
    with OpenSshServer(tmp_path_factory.mktemp("sshd") / "server") as running:
        yield running


@pytest.fixture
def folder(server: OpenSshServer, tmp_path: Path) -> Path:
    """This test's own delivery folder at the server."""
    path = server.root / tmp_path.name
    path.mkdir()
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger.in_file(tmp_path / "ledger" / "ledger.sqlite")
