"""Sealed stages in a folder: each gets its name in one rename, when it is complete."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.staging.scratch import scratch_folder
from liveramp_provider.core.staging.store import MANIFEST, StoredStage, is_key

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class FolderStore:
    """The stages below one folder of this machine."""

    local: Path

    @property
    def address(self) -> str:
        """The folder's path."""
        return str(self.local)

    def keys(self, prefix: str) -> list[str]:
        """The sealed stages whose key begins so."""
        found = self.local.glob(f"{prefix}*/{MANIFEST}")
        keys = [manifest.parent.relative_to(self.local).as_posix() for manifest in found]
        return [key for key in keys if is_key(key)]

    def manifest(self, key: str) -> bytes:
        """The manifest of a stage; empty where it is not sealed."""
        with suppress(FileNotFoundError):
            return (self.local / key / MANIFEST).read_bytes()
        return b""

    def put(self, key: str, content: Path) -> bool:
        """Move the folder `content`, which lies on the same file system; ``False``: somebody else was first."""
        folder = self.local / key
        try:
            with suppress(FileNotFoundError):
                _rename(content, folder)
            if content.exists():  # a remover has just taken the folder of the day, because it was empty
                _rename(content, folder)
        except OSError:
            if self.manifest(key):
                return False
            raise
        sync(folder.parent)
        return True

    def fetch(self, key: str) -> Path:
        """The folder of a sealed stage.

        :raises SealBrokenError: It is gone.
        """
        folder = self.local / key
        if not (folder / MANIFEST).is_file():
            raise SealBrokenError(f"{folder} is not staged any more. Clear the task that sealed it.")
        return folder

    def stages(self) -> Iterator[StoredStage]:
        """Everything that lies here; what is behind a symbolic link lies elsewhere."""
        for audience in _folders(self.local):
            for day in _folders(audience):
                for folder in _folders(day):
                    key = folder.relative_to(self.local).as_posix()
                    stage = _stage(key, folder) if is_key(key) else None
                    if stage is not None:
                        yield stage

    def remove(self, key: str) -> None:
        """Remove a stage and the folders of its day and audience, if they are empty then."""
        folder = self.local / key
        # In one step, so that there is no half of a stage; a killed remover's rest is swept.
        with scratch_folder(self.local) as gone, suppress(FileNotFoundError):
            folder.rename(gone / "removed")
        with suppress(OSError):
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def sync(path: Path) -> None:
    """Write a file or folder through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(content: Path, folder: Path) -> None:
    # Not with its parents at once: that fails when a remover takes an empty one between two looks.
    for parent in (folder.parent.parent, folder.parent):
        with suppress(FileExistsError):
            parent.mkdir()
    content.rename(folder)


def _folders(parent: Path) -> list[Path]:
    with suppress(FileNotFoundError), os.scandir(parent) as entries:
        return sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))
    return []


def _stage(key: str, folder: Path) -> StoredStage | None:
    """The stage in `folder`; ``None`` when somebody has just removed it."""
    try:
        files = {path.name: path.lstat() for path in folder.iterdir()}
        sealed_at = files.get(MANIFEST, folder.lstat()).st_mtime
    except FileNotFoundError:
        return None
    size_bytes = sum(file.st_size for file in files.values())
    return StoredStage(key=key, sealed_at=datetime.fromtimestamp(sealed_at, UTC), size_bytes=size_bytes)
