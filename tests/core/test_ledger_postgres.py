"""The ledger in PostgreSQL when that fails: stopped, started again, mute, or with a worker that was frozen."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from liveramp_provider.core.errors import LedgerError
from liveramp_provider.core.ledger import Ledger, State, schema, verified
from tests.core.test_ledger import FOLDER, claimed
from tests.deliveries import sealed_file
from tests.servers import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be stopped."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A schema of this test's own, reached with a password."""
    return server.new_schema(request.node.name).replace("airflow@", "airflow:hunter2@")


def test_stopped_in_the_middle(server: PostgresServer, url: str, tmp_path: Path) -> None:
    """Every operation fails as a matter of time, without a password, and goes on when the server is there again."""
    file, engine = sealed_file(tmp_path / "sealed"), sa.create_engine(url)
    ledger = Ledger(engine)
    claim = claimed(ledger, file, State.INTENT)
    server.stop()
    try:
        for operation in (
            lambda: claim.advance(State.COMMITTED, committed_at=datetime.now(UTC)),
            claim.renew,
            claim.release,
            lambda: ledger.claim(file, folder=FOLDER, holder="run 1"),
            lambda: ledger.find(claim.delivery.delivery_id),
            lambda: Ledger(sa.create_engine(url)),
        ):
            with pytest.raises(LedgerError, match=r"^the ledger does not answer \(.+\)\. Nothing is sent") as caught:
                operation()
            assert "hunter2" not in str(caught.value)
            assert "\n" not in str(caught.value)
    finally:
        server.start()
    assert ledger.find(claim.delivery.delivery_id) == claim.delivery
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))
    assert verified(engine).receipts == 1
    engine.dispose()


def test_what_was_committed_survives(server: PostgresServer, url: str, tmp_path: Path) -> None:
    """After a restart a delivered file is still delivered."""
    file = sealed_file(tmp_path / "sealed")
    written = claimed(Ledger(sa.create_engine(url)), file, State.COMMITTED).delivery
    server.stop()
    server.start()
    again = Ledger(sa.create_engine(url)).claim(file, folder=FOLDER, holder="run 2")
    assert again.delivery == written


def test_a_mute_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing is given up."""
    monkeypatch.setitem(schema._NETWORK, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        engine = sa.create_engine(f"postgresql+psycopg2://ann:hunter2@127.0.0.1:{mute.getsockname()[1]}/ledger")
        with pytest.raises(LedgerError, match="timeout expired") as caught:
            Ledger(engine)
    assert "hunter2" not in str(caught.value)


def test_the_connections_own_patience_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets a limit in the connection gets that one."""
    monkeypatch.setitem(schema._NETWORK, "connect_timeout", 3600)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        engine = sa.create_engine(f"postgresql+psycopg2://ann@127.0.0.1:{port}/ledger?connect_timeout=2")
        with pytest.raises(LedgerError, match="timeout expired"):
            Ledger(engine)


def test_a_frozen_holder(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that a worker holds which was frozen within its transaction is waited for a while, and tried later."""
    monkeypatch.setattr(schema, "LOCK_TIMEOUT_S", 1)
    claim = claimed(Ledger(sa.create_engine(url)), sealed_file(tmp_path / "sealed"), State.UPLOADING)
    with sa.create_engine(url).connect() as frozen:
        frozen.exec_driver_sql("select * from liveramp_deliveries for update")
        with pytest.raises(LedgerError, match="lock timeout"):
            claim.renew()
    claim.renew()


def test_a_frozen_migration(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a migration."""
    monkeypatch.setattr(schema, "LOCK_TIMEOUT_S", 1)
    with sa.create_engine(url).connect() as frozen:
        frozen.exec_driver_sql(schema._BEGIN_ALONE["postgresql"])
        with pytest.raises(LedgerError, match="lock timeout"):
            Ledger(sa.create_engine(url))
    Ledger(sa.create_engine(url))
