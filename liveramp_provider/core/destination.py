"""A receiver as a typed value: how to reach it, what it wants of a file, and the files it gets.

The kinds of receivers are in :mod:`liveramp_provider.core.destinations`; here is what they have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.artifacts import ControlFile, SealedFile
    from liveramp_provider.core.rows import Rows


class Identifier(StrEnum):
    """What a value identifies a person by; a trait of that name is one, and so are ``email2`` and ``phone2``."""

    EMAIL = "email"
    PHONE = "phone"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    ADDRESS1 = "address1"
    ADDRESS2 = "address2"
    CITY = "city"
    STATE = "state"
    ZIP = "zip"
    COUNTRY = "country"
    IDFA = "idfa"
    GAID = "gaid"


class Detail(StrEnum):
    """What narrows a match down and identifies nobody; LiveRamp takes none of it, some others do."""

    GENDER = "gender"
    BIRTH_YEAR = "birth_year"
    BIRTH_MONTH = "birth_month"
    BIRTHDAY = "birthday"


class Hash(StrEnum):
    """A hash algorithm a receiver matches on; always lower-case hex, never salted."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"


Region = Literal["us", "au", "eu", "uk", "fr"]
UpdateMethod = Literal["incremental", "segment_refresh", "full_refresh"]
Compression = Literal["none", "gzip"]
Upload = Literal["rename", "direct"]
OnDoubt = Literal["stop", "resend"]
#: Whether a file holds everything, or what has changed since the one before; Audience Manager's words.
Sync = Literal["full", "iter"]
#: What becomes of a value that a spreadsheet would run: it is left out, or sent as it is.
FormulaPolicy = Literal["blank", "allow"]


class Form(StrEnum):
    """How a receiver wants an identifier written; :func:`liveramp_provider.core.identifiers.rule_of` has each rule."""

    EMAIL = "email"
    US_PHONE = "us_phone"
    INTERNATIONAL_PHONE = "international_phone"
    US_ZIP = "us_zip"
    FREE_TEXT = "free_text"
    GMAIL = "gmail"
    PHONE_DIGITS = "phone_digits"
    E164 = "e164"
    LOWER_NAME = "lower_name"
    LOWER_TEXT = "lower_text"
    LETTERS = "letters"
    TWO_LETTERS = "two_letters"
    ZIP_FIRST_FIVE = "zip_first_five"
    LOWER_DEVICE = "lower_device"
    GENDER = "gender"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows become the bytes of a file.

    :param quoting: ``all``: header and values; ``values``: the values that there are, so a missing one leaves nothing
        between two delimiters; ``none``: a value that would need quotes cannot be written.
    :param header: Whether the first line names the columns.
    """

    delimiter: Literal[",", "|", "\t", ";", " "] = ","
    quoting: Literal["all", "values", "none"] = "all"
    header: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a receiver takes at most of a file.

    :param max_bytes: Before compression and encryption.
    :param max_field_values: Different values in all segment fields together.
    :param max_segment_name_chars: Of ``field=value``.
    :param where: Where the limits of rows hold, for people: ``in region us``.
    """

    max_rows: int
    max_row_chars: int
    max_bytes: int
    max_field_values: int
    max_segment_name_chars: int
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """What a receiver wants of a file.

    :param forms: How identifiers are written; what is not named is free text.
    :param matched_by: Groups of identifiers, each of which is enough to match a person.
    :param limits: ``None``: the receiver publishes none.
    :param country_code: Of phone numbers that say none, for forms that need one; digits without a plus sign.
    """

    forms: Mapping[Identifier | Detail, Form]
    matched_by: tuple[tuple[Identifier, ...], ...]
    limits: Limits | None
    layout: Layout = Layout()
    country_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierColumn:
    """A column that people are matched by."""

    header: str
    trait: str
    identifier: Identifier | Detail
    hash: Hash | None
    formula: FormulaPolicy = "blank"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitColumn:
    """A segment field: a trait's value as it is."""

    header: str
    trait: str
    formula: FormulaPolicy = "blank"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentColumn:
    """A membership field: every row of the file carries the same value."""

    header: str
    value: str


Column = IdentifierColumn | TraitColumn | SegmentColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFile(ABC):
    """A file of a delivery: its declared columns, the audience key first.

    :param slot: Which of the delivery's files this is, such as ``PII`` or ``D-IDFA``.
    :param key_header: Empty: the key puts the rows in order, and is not written.
    :param rules: What its receiver wants of it.
    """

    slot: str
    key_header: str
    columns: tuple[Column, ...]
    rules: FileRules

    @property
    def headers(self) -> tuple[str, ...]:
        """The header row."""
        return (*([self.key_header] if self.key_header else []), *(column.header for column in self.columns))

    @property
    def matching(self) -> tuple[tuple[str, Identifier | Detail], ...]:
        """The traits that people are matched by, each once, and what they are."""
        columns = (column for column in self.columns if isinstance(column, IdentifierColumn))
        return tuple(dict.fromkeys((column.trait, column.identifier) for column in columns))

    def of_day(self, day: date, *, revision: int) -> Self:
        """The file as it is for a day; most are the same every day.

        :param revision: More than 1 where the day is sent again on purpose.
        """
        return self

    @property
    def iterative(self) -> bool:
        """Whether it brings only what has changed, where it is known what the receiver has."""
        return False

    def changes(self, rows: Rows, before: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """Of a file that is iterative, the rows that bring a receiver from `before` to `rows`.

        :param before: What the receiver knows, in columns of the same names.
        """
        raise NotImplementedError(f"{self.slot} is sent as a whole, {rows.count} rows")

    @abstractmethod
    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """Work its rows out, in key order.

        :param profiles: The members with their traits, in key order.
        :param scratch: Folder for work in progress.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiFile(DeliveryFile):
    """The file of known identifiers: one row a member, keyed by the member id.

    :param key_formula: With ``blank``, members whose key a spreadsheet would run have no row.
    """

    key_formula: FormulaPolicy = "blank"

    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One a member that can be matched."""
        from liveramp_provider.core.pii_rows import pii_rows

        return pii_rows(self, profiles, engine=engine, scratch=scratch)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFile(DeliveryFile):
    """A file of pseudonymous identifiers: one row a device, keyed by the device id; no member id.

    :param identifiers: Traits that hold device ids, with their kind.
    """

    identifiers: tuple[tuple[str, Identifier], ...]
    hash: Hash | None

    def rows(self, profiles: ir.Table, *, engine: Backend, scratch: Path) -> Rows:
        """One a device id."""
        from liveramp_provider.core.device_rows import device_rows

        return device_rows(self, profiles, engine=engine, scratch=scratch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """PGP: whose key, pinned by its full fingerprint, and where the public key lies.

    :param recipients: Fingerprints of primary keys, 40 upper-case hex digits; the first that can be used counts.
    :param extension: What encrypted files end in.
    """

    recipients: tuple[str, ...]
    public_key: Path
    extension: Literal["gpg", "pgp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A receiver of the audience: how to reach it and what it gets. Kinds with more to say derive from it.

    :param id: Part of every delivery's identity: a new id means everything is sent anew.
    :param path: Absolute folder at the receiver, or ``s3://bucket/prefix``.
    :param filename: Template without extension; ``{org} {audience} {kind} {date} {upload_date}``.
    :param encryption: ``None`` sends files that anyone on the way can read.
    :param min_members: Fewer unique members than this and a file is not sent.
    :param max_shrink_percent: How many members fewer than the day before a file may have; ``None``: any number.
    :param region: How phone numbers are read.
    :param update_method: ``incremental``: what is delivered late changes nothing of what is newer.
    :param kms_key_id: The key that encrypts on S3; empty: what the bucket says.
    :param upload: By SFTP, whether a file gets its final name by a rename, or is written under it.
    :param on_doubt: With a direct upload, or an API, what becomes of a file that may have arrived.
    """

    #: Whom messages name.
    receiver: ClassVar[str]
    #: Whether its rules differ by region.
    regional: ClassVar[bool] = False
    #: Whether it is reached by an API of its own, instead of SFTP or S3.
    by_api: ClassVar[bool] = False
    #: Whether that API takes messages in batches, so that nothing but a message can try it.
    by_messages: ClassVar[bool] = False
    #: What its plain files end in.
    extension: ClassVar[str] = "csv"

    id: str
    conn_id: str
    path: str
    filename: str
    compression: Compression
    encryption: Encryption | None
    files: tuple[DeliveryFile, ...]
    min_members: int
    max_shrink_percent: int | None
    region: Region = "us"
    update_method: UpdateMethod = "incremental"
    org: str = ""
    kms_key_id: str = ""
    upload: Upload = "rename"
    on_doubt: OnDoubt = "stop"

    @property
    def part_bytes(self) -> int | None:
        """What a file has at most before compression; a larger one is sent in parts. ``None``: never."""
        return None

    def part_mark(self, number: int) -> str:
        """What the name of a part has behind that of the whole, from 1 on."""
        return f"_part-{number}"

    @property
    def in_several_files(self) -> bool:
        """Whether more may follow a file than the file itself."""
        return self.part_bytes is not None

    def control_of(self, files: Sequence[SealedFile], *, name: str) -> ControlFile | None:
        """What is sent when `files`, the parts of one, are delivered; ``None``: nothing.

        :param name: Of the file as a whole, before compression and encryption.
        """
        return None

    @property
    def on_s3(self) -> bool:
        """Whether it is a bucket; else it is reached by SFTP."""
        return self.path.startswith("s3://")

    @property
    def look_at(self) -> str:
        """Where a person sees what came."""
        return f"the list of files at {self.receiver}"
