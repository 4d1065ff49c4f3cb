"""Folders that the command line works in."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder() -> Path:
    """A folder of this user alone, where what a killed run left is found again by the next."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liveramp"


@contextmanager
def staging_in(folder: Path, *, named_by: str) -> Iterator[Path]:
    """A place to work on the same disk as `folder`, gone afterwards; with it goes what killed runs left there."""
    from liveramp_provider.core.staging.scratch import scratch_folder

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with scratch_folder(folder) as staging:
            yield staging
    except OSError as error:
        reason = error.strerror or "cannot be written to"
        raise ConfigError(f"{named_by} {folder}: {reason}. Name another folder.") from None
