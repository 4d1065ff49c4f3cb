"""LiveRamp's rules for the content of one file, applied to its plain bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from liveramp_provider.testing.columns import HASHED_DEVICE, Check, Role, check_for, role_of, text
from liveramp_provider.testing.csv_rules import Table, read_table
from liveramp_provider.testing.tally import Tally
from liveramp_provider.testing.values import Kind

_MIN_KEYS = 25
_MAX_SEGMENT_FIELDS = 500
_MAX_PAIRS = 5_000
_MAX_SEGMENT_NAME_CHARS = 150
WHOLE_FILE = ""
"""The one field that members hold when their file has no segment column: being in the file is the segment."""
_IN_FILE = frozenset({WHOLE_FILE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a file says. `held` has, for every audience key, the fields with a value in the newest row of that key."""

    problems: tuple[str, ...]
    header: tuple[str, ...] = ()
    delimiter: str = ","
    rows: int = 0
    fields: frozenset[str] = frozenset()
    held: dict[str, frozenset[str]] = field(default_factory=dict)


def read_file(content: bytes, *, kind: Kind, mapping: Mapping[str, str] | None = None) -> Reading:
    """Return what the CSV in `content` says, and a sentence for every rule that it breaks.

    :param kind: The identifier kind of the audience that the file was routed to.
    :param mapping: Labels that LiveRamp was told to read as others.
    """
    table, problems = read_table(content)
    if table is None:
        return Reading(problems=problems)
    read_as = {label: (mapping or {}).get(label, label) for label in table.header}
    roles = {role_of(label) for label in read_as.values()}
    if roles == {"segment"}:
        # Nothing proves that the first line is a header: its "labels" may be a member's name.
        no_identifier = "Header: no column that LiveRamp can match; is the header row missing?"
        return Reading(problems=(*problems, no_identifier), rows=len(table.lines))
    rows = _Rows(table, read_as)
    held = rows.read()
    return Reading(
        problems=(*problems, *_kind_problems(roles - {"segment"}, kind), *rows.problems(len(held))),
        header=table.header,
        delimiter=table.delimiter,
        rows=len(table.lines),
        fields=frozenset(rows.segments) or _IN_FILE,
        held=held,
    )


def _kind_problems(roles: set[Role], kind: Kind) -> Iterator[str]:
    if len(roles) > 1:
        yield "Identifiers: known and pseudonymous identifiers share the file."
    elif kind not in roles:
        yield f"Identifiers: the file holds {roles.pop()} identifiers, but its audience {kind} ones."


class _Rows:
    """One pass over the rows of a table: checks every cell, collects what each key holds."""

    def __init__(self, table: Table, read_as: Mapping[str, str]) -> None:
        self._table = table
        self._read_as = read_as
        self._tally = Tally()
        # The first column is the audience key, whatever it is called.
        self.segments = [label for label in table.header[1:] if role_of(read_as[label]) == "segment"]
        self._good_values: dict[str, set[str]] = {label: set() for label in self.segments}
        self._pairs = 0
        self._device_forms: dict[str, set[str]] = {
            label: set() for label in table.header if role_of(read_as[label]) == "pseudonymous"
        }

    def read(self) -> dict[str, frozenset[str]]:
        """Return what every key holds. The newest row of a key wins, so a key is never an error for coming twice."""
        checks = [(label, self._check(label)) for label in self._table.header]
        held: dict[str, frozenset[str]] = {}
        shared: dict[frozenset[str], frozenset[str]] = {}
        segments = [(place, label) for place, label in enumerate(self._table.header) if label in self._good_values]
        for line, cells in self._table.rows(self._tally):
            if not cells[0].strip():
                self._tally.add(self._table.header[0], "no audience key", line)
                continue
            for (label, check), cell in zip(checks, cells, strict=True):
                if cell and (fault := check(cell)):
                    self._tally.add(label, fault, line)
            fields = frozenset(label for place, label in segments if cells[place]) if segments else _IN_FILE
            # Most rows hold one of a few sets of fields: sharing them keeps a million members small.
            held[cells[0]] = shared.setdefault(fields, fields)
        return held

    def problems(self, unique_keys: int) -> Iterator[str]:
        """Yield the problems of the rows, and of the file as a whole."""
        yield from self._tally.sentences()
        if unique_keys < _MIN_KEYS:
            yield f"Rows: {unique_keys:,} unique audience keys; LiveRamp needs at least {_MIN_KEYS}."
        if len(self.segments) > _MAX_SEGMENT_FIELDS:
            yield f"Segments: {len(self.segments):,} segment fields; at most {_MAX_SEGMENT_FIELDS} are allowed."
        if self._pairs > _MAX_PAIRS:
            yield f"Segments: {self._pairs:,} distinct field=value pairs; at most {_MAX_PAIRS:,} are allowed."
        yield from self._device_problems()

    def _check(self, label: str) -> Check:
        if label in self._good_values:
            return self._segment_check(label)
        return self._device_check(label) if label in self._device_forms else check_for(self._read_as[label])

    def _segment_check(self, label: str) -> Check:
        good = self._good_values[label]
        longest = _MAX_SEGMENT_NAME_CHARS - len(label) - len("=")

        def check(cell: str) -> str | None:
            if cell in good:
                return None
            if fault := text(cell):
                return fault
            if len(cell) > longest:
                return f"a segment name (field=value) of more than {_MAX_SEGMENT_NAME_CHARS} characters"
            self._pairs += 1
            good.add(cell)
            return None

        return check

    def _device_check(self, label: str) -> Check:
        forms, check = self._device_forms[label], check_for(self._read_as[label])

        def noting(cell: str) -> str | None:
            fault = check(cell)
            if not fault:
                forms.add("hashed" if HASHED_DEVICE.fullmatch(cell) else "plain")
            return fault

        return noting

    def _device_problems(self) -> Iterator[str]:
        columns = self._device_forms.items()
        hashed = {self._read_as[label].upper().removesuffix("_SHA1") for label, forms in columns if "hashed" in forms}
        if "IDFA" in hashed and hashed & {"AAID", "GAID"}:
            yield "Identifiers: hashed IDFA and hashed AAID share the file; LiveRamp wants one file for each."
        if "MOBILEID" in hashed:
            yield "MOBILEID: hashed IDFA and AAID cannot be told apart; send one file for each, with its own label."
        for label, forms in columns:
            if len(forms) > 1:
                yield f"{label}: plain and hashed device ids share the column."
