"""Folders and files that only their owner can read."""

import os
from collections.abc import Callable
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Return `path` as a folder of mode 0700, making it and its parents where needed."""
    # mkdir(parents=True) gives parents the default mode, so each level is made here.
    if not path.parent.is_dir():
        private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step, mode 0600. A crash leaves the old file or the new one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def append_private(path: Path, content: bytes) -> None:
    """Add `content` to the end of `path`, mode 0600; made if it is missing."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        file.write(content)


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what `path` holds; the first time, what `make` gives, which is then kept there."""
    if not path.exists():
        write_private(path, make())
    return path.read_bytes()
