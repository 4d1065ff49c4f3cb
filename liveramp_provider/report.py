"""Counts for people: the waterfall of a file, as text in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import Membership, SealedFile

_WORDS = {
    "members": "members",
    "no_identifier": "have no identifier",
    "email_format": "e-mail not valid",
    "prehashed_without_column": "came hashed, no column for that hash",
    "phone_format": "phone not valid",
    "zip_format": "ZIP not valid",
    "address_incomplete": "name or address incomplete",
    "device_ids": "device ids",
    "device_format": "not a device id",
    "device_zero": "all zeros (tracking refused)",
    "device_shared": "duplicate: shared with another member",
    "control_character": "line break or control character made a space",
    "rows": "rows",
}
# The longest line, so that the counts of several files stand below each other.
_WIDTH = 57
_TOTALS = ("members", "device_ids", "rows")


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


def waterfall_table(file: SealedFile) -> Table:
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
    """Whether the steps of a waterfall account for every member or device id."""
    start = waterfall.get("device_ids", waterfall["members"])
    steps = list(waterfall)
    reasons = steps[steps.index("device_ids") + 1 : -1] if "device_ids" in waterfall else steps[1:-1]
    return start - sum(waterfall[reason] for reason in reasons) == waterfall["rows"]
