"""The audience file as written: every key, its type and its limits. The JSON Schema and the faults come from here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from liveramp_provider.core.audience import Compression, Hash, Identifier, Region, UpdateMethod

_DAILY_CRON = re.compile(r"(?P<minute>\d{1,2}) (?P<hour>\d{1,2}) \* \* \*")


def _daily(cron: str) -> str:
    match = _DAILY_CRON.fullmatch(cron)
    if match is None or int(match["minute"]) > 59 or int(match["hour"]) > 23:
        raise ValueError('an audience is delivered once a day: write "<minute> <hour> * * *", such as "0 0 * * *"')
    return cron


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone of the IANA database, such as America/New_York")
    return ZoneInfo(name).key


def _one_line(text: str) -> str:
    if not text.isprintable() or any(mark in text for mark in ("{{", "{%", "{#")):
        raise ValueError("may hold printable characters only, and no template marks such as {{")
    return text


def _remote_folder(path: str) -> str:
    if not path.startswith("/") or path == "/" or any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise ValueError(
            "must be an absolute folder such as /uploads/vip, without '.', '..', '//' or a slash at the end"
        )
    return path


def _switch(value: Any) -> Any:
    """`true` is the short form of an empty mapping, `false` of leaving the key out."""
    if value is True:
        return {}
    return None if value is False else value


def _text(value: Any) -> Any:
    """YAML reads an unquoted 1 as a number; a segment value is always text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ConnId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
TraitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
SourceColumn = Annotated[str, StringConstraints(min_length=1, max_length=255)]
# LiveRamp's label rule, and the one spelling of its own that breaks it (liveramp-rules: EMAIL1_SHA-1).
Header = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_]{1,128}|EMAIL[1-3]_SHA-(1|256))$")]
OneLine = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_one_line)]
RemoteFolder = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]{1,200}$"), AfterValidator(_remote_folder)]
Filename = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.{}-]{1,200}$")]
SegmentValue = Annotated[
    str, BeforeValidator(_text), StringConstraints(min_length=1, max_length=100), AfterValidator(_one_line)
]


class Spec(BaseModel):
    """Base of every mapping in an audience file: unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ScheduleSpec(Spec):
    """When the audience is delivered."""

    cron: Annotated[str, AfterValidator(_daily)] = Field(description="Daily cron expression: minute and hour.")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(description="IANA zone the cron expression is read in.")


class SqlSpec(Spec):
    """A query through an Airflow connection."""

    conn_id: ConnId = Field(description="Airflow connection to the warehouse.")
    query: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="One SELECT; `:snapshot_date` (YYYY-MM-DD) and `:audience` are bound as parameters."
    )
    current: bool = Field(default=False, description="The query knows only today; past days are then refused.")


class FilesSpec(Spec):
    """Parquet or CSV files."""

    path: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="Path or glob ending in .parquet, .csv or .csv.gz; `{snapshot_date}` is the day (YYYY-MM-DD)."
    )
    current: bool = Field(default=False, description="The files are always today's; past days are then refused.")


class SourceSpec(Spec):
    """Exactly one source, and the column that holds the key."""

    sql: SqlSpec | None = None
    files: FilesSpec | None = None
    key: SourceColumn = Field(description="Column of the source that holds the audience key.")

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceSpec:
        if (self.sql is None) == (self.files is None):
            raise ValueError("needs exactly one source: sql or files")
        return self


class TraitSourceSpec(SourceSpec):
    """A source of traits, left-joined on the key; one row a key."""

    select: Annotated[dict[TraitName, SourceColumn], Field(min_length=1)] = Field(
        description="Our trait name: the source's column."
    )


class ColumnSpec(Spec):
    """A column of a file: a trait (`from`) or a fixed value in every row (`segment`)."""

    from_: TraitName | None = Field(default=None, alias="from", description="Trait, or member_id for the key column.")
    identifier: Identifier | None = Field(
        default=None, strict=False, description="What the trait is, where neither its name nor the header says so."
    )
    hash: Hash | None = Field(default=None, strict=False, description="Send the hash instead of the value.")
    segment: SegmentValue | None = Field(default=None, description="Fixed value that every row carries.")

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        if (self.from_ is None) == (self.segment is None):
            raise ValueError("needs exactly one of from (a trait) and segment (a fixed value)")
        if self.segment is not None and (self.hash is not None or self.identifier is not None):
            raise ValueError("a segment is a fixed value: it has no hash and no identifier")
        return self


class PiiSpec(Spec):
    """The PII file. Without `columns`: the key, every known identifier among the traits, and the segment."""

    columns: dict[Header, ColumnSpec] = Field(default_factory=dict, description="Header: column, in file order.")


class DeviceHeadersSpec(Spec):
    """Headers of the device-id column. LiveRamp publishes none: these are the field's usual names."""

    joined: Header = Field(default="MOBILEID", description="When all device ids share one file.")
    idfa: Header = Field(default="IDFA", description="When Apple's ids have a file of their own.")
    gaid: Header = Field(default="AAID", description="When Google's ids have a file of their own.")


class DeviceSpec(Spec):
    """The Device file. Hashed ids never share a file, so with a hash there is one file a kind."""

    identifiers: Annotated[list[TraitName], Field(min_length=1)] = Field(
        default=["idfa", "gaid"], description="Traits that hold device ids."
    )
    hash: Literal["none", "sha1"] = Field(default="none", description="Send the ids as they are, or their SHA-1.")
    headers: DeviceHeadersSpec = DeviceHeadersSpec()
    columns: dict[Header, ColumnSpec] = Field(
        default_factory=dict, description="Segment columns after the device id; default: the segment alone."
    )


class FilesOfDestinationSpec(Spec):
    """Which files are delivered."""

    pii: Annotated[PiiSpec | None, BeforeValidator(_switch)] = None
    device: Annotated[DeviceSpec | None, BeforeValidator(_switch)] = None

    @model_validator(mode="after")
    def _at_least_one(self) -> FilesOfDestinationSpec:
        if self.pii is None and self.device is None:
            raise ValueError("needs at least one file: pii or device")
        return self


class EncryptionSpec(Spec):
    """PGP encryption to a pinned key."""

    recipient: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{40}$")] = Field(
        description="Full 40-digit fingerprint of the receiver's primary key."
    )
    public_key: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="The receiver's public key; a relative path starts at the audience file."
    )
    extension: Literal["gpg", "pgp"] = Field(default="gpg", description="Ending of an encrypted file.")


class GuardsSpec(Spec):
    """What stops a file before it is sent."""

    min_members: Annotated[int, Field(ge=25)] = Field(
        default=25, description="Fewest unique members of a file; LiveRamp takes none below 25."
    )


class LiveRampSpec(Spec):
    """A LiveRamp account's folder."""

    id: Id = Field(description="Stable name; part of every delivery's identity.")
    kind: Literal["liveramp"]
    conn_id: ConnId = Field(description="Airflow connection with endpoint and credentials.")
    region: Region = Field(description="LiveRamp region; decides formats and limits.")
    path: RemoteFolder = Field(description="Folder at LiveRamp; it must exist.")
    update_method: UpdateMethod = Field(default="incremental", description="What LiveRamp was told for this audience.")
    org: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Organisation as it stands in file names."
    )
    filename: Filename = Field(
        default="{org}_{audience}-{kind}_{date}",
        description="File name without extension; {org}, {audience}, {kind}, {date}, {upload_date}.",
    )
    compression: Compression = Field(default="gzip", description="Compress before encrypting.")
    encryption: EncryptionSpec | None = None
    files: FilesOfDestinationSpec
    guards: GuardsSpec = GuardsSpec()


class AudienceSpec(Spec):
    """One audience file."""

    audience: Id = Field(description="Stable id: names the files, the staging folder and the DAG.")
    name: OneLine = Field(description="External name; LiveRamp's segments become <name>-D and <name>-PII.")
    schedule: ScheduleSpec
    owners: list[OneLine] = Field(default_factory=list, description="Who answers for this audience.")
    membership: SourceSpec
    traits: list[TraitSourceSpec] = Field(default_factory=list)
    destinations: Annotated[list[LiveRampSpec], Field(min_length=1)]
