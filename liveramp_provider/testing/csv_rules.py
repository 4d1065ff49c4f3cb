"""The shape of a CSV file: encoding, line ends, quoting, header, rectangle."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from liveramp_provider.testing.tally import Tally

_MAX_LINE_CHARS = 10_000
_LABEL = re.compile(r"[A-Za-z0-9_]{1,128}", re.ASCII)
# A number or a digest passes as a label, but it is somebody's row in a file without a header.
_LOOKS_LIKE_VALUE = re.compile(r"[0-9]+|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", re.ASCII)
_FIRST_DELIMITER = re.compile(r'"?[^",|\t;]*"?([,|\t;])')
# A quote inside is doubled and one at the end is followed by the delimiter, so there is one way only to read a line.
# Possessive quantifiers would say so, but Python 3.11.2 gets them wrong.
_QUOTED_FIELD = r'"[^"]*(?:""[^"]*)*"'
_ALL_QUOTED = {sign: re.compile(f"{_QUOTED_FIELD}(?:[{sign}]{_QUOTED_FIELD})*") for sign in ",|\t;"}
_VALUES_QUOTED = {sign: re.compile(f"(?:{_QUOTED_FIELD})?(?:[{sign}](?:{_QUOTED_FIELD})?)*") for sign in ",|\t;"}
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


Quoted = Literal["all", "values", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A CSV file whose header is good. `lines` are its rows as text; nobody has looked at them yet.

    Its fields are quoted all or none, or as Segment does: no label, and every value that there is.
    """

    header: tuple[str, ...]
    delimiter: str
    quoted: Quoted
    lines: list[str]

    def rows(self, tally: Tally) -> Iterator[tuple[int, list[str]]]:
        """Yield line number and cells of every well-formed row; the others go to `tally`."""
        for number, line in enumerate(self.lines, start=2):
            if len(line) > _MAX_LINE_CHARS:
                tally.add("Rows", f"more than {_MAX_LINE_CHARS:,} characters", number, unit="line")
            if control_characters(line, self.delimiter):
                tally.add("Rows", "control characters", number, unit="line")
            cells = _split(line, self.delimiter, quoted=self.quoted)
            if cells is None:
                tally.add("Quoting", _quoting_fault(line, quoted=self.quoted), number, unit="line")
            elif len(cells) != len(self.header):
                tally.add("Rows", f"not {len(self.header)} fields", number, unit="line")
            else:
                yield number, cells


def read_table(content: bytes) -> tuple[Table | None, tuple[str, ...]]:
    """Return the table in `content` and the problems with its bytes and its header; no table if it has no header."""
    text, problems = _decoded(content)
    if text is None:
        return None, problems
    lines = text.removesuffix("\n").split("\n")
    first = lines.pop(0)
    found = _FIRST_DELIMITER.match(first)
    delimiter = found[1] if found else ","
    label: Quoted = "all" if first.startswith('"') else "none"
    header = _split(first, delimiter, quoted=label)
    if header is None:
        return None, (*problems, f"Header: {_quoting_fault(first, quoted=label)}.")
    if faults := _header_problems(header):
        return None, (*problems, *faults)
    quoted: Quoted = "values" if label == "none" and lines and lines[0].startswith('"') else label
    return Table(header=tuple(header), delimiter=delimiter, quoted=quoted, lines=lines), problems


def control_characters(line: str, delimiter: str) -> bool:
    """Tell whether `line` has a character that a reader may take for the end of a row or of a text."""
    return bool(_CONTROL.search(line)) or (delimiter != "\t" and "\t" in line)


def _decoded(content: bytes) -> tuple[str | None, tuple[str, ...]]:
    problems = []
    if content.startswith(b"\xef\xbb\xbf"):
        problems.append("Encoding: the file starts with a byte order mark.")
        content = content[3:]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, (*problems, f"Encoding: not UTF-8, first on line {line:,}.")
    if returns := text.count("\r"):
        problems.append(f"Line ends: {returns:,} carriage returns; only line feeds are allowed.")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return None, (*problems, "Header: the file is empty; the header row is mandatory.")
    return text, tuple(problems)


def _split(line: str, delimiter: str, *, quoted: Quoted) -> list[str] | None:
    """Return the cells of `line`, or None where its quoting is not that of the whole file."""
    if quoted == "none":
        return None if '"' in line else line.split(delimiter)
    if not line or not (_ALL_QUOTED if quoted == "all" else _VALUES_QUOTED)[delimiter].fullmatch(line):
        return None
    return next(csv.reader([line], delimiter=delimiter, strict=True))


def _quoting_fault(line: str, *, quoted: Quoted) -> str:
    if line.count('"') % 2:
        return "an odd number of quotes, or a line break inside a value,"
    if quoted == "none":
        return "quotes in an unquoted file"
    return "fields without quotes in a quoted file, or a stray quote,"


def _header_problems(header: list[str]) -> tuple[str, ...]:
    """Return what is wrong with the labels. A bad label may be a member's value, so its place is told, not its text."""
    bad = [str(place) for place, label in enumerate(header, start=1) if not _LABEL.fullmatch(label)]
    if bad:
        return (f"Header: the label is not 1 to 128 letters, digits or underscores in column {', '.join(bad)}.",)
    data = [str(place) for place, label in enumerate(header, start=1) if _LOOKS_LIKE_VALUE.fullmatch(label)]
    if data:
        return (f"Header: missing, as the first line has a value instead of a label in column {', '.join(data)}.",)
    twice = [str(place) for place, label in enumerate(header, start=1) if label in header[: place - 1]]
    return (f"Header: the label repeats an earlier one in column {', '.join(twice)}.",) if twice else ()
