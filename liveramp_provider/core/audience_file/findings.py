"""What is found wrong in an audience file: gathered as it is read, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys and list positions that lead to a place in an audience file.
Location = tuple[str | int, ...]

_MAX_KEY_CHARS = 60


@dataclass(slots=True)
class Findings:
    """Faults and warnings of one file.

    :param lines: Line of every key and list entry, counted from 1; none where the audience is no text.
    :param unread: Places whose content is not as written any more; what follows from it is no fault of its own.
    """

    lines: Mapping[Location, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unread: set[Location] = field(default_factory=set)
    _faults: dict[Fault, None] = field(default_factory=dict)

    @property
    def faults(self) -> list[Fault]:
        """Every fault so far, each once."""
        return list(self._faults)

    def fault(self, where: Location, message: str, hint: str = "", *, line: int = 0) -> None:
        """Note something that has to be corrected.

        :param line: Where it stands, when the line of `where` is not the one.
        """
        if not any(_contains(place, where) or _contains(where, place) for place in self.unread):
            fault = Fault(where=dotted(where), line=line or self._line(where), message=message, hint=hint)
            self._faults[fault] = None

    def warn(self, where: Location, message: str) -> None:
        """Note something that works but will disappoint."""
        self.warnings.append(f"{dotted(where)}: {message}")

    def _line(self, where: Location) -> int:
        """Line of the deepest part of `where` that the file has; 0 where there are no lines."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 0)


def _contains(place: Location, where: Location) -> bool:
    return where[: len(place)] == place


def dotted(where: Location) -> str:
    """``destinations[0].files.pii``: how a person writes a place in an audience file."""
    written = ""
    for part in where:
        if isinstance(part, int):
            written += f"[{part}]"
        elif part.isascii() and part.isidentifier() and len(part) <= _MAX_KEY_CHARS:
            written += f".{part}"
        else:
            shown = part if len(part) <= _MAX_KEY_CHARS else f"{part[:_MAX_KEY_CHARS]}…"
            written += f"[{ascii(shown) if not shown.isprintable() else repr(shown)}]"
    return written.removeprefix(".") or "file"
