"""Stand-ins for receivers of files: LiveRamp in a box and plain folders by SFTP, a bucket by S3."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from liveramp_provider.core.destination import IdentifierColumn, PiiFile, SegmentColumn
from liveramp_provider.core.destinations.liveramp import REGIONS, LiveRamp, identifier_of_header
from liveramp_provider.testing.box import LiveRampBox
from liveramp_provider.testing.envelope import is_encrypted, open_envelope
from liveramp_provider.testing.keys import PgpKeys, pgp_keys
from liveramp_provider.testing.s3 import FakeS3
from liveramp_provider.testing.stand_ins.held import Held, in_words, read_plain
from liveramp_provider.testing.values import LiveRampAudience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination

#: What no file name has, and no pattern minds.
_DAY = "@"


class SftpStandIn:
    """One SFTP server: LiveRamp's audiences are ingested as LiveRamp does, other receivers' files are kept as they are.

    The box knows LiveRamp's rules for the United States; of other regions it keeps the files, too.

    :raises ValueError: A folder is not below ``/uploads``.
    """

    def __init__(self, home: Path, audience: Audience, destinations: Sequence[Destination]) -> None:
        self._destinations = destinations
        self._audiences = {
            (there.id, file.slot): _liveramp_audience(audience, there, file, alone=len(destinations) == 1)
            for there in destinations
            if isinstance(there, LiveRamp) and there.region == "us"
            for file in there.files
        }
        folders = [there.path for there in destinations]
        for folder in folders:
            if not re.fullmatch(r"/uploads(/[^/]+)*/?", folder):
                raise ValueError(f"{folder}: the SFTP server of this machine has folders below /uploads only.")
        self.box = LiveRampBox(home, audiences=list(self._audiences.values()), folders=folders)
        self.keys = pgp_keys(home / "pgp")

    def __enter__(self) -> Self:
        """Start the server."""
        self.box.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.box.__exit__(None, None, None)

    @property
    def greeting(self) -> str:
        """Where it is."""
        who = "LiveRamp in a box" if self._audiences else f"A folder for {_receivers(self._destinations)}"
        return f"{who} listens on {self.box.host}:{self.box.port}; its PGP key is {self.box.pgp_fingerprint[-16:]}"

    def connection_json(self) -> str:
        """The way to it, as an Airflow connection."""
        return self.box.connection_json()

    def arrivals(self) -> tuple[str, ...]:
        """What has come, a sentence each."""
        return tuple(
            f"LiveRamp got {file.name}, {file.status}: {file.rows:,} rows"
            if file.audience
            else f"{file.folder} got {file.name}"
            for file in self.box.files()
        )

    def held(self, destination: Destination, file: DeliveryFile, name: str) -> Held | None:
        """The file of that name, as it lies here."""
        came = [one for one in self.box.files() if (one.folder, one.name) == (destination.path.rstrip("/"), name)]
        if not came:
            return None
        newest = came[-1]
        audience = self._audiences.get((destination.id, file.slot))
        if audience is None:
            header, rows = read_plain(self.box.decrypted(name), file.rules.layout)
            in_folder = sum(one.folder == newest.folder for one in self.box.files())
            shown: dict[str, str | int] = {"folder": newest.folder, "files": in_folder}
            refusal, state = "", "kept"
        else:
            header, rows = newest.header, newest.rows
            members = self.box.segments()[audience.name]
            shown = {"segment": audience.name, "members": members}
            taken = newest.status == "ingested" and newest.audience == audience.name
            refusal, state = "" if taken else f"{newest.status}: {'; '.join(newest.problems)}", newest.status
            in_segment = any(isinstance(column, SegmentColumn) for column in file.columns)
            if taken and in_segment and members < rows:
                # Incremental segments only grow. Rows without such a column may be in no segment at all.
                refusal = f"{audience.name} holds {members:,} of {rows:,}"
        words = in_words(rows, len(file.headers), encrypted=newest.encrypted)
        return Held(
            times=len(came),
            sha256=newest.sha256,
            rows=rows,
            header=header,
            refusal=refusal,
            shown=shown | {"newest file": f"{state}: {words}"},
        )


class S3StandIn:
    """One bucket, which keeps what is put there.

    :raises ValueError: The connection leads to two buckets.
    """

    def __init__(self, home: Path, destinations: Sequence[Destination]) -> None:
        self._destinations = destinations
        self._home = home
        buckets = sorted({_bucket_and_prefix(there)[0] for there in destinations})
        if len(buckets) > 1:
            raise ValueError(f"{' and '.join(buckets)}: this machine has one bucket for each connection.")
        self.s3 = FakeS3(home, bucket=buckets[0])
        self.keys = pgp_keys(home / "pgp")

    def __enter__(self) -> Self:
        """Start the server."""
        self.s3.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.s3.__exit__(None, None, None)

    @property
    def greeting(self) -> str:
        """Where it is."""
        who = _receivers(self._destinations)
        return f"A fake S3 for {who} has the bucket {self.s3.bucket_name} at {self.s3.endpoint_url}"

    def connection_json(self) -> str:
        """The way to it, as an Airflow connection."""
        return self.s3.connection_json()

    def arrivals(self) -> tuple[str, ...]:
        """What has come, a sentence each."""
        return tuple(f"s3://{self.s3.bucket_name} got {write.key}" for write in self.s3.writes())

    def held(self, destination: Destination, file: DeliveryFile, name: str) -> Held | None:
        """The object of that name."""
        bucket, prefix = _bucket_and_prefix(destination)
        key = f"{prefix}{name}"
        versions = self.s3.versions(key)
        if not versions:
            return None
        header, rows = read_plain(_opened(self.s3.objects()[key], name, keys=self.keys), file.rules.layout)
        objects = len({write.key for write in self.s3.writes() if write.key.startswith(prefix)})
        words = in_words(rows, len(file.headers), encrypted=is_encrypted(name))
        return Held(
            times=len(versions),
            sha256=versions[-1].sha256,
            rows=rows,
            header=header,
            refusal="",
            shown={"bucket": f"{bucket}/{prefix}", "objects": objects, "newest file": f"kept: {words}"},
        )


def _liveramp_audience(audience: Audience, there: LiveRamp, file: DeliveryFile, *, alone: bool) -> LiveRampAudience:
    """What LiveRamp's support would have set up for a file."""
    name = there.filename.format(org=there.org, audience=audience.id, kind=file.slot, date=_DAY, upload_date=_DAY)
    return LiveRampAudience(
        name=f"{audience.name}-{file.slot}" + ("" if alone else f" ({there.id})"),
        folder=there.path.rstrip("/"),
        filename=re.escape(name).replace(_DAY, r"\d{4}-\d\d-\d\d") + r"(_r\d+)?\.csv.*",
        kind="known" if isinstance(file, PiiFile) else "pseudonymous",
        update_method=there.update_method,
        mapping=_mapping(file, REGIONS[there.region].headers),
    )


def _mapping(file: DeliveryFile, headers: Mapping[str, str]) -> dict[str, str]:
    """What somebody at LiveRamp has set for headers that do not say by themselves what their column holds.

    :param headers: LiveRamp's own, by trait.
    """
    mapping, seen = {}, Counter[tuple[str, object]]()
    for column in file.columns:
        if not isinstance(column, IdentifierColumn):
            continue
        if identifier_of_header(column.header) == (column.identifier, column.hash):
            continue
        seen[column.identifier, column.hash] += 1
        number = seen[column.identifier, column.hash]
        label = headers.get(f"{column.identifier}{number if number > 1 else ''}")
        if label is not None:
            mapping[column.header] = label + (f"_{column.hash.upper()}" if column.hash else "")
    return mapping


def _receivers(destinations: Sequence[Destination]) -> str:
    return " and ".join(dict.fromkeys(there.receiver for there in destinations))


def _bucket_and_prefix(destination: Destination) -> tuple[str, str]:
    bucket, _, prefix = destination.path.removeprefix("s3://").partition("/")
    return bucket, f"{prefix.rstrip('/')}/" if prefix else ""


def _opened(content: bytes, name: str, *, keys: PgpKeys) -> bytes:
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        path = Path(folder) / PurePosixPath(name).name
        path.write_bytes(content)
        return open_envelope(path, keys)
