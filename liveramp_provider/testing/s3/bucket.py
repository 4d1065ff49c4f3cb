"""A bucket: every version of every object, and the rule that a conditional write creates a key or does nothing."""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from liveramp_provider.testing.private_files import private_folder, write_private
from liveramp_provider.testing.s3.digests import Digests
from liveramp_provider.testing.s3.faults import Refusal

#: Called with the bytes of a new version, to keep, and its key; the client is answered when it returns.
Arrived = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One write of an object. A client that overwrites makes a second version, and LiveRamp reads both.

    :param number: Counted from 1 for each key.
    :param checksums: The digests that the client sent and S3 checked, by header.
    :param encryption: What the client asked for, by header.
    """

    key: str
    number: int
    size_bytes: int
    sha256: str
    checksums: dict[str, str]
    encryption: dict[str, str]


class Bucket:
    """Objects below a folder, kept over restarts. Every method may be called from any thread."""

    def __init__(self, home: Path, arrived: Arrived) -> None:
        self._objects = private_folder(home / "objects")
        self._drafts = private_folder(home / "drafts")
        self._arrived = arrived
        self._lock = threading.Lock()
        self._creating: set[str] = set()
        self._versions: dict[str, list[Version]] = {}
        for path in sorted(self._objects.glob("*/*.json")):
            version = Version(**json.loads(path.read_bytes()))
            self._versions.setdefault(version.key, []).append(version)

    def versions(self, key: str) -> tuple[Version, ...]:
        """Return every write of the object, the first one first."""
        with self._lock:
            return tuple(self._versions.get(key, ()))

    def writes(self) -> tuple[Version, ...]:
        """Return every write of every object, by key."""
        with self._lock:
            return tuple(version for _, found in sorted(self._versions.items()) for version in found)

    def objects(self) -> dict[str, bytes]:
        """Return the newest bytes of every object."""
        with self._lock:
            return {key: self._content(found[-1]).read_bytes() for key, found in sorted(self._versions.items())}

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A file to take bytes in, which is gone afterwards unless it became something else."""
        path = self._drafts / secrets.token_hex(8)
        path.touch(mode=0o600)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def creating(self, key: str) -> Iterator[None]:
        """A conditional write of `key` is under way.

        :raises Refusal: Another one is, or the object exists.
        """
        with self._lock:
            if key in self._creating:
                raise Refusal(409, "ConditionalRequestConflict")
            self._refuse_existing(key)
            self._creating.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._creating.discard(key)

    def store(
        self,
        key: str,
        draft: Path,
        digests: Digests,
        *,
        only_new: bool,
        checksums: Mapping[str, str],
        encryption: Mapping[str, str],
    ) -> Version:
        """Make the bytes in `draft` the newest version of `key`, and tell who wants to know.

        :raises Refusal: The object exists and is not to be replaced.
        """
        with self._lock:
            if only_new:
                self._refuse_existing(key)
            version = Version(
                key=key,
                number=len(self._versions.get(key, ())) + 1,
                size_bytes=draft.stat().st_size,
                sha256=digests.sha256,
                checksums=dict(checksums),
                encryption=dict(encryption),
            )
            content = self._content(version)
            private_folder(content.parent)
            draft.replace(content)
            write_private(content.with_suffix(".json"), json.dumps(asdict(version)).encode())
            self._versions.setdefault(key, []).append(version)
        self._arrived(content, key)
        return version

    def _refuse_existing(self, key: str) -> None:
        if key in self._versions:
            raise Refusal(412, "PreconditionFailed")

    def _content(self, version: Version) -> Path:
        # A key may be longer than a file's name.
        folder = self._objects / hashlib.sha256(version.key.encode()).hexdigest()[:32]
        return folder / f"{version.number:06}.bytes"
