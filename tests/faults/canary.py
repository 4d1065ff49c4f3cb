"""Planted people and credentials, and the search for them where nothing of them may be."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ALGORITHMS = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist, and is easy to find."""

    number: int

    @property
    def key(self) -> str:
        return f"Ccanary{self.number:05}"

    @property
    def email(self) -> str:
        return f"canary.{self.number:05}@coalmine.example"

    @property
    def phone(self) -> str:
        return f"773555{self.number:04}"

    def hashed(self, algorithm: str) -> str:
        """The e-mail as it may be sent as well."""
        return hashlib.new(algorithm, self.email.encode()).hexdigest()


PEOPLE = tuple(Person(number) for number in range(800))
#: Hashes and phones are looked for of some; names and addresses have words in them that all of them share.
_SOME = (*PEOPLE[:10], *PEOPLE[::100])


def planted_csv() -> bytes:
    """A delivery file of planted people, readable as it is: whatever quotes a byte of it is found."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("CCID", "EMAIL1", "PHONE1", "FIRSTNAME", "LASTNAME", "EMAIL1_SHA256"))
    for person in PEOPLE:
        row = (person.key, person.email, person.phone, "Canaria", "Yellowfeather", person.hashed("sha256"))
        writer.writerow(row)
    return text.getvalue().encode()


def _traces() -> Iterator[str]:
    yield from ("coalmine", "ccanary", "yellowfeather")
    for person in dict.fromkeys(_SOME):
        yield person.phone
        yield from (person.hashed(algorithm) for algorithm in _ALGORITHMS)


_TRACES = tuple(trace.encode() for trace in _traces())


def hits(texts: Iterable[tuple[str, bytes]], secrets: Iterable[str]) -> list[str]:
    """Where a planted person or one of the `secrets` is found, and by which trace."""
    looked_for = [*_TRACES, *(secret.lower().encode() for secret in secrets if secret)]
    return [
        f"{place} holds {trace.decode()}"
        for place, text in texts
        for content in [text.lower()]
        for trace in looked_for
        if trace in content
    ]


def files_below(folder: Path, *, but: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file with its path and bytes, the name included."""
    passed_over = tuple(but)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(other) for other in passed_over):
            yield str(path.relative_to(folder)), path.name.encode() + b"\n" + path.read_bytes()
