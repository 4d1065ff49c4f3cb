"""What goes into the box and what comes out: audiences and received files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["known", "pseudonymous"]
UpdateMethod = Literal["incremental", "segment_refresh", "full_refresh"]
Status = Literal["ingested", "paused", "queued", "rejected", "unrouted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRampAudience:
    """One audience as LiveRamp's support would set it up: where its files arrive and what they do.

    :param name: Unique in the box, such as ``High-value customers-PII``.
    :param folder: Folder below ``/uploads`` as the SFTP client sees it. The box makes it; a client cannot.
    :param filename: Regular expression that must match the whole file name, extensions included.
    :param kind: ``known`` (PII) or ``pseudonymous`` (device ids). One audience never holds both.
    :param update_method: What an ingested file does to the members. ``incremental`` never removes anybody,
        ``segment_refresh`` replaces the segment fields that the file has, ``full_refresh`` replaces everything.
    :param mapping: Labels that are read as others, such as ``email`` as ``EMAIL1_SHA256``: what somebody at LiveRamp
        has set where a label does not say by itself what its column holds.
    :raises ValueError: The folder is not below ``/uploads``, or ``filename`` is no regular expression.
    """

    name: str
    folder: str
    filename: str
    kind: Kind
    update_method: UpdateMethod = "incremental"
    mapping: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could never receive a file."""
        parts = self.folder.split("/")
        if parts[:2] != ["", "uploads"] or any(part in ("", ".", "..") for part in parts[1:]):
            raise ValueError(f"{self.name}: folder {self.folder!r} must be /uploads or a plain path below it")
        try:
            re.compile(self.filename)
        except re.error as error:
            raise ValueError(f"{self.name}: filename is not a regular expression: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """One file that the box picked up, and what became of it.

    ``status`` is ``ingested``; ``rejected`` (a rule is broken, see ``problems``); ``unrouted`` (no audience takes this
    folder and name); ``paused`` (differs from the seed configuration); or ``queued`` (behind a paused file).
    ``problems`` are sentences with counts, line numbers and column names, never with a member's value. ``header`` is
    empty when the first line does not look like a header, because then it may be a member's row.
    """

    name: str
    folder: str
    audience: str | None
    status: Status
    problems: tuple[str, ...]
    rows: int
    unique_keys: int
    header: tuple[str, ...]
    size_bytes: int
    sha256: str
    encrypted: bool
    received_at: datetime
