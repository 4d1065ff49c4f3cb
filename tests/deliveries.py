"""Sealed files, destinations and ways to servers, put together by hand for the tests of delivery."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

from liveramp_provider.core.artifacts import SealedFile
from liveramp_provider.core.audience import Destination
from liveramp_provider.core.transports.sftp import SftpEndpoint, SftpTransport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import OpenSshServer

DAY = date(2026, 11, 20)
NAME = "3242_high_value-PII_2026-11-20.csv.gz.gpg"


def sealed_file(path: Path, content: bytes = b"sealed bytes", **changes: Any) -> SealedFile:
    """`content`, written to `path` as the sealed file of 30 members."""
    path.write_bytes(content)
    file = SealedFile(
        path=path,
        audience="high_value",
        destination="liveramp",
        slot="PII",
        day=DAY,
        name=NAME,
        rows=30,
        members=30,
        header=("CCID", "EMAIL1"),
        csv_bytes=1000,
        csv_sha256="c" * 64,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        made_from="b" * 64,
        recipient="A" * 40,
        waterfall={"members": 30, "rows": 30},
        blanked={},
    )
    return replace(file, **changes)


def destination(folder: Path, **changes: Any) -> Destination:
    """A destination that delivers to `folder`."""
    default = Destination(
        id="liveramp",
        conn_id="liveramp_default",
        region="us",
        path=str(folder),
        update_method="incremental",
        org="3242",
        filename="{org}_{audience}-{kind}_{date}",
        compression="gzip",
        encryption=None,
        files=(),
        min_members=25,
    )
    return replace(default, **changes)


def way_to(server: OpenSshServer, **changes: Any) -> SftpTransport:
    """The right way to log in to `server`, apart from `changes`."""
    endpoint = SftpEndpoint(
        host=server.host,
        port=server.port,
        username=server.username,
        password="",
        private_key=server.private_key,
        passphrase="",
        host_keys=(server.host_key,),
        known_hosts="",
    )
    return SftpTransport(replace(endpoint, **changes))


def listing(folder: Path) -> dict[str, bytes]:
    """All files of `folder` with their bytes; it must be at rest."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


class PausedFile:
    """Bytes to send that come only when they are told to: a pipe, so that an upload can be held half-way.

    A context manager: whoever still waits for the bytes at its end gets none.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        os.mkfifo(path)
        self.path = path
        self._content = content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        both_ends = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.path.unlink()
        os.close(both_ends)

    def flow(self) -> None:
        """Let the reader have all the bytes."""
        self.path.write_bytes(self._content)
