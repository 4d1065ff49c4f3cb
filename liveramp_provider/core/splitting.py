"""A file's bytes in parts that are not too large, cut between two lines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Part:
    """Some of the lines; what they are is known when they have gone through."""

    _lines: Iterator[bytes]
    rows: int = 0
    size_bytes: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        """Digest of all bytes so far, lower-case hex."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, once."""
        for chunk in self._lines:
            self.rows += chunk.count(b"\n")
            self.size_bytes += len(chunk)
            self._digest.update(chunk)
            yield chunk


def parts_of_lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[Part]:
    """The parts in order, each to be taken whole before the next; of nothing, none.

    :param chunks: Whole lines each.
    :param max_bytes: A part has at most so many, unless a single line has more.
    """
    coming = iter(chunks)
    rest = [chunk] if (chunk := next(coming, b"")) else []

    def lines() -> Iterator[bytes]:
        room = max_bytes
        while rest:
            chunk = rest.pop()
            fits = len(chunk) if len(chunk) <= room else chunk.rfind(b"\n", 0, room) + 1
            if not fits and room == max_bytes:
                fits = chunk.index(b"\n") + 1
            if fits:
                yield chunk[:fits]
                room = max(room - fits, 0)
            if fits < len(chunk):
                rest.append(chunk[fits:])
                return
            if following := next(coming, b""):
                rest.append(following)

    while rest:
        yield Part(lines())
