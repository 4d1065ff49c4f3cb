"""Sealed files, destinations and ways to servers, put together by hand for the tests of delivery."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from liveramp_provider.core.artifacts import SealedFile
from liveramp_provider.core.destinations.liveramp import LiveRamp
from liveramp_provider.core.errors import LiveRampError, TransportError
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED
from liveramp_provider.core.ledger import Ledger
from liveramp_provider.core.ledger.reading import recorded
from liveramp_provider.core.pipeline.deliver import deliver
from liveramp_provider.core.transports.s3 import S3Transport
from liveramp_provider.core.transports.sftp import Deadlines, SftpEndpoint, SftpTransport

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import Receipt
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.guards.acceptance import Acceptance
    from liveramp_provider.core.ledger import Claim, Delivery, State
    from liveramp_provider.core.transports import Transport
    from liveramp_provider.testing import FakeS3
    from liveramp_provider.testing.sftp import FaultySftp
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


def destination(folder: Path | str, **changes: Any) -> Destination:
    """A destination that delivers to `folder`."""
    default = LiveRamp(
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
        max_shrink_percent=50,
    )
    return replace(default, **changes)


#: For servers that say nothing: an answer that comes at all comes within this time.
QUICK = Deadlines(connect_s=5, operation_s=1, keepalive_s=15)


def way_to(server: OpenSshServer | FaultySftp, **changes: Any) -> SftpTransport:
    """The right way to log in to `server`, apart from `changes`."""
    endpoint = SftpEndpoint(
        host=server.host,
        port=server.port,
        username=server.username,
        password=getattr(server, "password", ""),
        private_key=getattr(server, "private_key", ""),
        passphrase="",
        host_keys=(server.host_key,),
        known_hosts="",
    )
    return SftpTransport(replace(endpoint, **changes))


_session: list[Any] = []
_opening = threading.Lock()


def s3_client(**options: Any) -> Any:
    """A client of boto3 that gives up after a second and tries three times."""
    import boto3
    from botocore.config import Config

    config = Config(read_timeout=1, connect_timeout=1, retries={"mode": "standard", "total_max_attempts": 3})
    with _opening:  # a session reads the models of S3 once, and is not safe for threads
        _session[:] = _session or [boto3.session.Session()]
        return _session[0].client("s3", **{"region_name": "us-east-1", "config": config, **options})


def way_to_s3(s3: FakeS3, *, kms_key_id: str = "", **changes: Any) -> S3Transport:
    """The right way to write into `s3`, apart from `changes` to the client."""
    options = {
        "endpoint_url": s3.endpoint_url,
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
    }
    return S3Transport(connect=partial(s3_client, **{**options, **changes}), kms_key_id=kms_key_id)


@dataclass
class Delivering:
    """One sealed file, one ledger, one place at a receiver; as many tries as a test likes."""

    file: SealedFile
    ledger_file: Path
    path: str
    transport: Transport

    @property
    def ledger(self) -> Ledger:
        return Ledger.in_file(self.ledger_file)

    @property
    def folder(self) -> Path:
        """The place, where it is a folder of this machine."""
        return Path(self.path)

    def deliver(
        self,
        file: SealedFile | None = None,
        *,
        holder: str = "run 1",
        folder: Path | str | None = None,
        why: str = "",
        acceptance: Acceptance = NOTHING_ACCEPTED,
        **changes: Any,
    ) -> Receipt:
        """Deliver `file` to the destination as it is with `changes`."""
        return deliver(
            file or self.file,
            destination(folder or self.path, **changes),
            transport=self.transport,
            ledger=self.ledger,
            holder=holder,
            why=why,
            acceptance=acceptance,
        )

    def tried(self, tries: int = 4) -> str:
        """What became of it, tried as Airflow would: the evidence, or an error's name."""
        for _ in range(tries):
            try:
                return self.deliver().evidence
            except TransportError:
                continue
            except LiveRampError as error:
                return type(error).__name__
        return TransportError.__name__

    def claim(self, *way: State, holder: str = "run 1") -> Claim:
        """A claim that has come the way through these states, its upload named ``.upload.tmp``."""
        claim = self.ledger.claim(self.file, folder=self.path, holder=holder)
        for state in way:
            claim.advance(state, temp_path=f"{self.path}/.upload.tmp")
        return claim

    def recorded(self) -> Delivery:
        """What the ledger says of the one delivery."""
        (found,) = recorded(self.ledger_file)
        return found


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
