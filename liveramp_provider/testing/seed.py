"""The seed configuration: what LiveRamp freezes for an audience when its first file is ingested."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from liveramp_provider.testing.columns import role_of
from liveramp_provider.testing.file_rules import Reading
from liveramp_provider.testing.values import Kind

_DAY = re.compile(r"(?<!\d)(?:\d{4}-\d{2}-\d{2}|\d{8})(?!\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedConfiguration:
    """How the files of one audience look. Columns keep their spelling and order; the first one is the audience key."""

    kind: Kind
    folder: str
    filename_shape: str
    delimiter: str
    header: tuple[str, ...]

    def differences(self, later: Self) -> tuple[str, ...]:
        """Return how a later file differs, in sentences. New segment columns at the end are no difference."""
        return tuple(self._differences(later))

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the configuration that `to_json` gave."""
        return cls(**{**stored, "header": tuple(stored["header"])})

    def _differences(self, later: Self) -> Iterator[str]:
        if later.kind != self.kind:
            yield f"Seed configuration: identifiers were {self.kind} and are {later.kind} now."
        if later.folder != self.folder:
            yield f"Seed configuration: the folder was {self.folder} and is {later.folder} now."
        if later.filename_shape != self.filename_shape:
            yield f"Seed configuration: the file name no longer has the form {self.filename_shape}"
        if later.delimiter != self.delimiter:
            yield f"Seed configuration: the delimiter was {self.delimiter!r} and is {later.delimiter!r} now."
        if later.header[: len(self.header)] != self.header:
            yield from self._header_differences(later.header)
        new = self._new_labels(later.header)
        if identifiers := [label for label in new if role_of(label) != "segment"]:
            yield f"Seed configuration: new identifier column {', '.join(identifiers)}."

    def _header_differences(self, header: tuple[str, ...]) -> Iterator[str]:
        if header[0] != self.header[0]:
            yield f"Seed configuration: the audience key was {self.header[0]} and is {header[0]} now."
        spelled = {label.upper(): label for label in header}
        for label in self.header[1:]:
            other = spelled.get(label.upper())
            if label not in header:
                what = f"is spelled {other} now" if other else "is missing"
                yield f"Seed configuration: column {label} {what}."
        if [label for label in header if label in self.header] != [label for label in self.header if label in header]:
            yield f"Seed configuration: the columns have another order than {', '.join(self.header)}."
        last = max((place for place, label in enumerate(header) if label in self.header), default=0)
        if between := [label for label in self._new_labels(header[1:last]) if role_of(label) == "segment"]:
            yield f"Seed configuration: new column {', '.join(between)} stands among the old ones, not after them."

    def _new_labels(self, header: tuple[str, ...]) -> list[str]:
        spellings = {label.upper() for label in self.header}
        return [label for label in header if label.upper() not in spellings]


def seed_of(reading: Reading, *, kind: Kind, folder: str, name: str) -> SeedConfiguration:
    """Return the configuration that this file would freeze."""
    return SeedConfiguration(
        kind=kind,
        folder=folder,
        filename_shape=filename_shape(name),
        delimiter=reading.delimiter,
        header=reading.header,
    )


def filename_shape(name: str) -> str:
    """Return `name` with its day, and a revision or part number behind the day, as placeholders."""
    # The last one, because an organisation's number in front may have eight digits, too.
    days = list(_DAY.finditer(name))
    if not days:
        return name
    day = days[-1]
    behind = re.sub(r"^(_r\d+|[-_](file-)?part-?\d+)*(?=\.|$)", "", name[day.end() :])
    return f"{name[: day.start()]}<{'YYYY-MM-DD' if '-' in day[0] else 'YYYYMMDD'}>{behind}"
