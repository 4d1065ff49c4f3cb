"""A real object store with an S3 API that is not Amazon's: what is delivered to it, read from it and staged there."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Never

import pytest

from liveramp_provider.core.audience import FilesSource
from liveramp_provider.core.errors import ConnectionConfigError, StagingConfigError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.pipeline.extract import extract
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.staging.s3 import S3Store
from liveramp_provider.core.transports.s3 import S3Transport
from liveramp_provider.core.workspace import Workspace
from tests.core.pipeline import audience, parquet
from tests.deliveries import Delivering, sealed_file
from tests.slow.swift import SwiftServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with SwiftServer(tmp_path_factory.mktemp("swift") / "home") as server:
        server.client().create_bucket(Bucket="drop")
        yield server


def test_no_delivery_where_an_object_might_be_replaced(swift: SwiftServer, tmp_path: Path) -> None:
    """Swift refuses a write on condition, so the delivery is refused, nothing is there, and nobody has to wonder."""
    file = sealed_file(tmp_path / "sealed", b"sealed bytes")
    to = S3Transport(connect=swift.client)
    delivering = Delivering(file, tmp_path / "ledger.sqlite", "s3://drop/in", to)
    with pytest.raises(ConnectionConfigError, match="does not know If-None-Match or digests"):
        delivering.deliver()
    assert delivering.recorded().state is State.SEALED
    assert "Contents" not in swift.client().list_objects_v2(Bucket="drop", Prefix="in/")


def test_members_are_read(swift: SwiftServer, tmp_path: Path) -> None:
    """Listing and reading need nothing that Swift lacks."""
    swift.client().put_object(Bucket="drop", Key=f"vip/ds={DAY}/1.csv", Body=b"customer_id\n007\n008\n")
    source = FilesSource(conn_id="swift", path="s3://drop/vip/ds={snapshot_date}/*.csv", format="csv", current=False)
    here = Workspace(staging=Staging(tmp_path / "stages"), connect=_no_database, s3=lambda _: swift.client())
    assert extract(audience(members=source, traits={}, traits_from=source, files=[]), DAY, workspace=here).members == 2


def test_nothing_is_staged(swift: SwiftServer, tmp_path: Path) -> None:
    """Staging needs a KMS key, which Swift does not know: it refuses, that is told, and nobody's data stays there."""
    store = S3Store.at("s3://drop/staging", client=swift.client(), kms_key_id="", local=tmp_path / "copies")
    source = parquet(tmp_path / "vip.parquet", {"customer_id": ["1"]})
    here = Workspace(staging=Staging(tmp_path / "stages", store), connect=_no_database)
    with pytest.raises(StagingConfigError, match=r"S3 refuses \(NotImplemented\)"):
        extract(audience(members=source, traits={}, traits_from=source, files=[]), DAY, workspace=here)
    assert "Contents" not in swift.client().list_objects_v2(Bucket="drop", Prefix="staging/")


def _no_database(conn_id: str) -> Never:
    raise AssertionError(conn_id)
