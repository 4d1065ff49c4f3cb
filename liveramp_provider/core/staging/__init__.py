"""Where stages leave their sealed artefacts: ``<audience>/<day>/<stage>-<digest of its inputs>/``.

A stage works in a scratch folder and is sealed in one step, when it is complete. Its name holds the digest of its
inputs, so a rerun finds what it made before, and nothing sealed is ever overwritten: a refresh is sealed beside it.
Everything here is personal data: folders are 0700, files 0600, scratch folders are removed whatever happens.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from liveramp_provider.core.artifacts import Begun, Membership, Profiles, Refresh, SealedFile, Snapshot
from liveramp_provider.core.errors import SealBrokenError, StagingConfigError
from liveramp_provider.core.staging.folder import FolderStore, sync
from liveramp_provider.core.staging.scratch import scratch_folder, sweep
from liveramp_provider.core.staging.store import MANIFEST, Store, StoredStage, is_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import date

__all__ = ["Artifact", "Place", "Staging", "Store", "StoredStage", "digest_of", "load"]

Artifact = TypeVar("Artifact", Membership, Profiles, SealedFile, Snapshot, Begun)

#: Part of the identity of all that is sealed: a new number makes anew what was sealed under older rules, or whose
#: manifest has another form (2: manifests say what they were made from; 3: and what was read of which source; 4: no
#: formulas in files).
RULES_VERSION = 4


class Staging:
    """The staging of this installation."""

    def __init__(self, root: Path, store: Store | None = None) -> None:
        """Stage below the folder `root`.

        :param root: Folder of this machine, where work in progress lies.
        :param store: Where sealed artefacts lie; by default in `root`, too.
        """
        self.root = root
        self.store: Store = store or FolderStore(root)

    def place(self, *, audience_id: str, day: date, stage: str, inputs: Any, refresh: str = "") -> Place:
        """Where `stage` of that day belongs, given everything its output depends on.

        :param inputs: Any value :mod:`pydantic` can write as JSON; equal inputs give the same place.
        :param refresh: Why it is to be made anew although it may be sealed already; empty: it is not.
        """
        canonical = TypeAdapter(Any).dump_json({"rules": RULES_VERSION, "inputs": inputs})
        digest = hashlib.sha256(json.dumps(json.loads(canonical), sort_keys=True).encode()).hexdigest()
        return Place(self.store, f"{audience_id}/{day.isoformat()}/{stage}-{digest[:16]}", refresh)

    def begun(self, *, audience_id: str, day: date, delivery_id: str) -> Place:
        """Where it is remembered that this delivery was begun."""
        return Place(self.store, f"{audience_id}/{day.isoformat()}/begun-{delivery_id[:16]}")

    def find(self, kind: type[Artifact], sha256: str, *, audience_id: str, day: date, stage: str) -> Artifact | None:
        """What `stage` of that day sealed with this digest; ``None`` when it is not staged any more.

        :param stage: The beginning of the folder's name, up to the digest of the inputs.
        """
        for key, known in self.known(kind, audience_id=audience_id, day=day, stage=stage):
            # A stage may go while it is looked at.
            with suppress(OSError, SealBrokenError):
                if known.sha256 == sha256 and (artifact := load(kind, self.store.fetch(key))).path.is_file():
                    return artifact
        return None

    def known(self, kind: type[Artifact], *, audience_id: str, day: date, stage: str) -> Iterator[tuple[str, Artifact]]:
        """The manifests of what `stage` of that day sealed, each with its key; the files themselves are not fetched."""
        for key in self.store.keys(f"{audience_id}/{day.isoformat()}/{stage}-"):
            # One of older rules has a manifest of another form, and one that has just gone has none.
            with suppress(OSError, ValidationError):
                yield key, TypeAdapter(kind).validate_json(self.store.manifest(key))

    def address(self, artifact: Membership | Profiles | SealedFile) -> str:
        """Where a sealed artefact lies, for other workers: a path, or an ``s3://`` address."""
        return f"{self.store.address}/{artifact.path.parent.relative_to(self.store.local).as_posix()}"

    def load(self, kind: type[Artifact], address: str) -> Artifact:
        """The artefact that is sealed at `address`.

        :raises SealBrokenError: It is gone, or its bytes are not those that were sealed.
        :raises StagingConfigError: It lies elsewhere.
        """
        key = address.removeprefix(f"{self.store.address}/")
        if not is_key(key):
            raise StagingConfigError(
                f"{address} is not below {self.store.address}, where [liveramp] staging and home lead now. "
                "Clear the run from its extract task on."
            )
        return load(kind, self.store.fetch(key))

    def scratch(self) -> AbstractContextManager[Path]:
        """A private folder for work in progress; it is gone afterwards, also when the work fails or is killed."""
        return scratch_folder(self.root)

    def sweep(self) -> int:
        """Remove what killed workers left of their work in progress; how many folders that were."""
        return sweep(self.root)


@dataclass(frozen=True, slots=True)
class Place:
    """One stage of one day, sealed or yet to be.

    :param refresh: Why it is to be made anew, and for whom: asked twice for the same, it is made anew once.
    """

    store: Store
    key: str
    refresh: str = ""

    @property
    def folder(self) -> str:
        """Where it is sealed: a path, or an ``s3://`` address."""
        return f"{self.store.address}/{self._own_key}"

    def sealed(self, kind: type[Artifact]) -> Artifact | None:
        """The newest artefact sealed here; ``None`` where there is none, or the refresh is yet to be made."""
        found = self._found(kind)
        if not found or (self.refresh and self._own_key not in found):
            return None
        return load(kind, self.store.fetch(max(found, key=lambda key: _freshness(found[key]))))

    def refreshing(self, kind: type[Artifact]) -> Refresh | None:
        """What to keep of a refresh that begins now; ``None`` where none was asked for."""
        if not self.refresh:
            return None
        newest = max(self._found(kind).values(), key=_freshness, default=None)
        return Refresh(why=self.refresh, at=datetime.now(UTC), replaces=newest.sha256 if newest else "")

    def seal(self, scratch: Path, artifact: Artifact) -> Artifact:
        """Give the finished file of `artifact` its place, with its manifest, in one step.

        When another worker sealed the same inputs first, its artefact is returned and this one dropped.

        :param scratch: Folder on the same file system; it is emptied.
        """
        content = scratch / "sealed"
        content.mkdir()
        file = artifact.path.replace(content / artifact.path.name)
        manifest = content / MANIFEST
        manifest.write_bytes(TypeAdapter(type(artifact)).dump_json(replace(artifact, path=Path(file.name)), indent=2))
        for path in (file, manifest):
            path.chmod(0o600)
            sync(path)
        sync(content)
        self.store.put(self._own_key, content)
        return load(type(artifact), self.store.fetch(self._own_key))

    @property
    def _own_key(self) -> str:
        digest = hashlib.sha256(self.refresh.encode()).hexdigest()
        return f"{self.key}-{digest[:8]}" if self.refresh else self.key

    def _found(self, kind: type[Artifact]) -> dict[str, Artifact]:
        """What is sealed here by key, first made and refreshed; the files themselves are not fetched."""
        manifests = {key: self.store.manifest(key) for key in self.store.keys(self.key)}
        return {key: TypeAdapter(kind).validate_json(manifest) for key, manifest in manifests.items() if manifest}


def _freshness(artifact: Artifact) -> datetime:
    refresh = artifact.refresh if isinstance(artifact, Membership | Profiles) else None
    return refresh.at if refresh else datetime.min.replace(tzinfo=UTC)


def load(kind: type[Artifact], folder: Path) -> Artifact:
    """The artefact that is sealed in a folder of this machine."""
    artifact = TypeAdapter(kind).validate_json((folder / MANIFEST).read_bytes())
    return replace(artifact, path=folder / artifact.path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
