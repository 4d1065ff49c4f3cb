"""What every kind of staging can do with sealed stages: a folder does it, and a bucket of S3."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "manifest.json"

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}/(?P<day>\d{4}-\d\d-\d\d)/[A-Za-z0-9_-]+-[0-9a-f]{16}(-[0-9a-f]{8})?", re.ASCII)


def is_key(text: str) -> bool:
    """Whether it is a stage's key, ``<audience>/<day>/<stage>-<digest>``; nothing else is ever read or removed."""
    found = _KEY.fullmatch(text)
    with suppress(ValueError):
        return found is not None and bool(date.fromisoformat(found["day"]))
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStage:
    """A stage as it lies there, sealed or left half-way.

    :param sealed_at: When its manifest was written; where there is none, when it was last touched.
    """

    key: str
    sealed_at: datetime
    size_bytes: int

    @property
    def audience(self) -> str:
        """Id of its audience."""
        return self.key.split("/")[0]

    @property
    def day(self) -> date:
        """Its snapshot day."""
        return date.fromisoformat(self.key.split("/")[1])


class Store(Protocol):
    """Where sealed stages lie: each is one file and its manifest, and there as a whole or not at all.

    :raises StagingError: From every method: it does not answer now.
    :raises StagingConfigError: From every method: it is not there, or may not be used.
    """

    @property
    def address(self) -> str:
        """What the address of every stage begins with."""

    @property
    def local(self) -> Path:
        """The folder of this machine in which stages that were put or fetched lie, each under its key."""

    def keys(self, prefix: str) -> list[str]:
        """The sealed stages whose key begins so."""

    def manifest(self, key: str) -> bytes:
        """The manifest of a stage; empty where it is not sealed."""

    def put(self, key: str, content: Path) -> bool:
        """Seal the folder `content`, which holds a file and its manifest; ``False``: somebody else was first."""

    def fetch(self, key: str) -> Path:
        """The folder of a sealed stage on this machine.

        :raises SealBrokenError: It is gone, or its bytes are not those that were sealed.
        """

    def stages(self) -> Iterator[StoredStage]:
        """Everything that lies here."""

    def remove(self, key: str) -> None:
        """Remove a stage; whoever is just reading it may read on."""
