"""Where stages leave their sealed artefacts: ``<root>/<audience>/<day>/<stage>-<digest of its inputs>/``.

A stage works in a scratch folder and gets its final name in one rename, when it is complete. The name holds the
digest of the stage's inputs, so a rerun finds what it made before, and nothing sealed is ever overwritten.
Everything here is personal data: folders are 0700, files 0600, scratch folders are removed whatever happens.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from liveramp_provider.core.artifacts import Membership, Profiles, SealedFile

    Artifact = TypeVar("Artifact", Membership, Profiles, SealedFile)

#: Part of the identity of all that is sealed: a new number makes anew what was sealed under older rules, or whose
#: manifest has another form (2: manifests say what they were made from; 3: and what was read of which source).
RULES_VERSION = 3

_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging folder of this installation."""

    root: Path

    def place(self, *, audience_id: str, day: date, stage: str, inputs: Any) -> Place:
        """Where `stage` of that day belongs, given everything its output depends on.

        :param inputs: Any value :mod:`pydantic` can write as JSON; equal inputs give the same place.
        """
        canonical = TypeAdapter(Any).dump_json({"rules": RULES_VERSION, "inputs": inputs})
        digest = hashlib.sha256(json.dumps(json.loads(canonical), sort_keys=True).encode()).hexdigest()
        return Place(folder=self.root / audience_id / day.isoformat() / f"{stage}-{digest[:16]}")

    def find(self, kind: type[Artifact], sha256: str, *, audience_id: str, day: date, stage: str) -> Artifact | None:
        """What `stage` of that day sealed with this digest; ``None`` when it is not staged any more.

        :param stage: The beginning of the folder's name, up to the digest of the inputs.
        """
        for manifest in (self.root / audience_id / day.isoformat()).glob(f"{stage}-*/{_MANIFEST}"):
            # A folder may go while it is looked at, and one of older rules has a manifest of another form.
            with suppress(OSError, ValidationError):
                artifact = load(kind, manifest.parent)
                if artifact.sha256 == sha256 and artifact.path.is_file():
                    return artifact
        return None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder for work in progress; it is gone afterwards, also when the work fails."""
        folder = self.root / ".scratch" / secrets.token_hex(8)
        mask = os.umask(0o077)
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            os.umask(mask)
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Place:
    """One stage's sealed folder, there or yet to be."""

    folder: Path

    def sealed(self, kind: type[Artifact]) -> Artifact | None:
        """The artefact sealed here earlier, or ``None``."""
        return load(kind, self.folder) if (self.folder / _MANIFEST).is_file() else None

    def seal(self, scratch: Path, artifact: Artifact) -> Artifact:
        """Give the finished file of `artifact` its place, with its manifest, in one step.

        When another worker sealed the same inputs first, its artefact is returned and this one dropped.

        :param scratch: Folder on the same file system; it is emptied.
        """
        content = scratch / "sealed"
        content.mkdir()
        file = artifact.path.replace(content / artifact.path.name)
        manifest = content / _MANIFEST
        manifest.write_bytes(TypeAdapter(type(artifact)).dump_json(replace(artifact, path=Path(file.name)), indent=2))
        for path in (file, manifest):
            path.chmod(0o600)
            _sync(path)
        _sync(content)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            content.rename(self.folder)
        except OSError:
            found = self.sealed(type(artifact))
            if found is None:
                raise
            return found
        _sync(self.folder.parent)
        return replace(artifact, path=self.folder / file.name)


def load(kind: type[Artifact], folder: Path) -> Artifact:
    """The artefact that is sealed in `folder`."""
    artifact = TypeAdapter(kind).validate_json((folder / _MANIFEST).read_bytes())
    return replace(artifact, path=folder / artifact.path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
