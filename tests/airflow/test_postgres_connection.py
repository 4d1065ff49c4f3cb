"""A connection of PostgreSQL, as Airflow keeps it: what its extras ask for is what the server gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from liveramp_provider import settings
from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.errors import SourceUnavailableError
from liveramp_provider.core.sources.sql import land_query
from tests.core.pipeline import DAY
from tests.core.test_sources_postgres import is_copy, without_adbc
from tests.servers import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.airflow.conftest import Installation

QUERY = "select ssl::text as ssl, current_query() as query from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(server: PostgresServer) -> Path:
    return server.accept_only_tls()


def landed(server: PostgresServer, installation: Installation, extra: str, folder: Path) -> dict[str, str]:
    """The one row of the query above, read over a connection with these extras."""
    url = sa.make_url(server.url)
    where = f'"host": "{url.host}", "port": {url.port}, "login": "{url.username}", "schema": "{url.database}"'
    installation.connect("warehouse", f'{{"conn_type": "postgres", {where}, "extra": {extra}}}')
    target = folder / "rows.parquet"
    with settings.workspace() as workspace:
        land_query(
            SqlSource(conn_id="warehouse", query=QUERY, current=True),
            workspace.connect("warehouse"),
            parameters={"snapshot_date": DAY, "audience": "vip"},
            columns=("ssl", "query"),
            target=target,
            label="membership",
        )
    row: dict[str, str] = pq.read_table(target).to_pylist()[0]
    return row


@pytest.mark.parametrize("adbc", [True, False], ids=["copy", "stream"])
def test_a_verified_connection(
    server: PostgresServer,
    certificate: Path,
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    adbc: bool,
) -> None:
    """With the server's authority named, both ways read over TLS."""
    if not adbc:
        without_adbc(monkeypatch)
    extra = f'{{"sslmode": "verify-full", "sslrootcert": "{certificate}"}}'
    row = landed(server, installation, extra, tmp_path)
    assert row["ssl"] == "true"
    assert is_copy(row["query"]) == adbc


@pytest.mark.usefixtures("certificate")
@pytest.mark.parametrize("extra", ['{"sslmode": "disable"}', '{"sslmode": "verify-ca", "sslrootcert": "/dev/null"}'])
def test_extras_are_not_forgotten(
    server: PostgresServer, installation: Installation, tmp_path: Path, extra: str
) -> None:
    """Where the server has no TLS to the connection's liking, or the other way round, nothing is read."""
    with pytest.raises(SourceUnavailableError, match="membership: warehouse failed"):
        landed(server, installation, extra, tmp_path)
