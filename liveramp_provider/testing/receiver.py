"""What happens to a file once LiveRamp has picked it up: routing, rules, seed configuration, ingestion."""

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from liveramp_provider.testing.archive import Archive
from liveramp_provider.testing.envelope import is_encrypted, name_problems, open_envelope
from liveramp_provider.testing.file_rules import Reading, read_file
from liveramp_provider.testing.holdings import Holdings, updated
from liveramp_provider.testing.keys import CannotOpenError, PgpKeys
from liveramp_provider.testing.seed import seed_of
from liveramp_provider.testing.values import LiveRampAudience, ReceivedFile, Status


class Receiver:
    """Reads picked-up files one after the other. Every method may be called from any thread."""

    def __init__(self, home: Path, *, audiences: Sequence[LiveRampAudience], keys: PgpKeys) -> None:
        self._audiences = {audience.name: audience for audience in audiences}
        if len(self._audiences) != len(audiences):
            raise ValueError("two audiences of the box have the same name")
        self._keys = keys
        self._archive = Archive(home)
        self._holdings = Holdings(home / "members")
        self._lock = threading.Lock()
        self._taking = threading.Lock()

    def take(self, path: Path, remote: PurePosixPath) -> int:
        """Move a finished file out of its folder, as LiveRamp does, and return its number for `read`."""
        # Not under the lock: a file must not have to wait in its folder while an earlier one is being read.
        with self._taking:
            return self._archive.take(path, remote)

    def read(self, number: int) -> None:
        """Decide what becomes of a taken file, and do it."""
        with self._lock:
            self._settle(number, self._arrival(number))
            self._archive.save()

    def catch_up(self) -> None:
        """Read what was taken before the box was stopped but not read."""
        for number in self._archive.unread():
            self.read(number)

    def files(self) -> tuple[ReceivedFile, ...]:
        """Return every received file in order of arrival."""
        with self._lock:
            return tuple(file for _, file in sorted(self._archive.files.items()))

    def members(self, audience: str) -> frozenset[str]:
        """Return the audience keys that `audience` holds now.

        :raises KeyError: The box has no such audience.
        """
        with self._lock:
            return frozenset(self._holdings.of(self._audiences[audience].name))

    def segments(self) -> dict[str, int]:
        """Return the number of members of every audience."""
        with self._lock:
            return {name: len(self._holdings.of(name)) for name in self._audiences}

    def decrypted(self, name: str) -> bytes:
        """Return the plain bytes of the newest received file called `name`.

        :raises KeyError: The box has not received such a file.
        :raises CannotOpenError: The file cannot be decrypted or unzipped.
        """
        with self._lock:
            numbers = [number for number, file in self._archive.files.items() if file.name == name]
            if not numbers:
                raise KeyError(f"the box has not received a file called {name}")
            return open_envelope(self._archive.locate(max(numbers))[0], self._keys)

    def map_paused(self, audience: str) -> tuple[ReceivedFile, ...]:
        """Map the paused file of `audience`, as a person at LiveRamp would, and release the files behind it.

        :raises ValueError: No file of the audience is paused.
        """
        with self._lock:
            waiting = self._archive.waiting.pop(audience, [])
            if not waiting:
                raise ValueError(f"no file of {audience!r} is paused")
            # Without a seed, the paused file freezes its own configuration when it is ingested.
            del self._archive.seeds[audience]
            for number in waiting:
                self._settle(number, self._archive.files[number])
            self._archive.save()
            return tuple(self._archive.files[number] for number in waiting)

    def _arrival(self, number: int) -> ReceivedFile:
        path, remote = self._archive.locate(number)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        audience = self._route(remote)
        return ReceivedFile(
            name=remote.name,
            folder=str(remote.parent),
            audience=audience.name if audience else None,
            status="unrouted",
            problems=(),
            rows=0,
            unique_keys=0,
            header=(),
            size_bytes=path.stat().st_size,
            sha256=sha256,
            encrypted=is_encrypted(remote.name),
            received_at=datetime.now(UTC),
        )

    def _route(self, remote: PurePosixPath) -> LiveRampAudience | None:
        for audience in self._audiences.values():
            if audience.folder == str(remote.parent) and re.fullmatch(audience.filename, remote.name):
                return audience
        return None

    def _settle(self, number: int, file: ReceivedFile) -> None:
        problems = name_problems(file.name)
        if problems or file.audience is None:
            status: Status = "rejected" if problems else "unrouted"
            self._archive.files[number] = replace(file, status=status, problems=problems)
            return
        audience = self._audiences[file.audience]
        reading = self._examined(number, audience)
        self._archive.files[number] = replace(
            self._judged(number, file, reading, audience),
            rows=reading.rows,
            unique_keys=len(reading.held),
            header=reading.header,
        )

    def _examined(self, number: int, audience: LiveRampAudience) -> Reading:
        try:
            content = open_envelope(self._archive.locate(number)[0], self._keys)
        except CannotOpenError as error:
            return Reading(problems=(str(error),))
        return read_file(content, kind=audience.kind, mapping=audience.mapping)

    def _judged(self, number: int, file: ReceivedFile, reading: Reading, audience: LiveRampAudience) -> ReceivedFile:
        if reading.problems:
            return replace(file, status="rejected", problems=reading.problems)
        waiting = self._archive.waiting.setdefault(audience.name, [])
        if waiting:
            waiting.append(number)
            return replace(file, status="queued", problems=("Queued behind a paused file of the same audience.",))
        seed = seed_of(reading, kind=audience.kind, folder=file.folder, name=file.name)
        frozen = self._archive.seeds.get(audience.name, seed)
        if differences := frozen.differences(seed):
            waiting.append(number)
            return replace(file, status="paused", problems=differences)
        # Segment columns that were appended belong to the configuration from now on.
        self._archive.seeds[audience.name] = seed
        held = updated(self._holdings.of(audience.name), reading, audience.update_method)
        self._holdings.replace(audience.name, held)
        return replace(file, status="ingested", problems=())
