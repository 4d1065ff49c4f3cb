"""When a receiver takes what lies in its folder, and what it got."""

import threading
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath

from liveramp_provider.testing.server import is_final


class Pickup(StrEnum):
    """What kind of server it is, by when it takes a file that has a final name."""

    A = "looks from time to time"
    B = "takes it the moment it is renamed or closed"
    C = "as B, and tells nothing of any file"
    D = "renames nothing, and takes a file when it is closed"
    E = "renames nothing, tells nothing of any file, and takes what a session wrote when that session ends"

    @property
    def renames(self) -> bool:
        """Whether a file can be renamed."""
        return self not in (Pickup.D, Pickup.E)

    @property
    def tells(self) -> bool:
        """Whether a client may look at files."""
        return self not in (Pickup.C, Pickup.E)


class Receiver:
    """Takes files away and keeps them in order of arrival, whole or not."""

    def __init__(self, root: Path, pickup: Pickup) -> None:
        self._root = root
        self._pickup = pickup
        self._taken: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    @property
    def taken(self) -> tuple[tuple[str, bytes], ...]:
        """Every file that was taken, by its name."""
        with self._lock:
            return tuple(self._taken)

    async def pick_up(self, path: Path, remote: PurePosixPath) -> None:
        """A file was closed under a final name, or got one."""
        if self._pickup in (Pickup.B, Pickup.C, Pickup.D):
            self._take(path)

    def session_ended(self, written: Iterable[Path]) -> None:
        """A client has gone, which opened these files to write them."""
        if self._pickup is Pickup.E:
            self._take_final(written)

    def look(self) -> None:
        """Take everything that has a final name."""
        self._take_final(path for path in self._root.rglob("*") if path.is_file())

    def _take_final(self, paths: Iterable[Path]) -> None:
        for path in sorted(path for path in paths if is_final(path.name)):
            self._take(path)

    def _take(self, path: Path) -> None:
        with self._lock:
            if path.is_file():
                self._taken.append((path.name, path.read_bytes()))
                path.unlink()
