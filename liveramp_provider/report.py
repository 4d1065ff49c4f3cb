"""Counts for people: the waterfall of a file, its first rows and what is new in it, as text in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from liveramp_provider.core.artifacts import Membership, SealedFile
    from liveramp_provider.core.comparison import ColumnChanges, Comparison, Delivered
    from liveramp_provider.core.ledger import Delivery
    from liveramp_provider.core.preview import FilePreview

_WORDS = {
    "members": "members",
    "suppressed": "have opted out",
    "no_segment": "are in no segment",
    "no_identifier": "have no identifier",
    "email_format": "e-mail not valid",
    "prehashed_without_column": "came hashed, no column for that hash",
    "phone_format": "phone not valid",
    "zip_format": "ZIP not valid",
    "name_format": "name without a letter",
    "code_format": "state or country is no code of two letters",
    "gender_format": "gender is neither m nor f",
    "birth_format": "no part of a date of birth",
    "formula": "formula of a spreadsheet",
    "key_formula": "audience key is a formula",
    "address_incomplete": "name or address incomplete",
    "device_ids": "device ids",
    "addresses": "e-mail addresses",
    "email_shared": "are given more than once",
    "device_format": "not a device id",
    "device_zero": "all zeros (tracking refused)",
    "device_shared": "duplicate: shared with another member",
    "devices": "devices in segments",
    "devices_and_former": "with those that were in one before",
    "unchanged": "are as before",
    "control_character": "line break or control character made a space",
    "rows": "rows",
}
# The longest line, so that the counts of several files stand below each other.
_WIDTH = 57
_TOTALS = ("members", "device_ids", "addresses", "devices", "devices_and_former", "rows")
_SIGNS = {",": "comma", "|": "pipe", "\t": "tab", ";": "semicolon", " ": "space"}
_GAP = 2
_LONGEST_CELL = 40
_LONGEST_RUN = 16
_COUNTS = ("rows", "members", "bytes")


def headline(file: SealedFile) -> str:
    """A file's size in one line."""
    plain = f", {file.csv_bytes:,} as CSV" if file.csv_bytes != file.size_bytes else ""
    return f"{file.rows:,} rows of {file.members:,} members, {file.size_bytes:,} bytes{plain}"


def membership_table(membership: Membership) -> Table:
    """How the source's rows became members."""
    table = _account("Membership: from rows read to members")
    table.add_row("rows read", f"{membership.rows_read:,}", style="bold")
    for reason, count in (("without a key", membership.blank_keys), ("duplicate", membership.repeated_keys)):
        if count:
            table.add_row(f"  − {reason}", f"{count:,}")
    table.add_row("members", f"{membership.members:,}", style="bold")
    return table


def _account(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=_WIDTH)
    table.add_column(justify="right")
    return table


def waterfall_table(file: SealedFile | FilePreview) -> Table:
    """How the members became the file's rows; every line is counted once, and they add up."""
    table = _account(f"{file.slot}: from members to rows")
    for step, count in file.waterfall.items():
        if step in _TOTALS:
            table.add_row(_WORDS[step], f"{count:,}", style="bold")
        elif count:
            table.add_row(f"  − {_WORDS[step]}", f"{count:,}")
    left_blank = {reason: count for reason, count in file.blanked.items() if count}
    if left_blank:
        table.add_row("in these rows:", "", style="dim")
    for reason, count in left_blank.items():
        note = _WORDS[reason] if reason == "control_character" else f"{_WORDS[reason]}: cell left blank"
        table.add_row(f"    {note}", f"{count:,}", style="dim")
    return table


def adds_up(waterfall: dict[str, int]) -> bool:
    """Whether the steps of a waterfall account for every member, device id or address."""
    steps = list(waterfall)
    start = max(steps.index(total) for total in _TOTALS[:-1] if total in waterfall)
    return waterfall[steps[start]] - sum(waterfall[reason] for reason in steps[start + 1 : -1]) == waterfall["rows"]


def preview_headline(file: FilePreview) -> str:
    """A file's size before compression and encryption, in one line."""
    return f"{file.rows:,} rows of {file.members:,} members, {file.csv_bytes:,} bytes as CSV"


def sample_tables(file: FilePreview, *, width: int) -> Iterator[Table]:
    """The masked first rows, no table wider than `width`: what does not fit goes on in a table below."""
    if not file.sample:
        return
    columns = [[header, *map(_shortened, cells)] for header, *cells in zip(file.header, *file.sample, strict=True)]
    numbers = ["", *map(str, range(1, len(file.sample) + 1))]
    for part, fitting in enumerate(_fitting(columns, room=width - max(map(len, numbers)) - _GAP)):
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", title_justify="left")
        table.title = None if part else f"{file.slot}: the first rows, masked"
        for header, *_ in [numbers, *fitting]:
            table.add_column(header, no_wrap=True, overflow="ellipsis")
        for number, *cells in list(zip(numbers, *fitting, strict=True))[1:]:
            table.add_row(f"[dim]{number}[/]", *map(escape, cells))
        yield table


def _fitting(columns: list[list[str]], *, room: int) -> Iterator[list[list[str]]]:
    """The columns in order, as many at a time as there is room for, but at least one."""
    taken: list[list[str]] = []
    used = 0
    for column in columns:
        needed = max(map(cell_len, column)) + _GAP
        if taken and used + needed > room:
            yield taken
            taken, used = [], 0
        taken.append(column)
        used += needed
    yield taken


def _shortened(cell: str) -> str:
    """A masked value as it fits into a column; what is cut is said by its length."""
    if len(cell) > _LONGEST_RUN and len(set(cell)) == 1:
        return f"{cell[:8]}… ({len(cell)})"
    return f"{cell[: _LONGEST_CELL - 8]}… ({len(cell)})" if len(cell) > _LONGEST_CELL else cell


def comparison_table(file: FilePreview, comparison: Comparison) -> Table:
    """What is new in a file since its last delivery."""
    before, members = comparison.before, comparison.members
    table = Table(title=f"{file.slot}: what is new", title_justify="left", box=None, show_header=False, pad_edge=False)
    if comparison.same_day is not None:
        table.add_row("this day", f"was delivered {_moment(comparison.same_day)}: a run would send nothing")
    if before is None:
        table.add_row("last delivery", "none of an earlier day")
        return table
    gone = f"of {before.day} are not staged here"
    table.add_row("last delivery", f"{before.day}, {_moment(before)}")
    table.add_row("rows", f"{before.rows:,} → {file.rows:,} ({file.rows - before.rows:+,})")
    table.add_row("members", f"{before.members:,} → {file.members:,} ({file.members - before.members:+,})")
    moved = (
        f"{members.entered:,} entered, {members.left:,} left, {members.same:,} the same" if members else f"those {gone}"
    )
    table.add_row("membership", moved)
    table.add_row("columns", _column_words(comparison.columns) if comparison.columns else f"those {gone}")
    if comparison.delimiter not in (None, file.delimiter):
        table.add_row("delimiter", f"{_SIGNS[comparison.delimiter]} → {_SIGNS[file.delimiter]}")
    return table


def _moment(delivered: Delivered) -> str:
    return f"at {delivered.committed_at:%Y-%m-%d %H:%M} UTC"


def _column_words(changes: ColumnChanges) -> str:
    kinds: dict[str, Sequence[str]] = {"new": changes.added, "gone": changes.removed, "moved": changes.moved}
    return "; ".join(f"{kind}: {', '.join(headers)}" for kind, headers in kinds.items() if headers) or "the same"


def deliveries_table(deliveries: Sequence[Delivery]) -> Table:
    """Deliveries line by line, and the one in doubt stands out.

    Wider than most screens, for a name or an id that is cut can be looked for nowhere.
    """
    lines = [_delivery_cells(delivery) for delivery in deliveries]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for heading in lines[0]:
        table.add_column(heading, no_wrap=True, justify="right" if heading in _COUNTS else "left")
    for line in lines:
        table.add_row(*map(escape, line.values()), style="bold red" if line["state"].startswith("!") else None)
    widths = [max(map(cell_len, column)) for column in zip(lines[0], *(line.values() for line in lines), strict=True)]
    table.width = sum(widths) + _GAP * (len(widths) - 1)
    return table


def _delivery_cells(delivery: Delivery) -> dict[str, str]:
    return {
        "day": str(delivery.day),
        "destination": delivery.destination,
        "slot": delivery.slot,
        "name": delivery.name,
        "state": f"! {delivery.state}" if delivery.in_doubt else delivery.state.value,
        "rows": f"{delivery.rows:,}",
        "members": f"{delivery.members:,}",
        "bytes": f"{delivery.size_bytes:,}",
        "evidence": delivery.proof,
        "UTC": f"{delivery.committed_at or delivery.updated_at:%Y-%m-%d %H:%M}",
        "id": delivery.short_id,
    }
