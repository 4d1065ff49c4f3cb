"""What the box remembers of its files: the received bytes, what became of them, seeds and queues."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from liveramp_provider.testing.private_files import private_folder, write_private
from liveramp_provider.testing.seed import SeedConfiguration
from liveramp_provider.testing.values import ReceivedFile


class Archive:
    """Received files by number of arrival, and the state of every audience. `save` makes changes last."""

    def __init__(self, home: Path) -> None:
        self._state = home / "state.json"
        self._received = private_folder(home / "received")
        stored = json.loads(self._state.read_bytes()) if self._state.exists() else {}
        self.files: dict[int, ReceivedFile] = {
            int(number): _file_from_json(file) for number, file in stored.get("files", {}).items()
        }
        self.seeds: dict[str, SeedConfiguration] = {
            audience: SeedConfiguration.from_json(seed) for audience, seed in stored.get("seeds", {}).items()
        }
        # The first of the waiting files is the paused one; the others queue behind it.
        self.waiting: dict[str, list[int]] = stored.get("waiting", {})
        self._last = max((int(entry.name) for entry in self._received.iterdir()), default=0)

    def save(self) -> None:
        """Write the state to disk in one step."""
        state = {
            "files": {number: _file_to_json(file) for number, file in sorted(self.files.items())},
            "seeds": {audience: seed.to_json() for audience, seed in self.seeds.items()},
            "waiting": self.waiting,
        }
        write_private(self._state, json.dumps(state, indent=1).encode())

    def take(self, path: Path, remote: PurePosixPath) -> int:
        """Move `path` out of the client's sight and return its number. Its remote path is kept as folders."""
        self._last += 1
        folder = private_folder(self._received / f"{self._last:06}" / remote.parent.relative_to("/"))
        path.replace(folder / remote.name).chmod(0o600)
        return self._last

    def unread(self) -> list[int]:
        """Return the files that were taken but not read, because the box was stopped in between."""
        numbers = sorted(int(entry.name) for entry in self._received.iterdir())
        return [number for number in numbers if number not in self.files and self._content(number)]

    def locate(self, number: int) -> tuple[Path, PurePosixPath]:
        """Return where the bytes of a received file are, and the path under which the client had put it."""
        found = self._content(number)
        if found is None:
            raise FileNotFoundError(f"received file {number} is gone from the box's home")
        return found, PurePosixPath("/") / found.relative_to(self._received / f"{number:06}").as_posix()

    def _content(self, number: int) -> Path | None:
        inside = (self._received / f"{number:06}").rglob("*")
        return next((path for path in inside if path.is_file()), None)


def _file_to_json(file: ReceivedFile) -> dict[str, Any]:
    return {**asdict(file), "received_at": file.received_at.isoformat()}


def _file_from_json(stored: dict[str, Any]) -> ReceivedFile:
    return ReceivedFile(
        **{
            **stored,
            "problems": tuple(stored["problems"]),
            "header": tuple(stored["header"]),
            "received_at": datetime.fromisoformat(stored["received_at"]),
        }
    )
