"""The folder of an installation, ``[liveramp] home``: where its ledger lies, and its staging unless that is on S3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liveramp_provider.core.staging import Staging


@dataclass(frozen=True, slots=True)
class Home:
    """What lies where in it."""

    folder: Path

    @property
    def ledger(self) -> Path:
        """The SQLite file of the ledger."""
        return self.folder / "ledger.sqlite"

    @property
    def staging(self) -> Staging:
        """Work in progress, and the sealed artefacts of every stage."""
        return Staging(self.folder / "staging")
