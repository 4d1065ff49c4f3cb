"""What one stage hands to the next: sealed files with their counts and digests. No value of a person is in here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """What was read of one source, and when.

    :param label: What the audience file calls it, such as ``membership`` or ``traits source 1``.
    :param source: Connection, path or function.
    :param query_sha256: Digest of the query's text; empty where there is none.
    :param watermark: The newest that was seen: the youngest file's time, the last event's; empty where nobody can say.
    """

    label: str
    source: str
    query_sha256: str
    read_at: datetime
    watermark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Why a day that was sealed already was read once more.

    :param why: The reason that a person gave, and the run that asked.
    :param replaces: Digest of what was sealed before; empty where nothing was.
    """

    why: str
    at: datetime
    replaces: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who is in the audience: a Parquet file with one column ``member_id``, unique and in byte order.

    :param rows_read: Rows the source gave; ``rows_read = members + blank_keys + repeated_keys``.
    :param refresh: ``None``: the day was read once.
    """

    path: Path
    sha256: str
    rows_read: int
    blank_keys: int
    repeated_keys: int
    members: int
    sources: tuple[SourceRecord, ...]
    refresh: Refresh | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """Members with their traits: a Parquet file, one row a member, in byte order of ``member_id``.

    :param made_from: Digest of the membership that was enriched.
    :param cut: Values beyond ``max_per_member`` that were left out, by trait.
    :param refresh: ``None``: the traits were read once.
    """

    path: Path
    sha256: str
    made_from: str
    members: int
    traits: tuple[str, ...]
    sources: tuple[SourceRecord, ...]
    cut: dict[str, int]
    refresh: Refresh | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionList:
    """Who had opted out when a file was made; the people themselves are not kept.

    :param source: Connection, path or function they were read from.
    :param updated_at: How fresh the list was, where the audience file says how to know; else empty.
    :param keys: How many audience keys, each counted once.
    :param emails: How many e-mail addresses, plain or hashed.
    :param phones: How many phone numbers, plain or hashed.
    :param sha256: Digest of all of them: as long as it is the same, so are the people.
    """

    source: str
    read_at: datetime
    updated_at: str
    keys: int
    emails: int
    phones: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the receiver of a file knows once it has it: a Parquet file of all rows, in the order of their keys."""

    path: Path
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a file builds on that brings only changes: the delivery before it, and what its receiver knows since.

    :param name: Of the file that was delivered.
    """

    delivery_id: str
    name: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """Finished bytes with their digest; the only kind `deliver` accepts.

    :param members: Unique members behind the rows; in a PII file that is the number of rows.
    :param made_from: Digest of the profiles that the rows were made of.
    :param csv_sha256: Digest of the plain CSV: the same inputs give the same, whatever the encryption.
    :param waterfall: From members to rows, by reason; it adds up.
    :param blanked: How many given values the rows leave blank, by reason.
    :param suppression: Whom the rows leave out; ``None`` where the audience has no suppression list.
    :param revision: 1, or more where the day is sent again on purpose, under a new name.
    :param delimiter: What parts the fields.
    :param parts: Digests of its other parts, in their order; empty where it is whole. They are sealed before it.
    :param after: Slots of the files of the same day that have to be delivered before it, the main one first; what
        holds for that one, holds for this.
    :param base: Id of the delivery since which it brings the changes; empty: it brings everything.
    :param snapshot: Digest of what its receiver knows afterwards, where a later file may build on it; else empty.
    """

    path: Path
    audience: str
    destination: str
    slot: str
    day: date
    name: str
    rows: int
    members: int
    header: tuple[str, ...]
    csv_bytes: int
    csv_sha256: str
    size_bytes: int
    sha256: str
    made_from: str
    recipient: str
    waterfall: dict[str, int]
    blanked: dict[str, int]
    suppression: SuppressionList | None = None
    revision: int = 1
    delimiter: str = ","
    parts: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    base: str = ""
    snapshot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFile:
    """What tells a receiver that files are complete: their names, sizes and digests, and nothing of a person."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of one delivery, as the ledger keeps it.

    :param evidence: How well the arrival is proven, a key of :data:`liveramp_provider.core.ledger.EVIDENCE`.
    :param sent_now: ``False`` when an earlier run had delivered it and nothing was sent.
    """

    delivery_id: str
    destination: str
    slot: str
    day: date
    name: str
    folder: str
    rows: int
    members: int
    size_bytes: int
    sha256: str
    csv_sha256: str
    evidence: str
    committed_at: datetime
    sent_now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """That a delivery was begun; the file itself is empty."""

    path: Path
    sha256: str
    delivery_id: str
    at: datetime
