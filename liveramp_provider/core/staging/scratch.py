"""Private folders for work in progress that go with their worker, also with one that was killed.

A worker holds the lock of a file in its folder for as long as it lives; when it dies, however it dies, the kernel frees
the lock. Whoever holds the lock owns the folder: its worker, or after it the one sweeper that removes it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = ".lock"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A folder below `root` that only this user can read; it is gone afterwards, also when the work fails.

    What killed workers left below `root` goes first.
    """
    sweep(root)
    mask = os.umask(0o077)
    try:
        folder, lock = _made(_all_below(root))
        try:
            yield folder
        finally:
            _remove(folder, lock)
    finally:
        os.umask(mask)


def sweep(root: Path) -> int:
    """Remove what killed workers left below `root`; how many folders that were. Those of living workers stay."""
    swept = 0
    for folder in _folders(_all_below(root)):
        # Removed by another sweeper meanwhile, or another user's: what cannot be judged stays.
        with suppress(OSError):
            if (lock := _lock_of(folder)) is not None:
                _remove(folder, lock)
                swept += 1
    return swept


def _all_below(root: Path) -> Path:
    return root / ".scratch"


def _folders(parent: Path) -> list[Path]:
    with suppress(FileNotFoundError), os.scandir(parent) as entries:
        return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _made(parent: Path) -> tuple[Path, int]:
    """A new folder and its held lock."""
    parent.parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = parent / secrets.token_hex(8)
        with suppress(FileExistsError):
            parent.mkdir()
        # Gone at once: the last of the others removed the empty parent, or a sweeper saw the folder before its lock.
        with suppress(FileNotFoundError):
            folder.mkdir()
            if (lock := _lock_of(folder)) is not None:
                return folder, lock


def _lock_of(folder: Path) -> int | None:
    """The lock of `folder`, now held; ``None`` when another worker holds it, or has just removed it."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = os.fstat(lock).st_nlink > 0
    except BlockingIOError:
        held = False
    if held:
        return lock
    os.close(lock)
    return None


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    with suppress(OSError):
        folder.parent.rmdir()
