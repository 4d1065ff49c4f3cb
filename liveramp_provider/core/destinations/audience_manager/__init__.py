"""What files in the form of Adobe Audience Manager's outbound files hold: device ids with the segments they are in.

Source of the facts: Adobe, "Outbound Data File Name: Syntax and Examples" and, on the same page, "Outbound Data File
Contents". LiveRamp's own template of that form is not published, so what parts the fields is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from liveramp_provider.core.destination import Destination, DeviceFile, FileRules, Identifier, Layout, Sync

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.artifacts import ControlFile, SealedFile
    from liveramp_provider.core.rows import Rows

Separator = Literal["space", "tab"]
SplitNumbers = Literal["001", "-1"]

#: Adobe's number of the data source that ids of a kind belong to: ``MASTER_DPID`` in a file's name.
MASTER_DPID = {Identifier.GAID: "20914", Identifier.IDFA: "20915"}
#: What the three fields of a row are; no file has a header row.
ID, SEGMENTS, REMOVED = "ID", "SEGMENTS", "REMOVED"
#: Smaller parts are a slip of the pen: a thousand names for a million devices.
MIN_PART_BYTES = 10_000
#: Between two segments.
COMMA = ","
#: The mark between fields, as it is called and as it is written.
SEPARATORS: dict[Separator, Literal[" ", "\t"]] = {"space": " ", "tab": "\t"}


def file_rules(separator: Separator) -> FileRules:
    """Three fields a row, without header and quotes. Limits are not published."""
    return FileRules(
        forms={},
        matched_by=tuple((identifier,) for identifier in MASTER_DPID),
        limits=None,
        layout=Layout(delimiter=SEPARATORS[separator], quoting="none", header=False),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceManager(Destination):
    """A server-to-server destination as Audience Manager has it: many segments, a file a kind of device.

    :param control_file: Whether a ``.info`` file follows each file.
    :param split_bytes: What a file has at most before compression; ``None``: files are never split.
    """

    receiver: ClassVar[str] = "LiveRamp"
    extension: ClassVar[str] = "sync"

    control_file: bool = False
    split_bytes: int | None = None
    split_numbers: SplitNumbers = "001"

    @property
    def part_bytes(self) -> int | None:
        """As the audience file says."""
        return self.split_bytes

    def part_mark(self, number: int) -> str:
        """``SPLITNUM``: Adobe's pages write it in two ways."""
        return f"{number:03d}" if self.split_numbers == "001" else f"-{number}"

    @property
    def in_several_files(self) -> bool:
        """Parts, or a control file."""
        return self.control_file or self.split_bytes is not None

    def control_of(self, files: Sequence[SealedFile], *, name: str) -> ControlFile | None:
        """Adobe's transfer-control file, where it is wanted."""
        from liveramp_provider.core.destinations.audience_manager.control import control_of

        return control_of(files, name=name) if self.control_file else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFile(DeviceFile):
    """A file of device ids with the segments that each is in; `columns` are the segments, by mapping value.

    :param sync: ``iter``: once its receiver has a full file, it gets what has changed.
    """

    sync: Sync = "full"

    @property
    def iterative(self) -> bool:
        """As `sync` says."""
        return self.sync == "iter"

    @property
    def headers(self) -> tuple[str, ...]:
        """What the fields are."""
        return (ID, SEGMENTS, REMOVED)

    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One a device that is in a segment."""
        from liveramp_provider.core.destinations.audience_manager.rows import segment_rows

        return segment_rows(self, profiles, engine=engine, scratch=scratch)

    def changes(self, rows: Rows, before: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One a device that has entered or left a segment."""
        from liveramp_provider.core.destinations.audience_manager.rows import changed_rows

        return changed_rows(self, rows, before, engine=engine, scratch=scratch)
