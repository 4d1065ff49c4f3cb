"""Who an audience holds: the update methods, and the file that remembers the members."""

import gzip
import hashlib
import json
from pathlib import Path

from liveramp_provider.testing.file_rules import Reading
from liveramp_provider.testing.private_files import private_folder, write_private
from liveramp_provider.testing.values import UpdateMethod

Held = dict[str, frozenset[str]]


def updated(held: Held, reading: Reading, method: UpdateMethod) -> Held:
    """Return what an audience holds after `reading`: for every member, the segment fields with a value.

    Somebody who holds no field is no member: in LiveRamp's files, a blank segment field means "not in the segment".
    """
    before: Held = {}
    if method == "incremental":
        before = held
    elif method == "segment_refresh":
        before = {key: fields - reading.fields for key, fields in held.items()}
    after = dict(before)
    for key, fields in reading.held.items():
        after[key] = before.get(key, frozenset()) | fields
    return {key: fields for key, fields in after.items() if fields}


class Holdings:
    """The members of all audiences, one compressed file an audience."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)
        self._loaded: dict[str, Held] = {}

    def of(self, audience: str) -> Held:
        """Return the members of `audience` with the segment fields that each holds."""
        if audience not in self._loaded:
            path = self._path(audience)
            self._loaded[audience] = _unpacked(path.read_bytes()) if path.exists() else {}
        return self._loaded[audience]

    def replace(self, audience: str, held: Held) -> None:
        """Remember `held` as the members of `audience`."""
        write_private(self._path(audience), _packed(held))
        self._loaded[audience] = held

    def _path(self, audience: str) -> Path:
        # An audience's name is free text and may be no file name.
        return self._folder / f"{hashlib.sha256(audience.encode()).hexdigest()[:32]}.json.gz"


def _packed(held: Held) -> bytes:
    numbers: dict[frozenset[str], int] = {}
    keys = {key: numbers.setdefault(fields, len(numbers)) for key, fields in held.items()}
    return gzip.compress(json.dumps({"fields": [sorted(fields) for fields in numbers], "keys": keys}).encode(), 1)


def _unpacked(content: bytes) -> Held:
    stored = json.loads(gzip.decompress(content))
    fields = [frozenset(labels) for labels in stored["fields"]]
    return {key: fields[number] for key, number in stored["keys"].items()}
