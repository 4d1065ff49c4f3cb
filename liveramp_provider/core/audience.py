"""An audience as a typed value: who, what is known of them, and where it goes.

:mod:`liveramp_provider.core.audience_file` makes these from YAML; behind that edge the values are trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal


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


class Hash(StrEnum):
    """A hash algorithm a receiver matches on; always lower-case hex, never salted."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"


Region = Literal["us", "au", "eu", "uk", "fr"]
UpdateMethod = Literal["incremental", "segment_refresh", "full_refresh"]
Compression = Literal["none", "gzip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the audience is delivered: a daily cron expression in a time zone."""

    cron: str
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel:
    """Notices by e-mail, through an Airflow connection of type ``smtp``."""

    kind: Literal["email"] = "email"
    conn_id: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """Notices into a Slack channel, through an Airflow connection of type ``slackwebhook``."""

    kind: Literal["slack"] = "slack"
    conn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Notices as JSON by HTTP POST, through an Airflow connection of type ``http``."""

    kind: Literal["webhook"] = "webhook"
    conn_id: str


Channel = EmailChannel | SlackChannel | WebhookChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSource:
    """Rows of a query; ``:snapshot_date`` and ``:audience`` are bound, never pasted.

    :param current: The query knows only today: it may not serve a past day.
    """

    conn_id: str
    query: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSource:
    """Rows of Parquet or CSV files; ``{snapshot_date}`` in the path is the day.

    :param current: The path is the same every day: it may not serve a past day.
    """

    path: str
    format: Literal["parquet", "csv"]
    current: bool


Source = SqlSource | FilesSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Where the members' keys come from."""

    source: Source
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Where the keys of people who have opted out come from; they are in no file, whatever its day.

    :param source: Always ``current``: it knows who has opted out by now.
    :param allow_empty: That nobody has opted out is believed; else it stops the run.
    """

    source: Source
    key: str
    allow_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """A column of a source under our name."""

    name: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitSource:
    """A source of traits, one row a key, joined to the members."""

    source: Source
    key: str
    traits: tuple[Trait, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierColumn:
    """A column that LiveRamp matches people by."""

    header: str
    trait: str
    identifier: Identifier
    hash: Hash | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitColumn:
    """A segment field: a trait's value as it is."""

    header: str
    trait: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentColumn:
    """A membership field: every row of the file carries the same value."""

    header: str
    value: str


Column = IdentifierColumn | TraitColumn | SegmentColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFile:
    """A file of a delivery: its declared columns, the audience key first.

    :param slot: Which of the delivery's files this is: ``PII``, ``D``, ``D-IDFA`` or ``D-AAID``.
    """

    slot: str
    key_header: str
    columns: tuple[Column, ...]

    @property
    def headers(self) -> tuple[str, ...]:
        """The header row."""
        return (self.key_header, *(column.header for column in self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiFile(DeliveryFile):
    """The file of known identifiers: one row a member, keyed by the member id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFile(DeliveryFile):
    """A file of pseudonymous identifiers: one row a device, keyed by the device id; no member id.

    :param identifiers: Traits that hold device ids, with their kind.
    """

    identifiers: tuple[tuple[str, Identifier], ...]
    hash: Hash | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """PGP: whose key, pinned by its full fingerprint, and where the public key lies.

    :param recipient: Fingerprint of the primary key, 40 upper-case hex digits.
    :param extension: What encrypted files end in.
    """

    recipient: str
    public_key: Path
    extension: Literal["gpg", "pgp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A receiver of the audience: how to reach it and what it wants.

    :param id: Part of every delivery's identity: a new id means everything is sent anew.
    :param path: Absolute folder at the receiver.
    :param filename: Template without extension; ``{org} {audience} {kind} {date} {upload_date}``.
    :param encryption: ``None`` sends files that anyone on the way can read.
    :param min_members: Fewer unique members than this and a file is not sent.
    """

    id: str
    conn_id: str
    region: Region
    path: str
    update_method: UpdateMethod
    org: str
    filename: str
    compression: Compression
    encryption: Encryption | None
    files: tuple[PiiFile | DeviceFile, ...]
    min_members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """One audience file.

    :param deliver_by: How long after its scheduled moment a run may take before somebody is told; ``None``: for ever.
    :param notify: Who is told that a delivery is late, has failed or works again.
    :param suppression: ``None``: nobody is taken out.
    """

    id: str
    name: str
    path: Path
    schedule: Schedule
    deliver_by: timedelta | None
    notify: tuple[Channel, ...]
    owners: tuple[str, ...]
    membership: Membership
    trait_sources: tuple[TraitSource, ...]
    suppression: Suppression | None
    destinations: tuple[Destination, ...]
    warnings: tuple[str, ...]

    def destination(self, destination_id: str) -> Destination:
        """The destination with that id."""
        return next(destination for destination in self.destinations if destination.id == destination_id)
