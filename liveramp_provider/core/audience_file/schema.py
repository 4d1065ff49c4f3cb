"""The audience file as written: every key, its type and its limits. The JSON Schema and the faults come from here.

Every key has an example: the reference shows them, and where a file is broken they stand in, so that the rest of the
file can be judged at once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from liveramp_provider.core.audience import Compression, Hash, Identifier, OnDoubt, Region, UpdateMethod, Upload
from liveramp_provider.core.audience_file.schema_base import Spec
from liveramp_provider.core.audience_file.schema_choices import Choice, Kind, at_least_one_of
from liveramp_provider.core.audience_file.schema_sources import (
    SOURCE_EXAMPLE,
    SUPPRESSION_EXAMPLE,
    TRAITS_EXAMPLE,
    MembershipSpec,
    SuppressionSpec,
    TraitsSpec,
)
from liveramp_provider.core.audience_file.schema_types import (
    ConnId,
    Cron,
    Duration,
    EmailAddress,
    Filename,
    Header,
    Id,
    KmsKeyId,
    LocalPath,
    OneLine,
    Organisation,
    Recipients,
    RemoteFolder,
    SegmentValue,
    Shrink,
    TimeZone,
    TraitName,
    switch,
)
from liveramp_provider.core.destinations.liveramp import MAX_SHRINK_PERCENT, MIN_MEMBERS

_COLUMNS = {"CCID": {"from": "member_id"}, "EMAIL1": {"from": "email"}, "HIGH_VALUE": {"segment": "1"}}
_ENCRYPTION = {"recipient": "86C66858DDC8AC1151F86A1AC0FADA3667413471", "public_key": "keys/liveramp.asc"}
_EMAIL = {"conn_id": "smtp_default", "to": ["crm@example.com"]}
_DESTINATION = {
    "id": "liveramp",
    "kind": "liveramp",
    "conn_id": "liveramp_default",
    "region": "us",
    "path": "/uploads/high_value_customers",
    "org": "3242",
    "files": {"pii": True, "device": True},
}

_CHANNEL_CHOICE = Choice({"email": Kind(), "slack": Kind(), "webhook": Kind()})
_COLUMN_CHOICE = Choice({"from": Kind(takes=("identifier", "hash")), "segment": Kind()})


class ScheduleSpec(Spec):
    """When the audience is delivered."""

    cron: Cron = Field(description="Daily cron expression: minute and hour.", examples=["0 0 * * *"])
    timezone: TimeZone = Field(description="IANA zone the cron expression is read in.", examples=["America/New_York"])


class EmailSpec(Spec):
    """Notices by e-mail."""

    conn_id: ConnId = Field(description="Airflow connection of type smtp.", examples=["smtp_default"])
    to: Annotated[list[EmailAddress], Field(min_length=1)] = Field(
        description="Who gets the e-mails.", examples=[_EMAIL["to"]]
    )


class SlackSpec(Spec):
    """Notices into a Slack channel."""

    conn_id: ConnId = Field(description="Airflow connection of type slackwebhook.", examples=["slack_alerts"])


class WebhookSpec(Spec):
    """Notices as JSON by HTTP POST."""

    conn_id: ConnId = Field(description="Airflow connection of type http.", examples=["alerts_webhook"])


class ChannelSpec(Spec):
    """Exactly one way to somebody."""

    model_config = ConfigDict(json_schema_extra=_CHANNEL_CHOICE.json_schema())

    email: EmailSpec | None = Field(default=None, description="By e-mail.", examples=[_EMAIL])
    slack: SlackSpec | None = Field(
        default=None, description="Into a Slack channel.", examples=[{"conn_id": "slack_alerts"}]
    )
    webhook: WebhookSpec | None = Field(
        default=None, description="As JSON by HTTP POST.", examples=[{"conn_id": "alerts_webhook"}]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> ChannelSpec:
        if _CHANNEL_CHOICE.made(self) is None:
            raise ValueError("needs exactly one channel: email, slack or webhook")
        return self


class ColumnSpec(Spec):
    """A column of a file: a trait (`from`) or a fixed value in every row (`segment`)."""

    model_config = ConfigDict(json_schema_extra=_COLUMN_CHOICE.json_schema())

    from_: TraitName | None = Field(
        default=None, alias="from", description="Trait, or member_id for the key column.", examples=["email"]
    )
    identifier: Identifier | None = Field(
        default=None,
        strict=False,
        description="What the trait is, where neither its name nor the header says so.",
        examples=["email"],
    )
    hash: Hash | None = Field(
        default=None, strict=False, description="Send the hash instead of the value.", examples=["sha256"]
    )
    segment: SegmentValue | None = Field(
        default=None, description="Fixed value that every row carries.", examples=["1"]
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        if _COLUMN_CHOICE.made(self) is None:
            raise ValueError("needs exactly one of from (a trait) and segment (a fixed value)")
        if any(_COLUMN_CHOICE.misplaced(self)):
            raise ValueError("a segment is a fixed value: it has no hash and no identifier")
        return self


class PiiSpec(Spec):
    """The PII file. Without `columns`: the key, every known identifier among the traits, and the segment."""

    columns: dict[Header, ColumnSpec] = Field(
        default_factory=dict, description="Header: column, in file order; the audience key first.", examples=[_COLUMNS]
    )


class DeviceHeadersSpec(Spec):
    """Headers of the device-id column. LiveRamp publishes none: these are the field's usual names."""

    joined: Header = Field(default="MOBILEID", description="When all device ids share one file.", examples=["MOBILEID"])
    idfa: Header = Field(default="IDFA", description="When Apple's ids have a file of their own.", examples=["IDFA"])
    gaid: Header = Field(default="AAID", description="When Google's ids have a file of their own.", examples=["AAID"])


class DeviceSpec(Spec):
    """The Device file. Hashed ids never share a file, so with a hash there is one file a kind."""

    identifiers: list[TraitName] = Field(
        default_factory=list,
        description="Traits that hold device ids; default: every trait named idfa or gaid.",
        examples=[["idfa", "gaid"]],
    )
    hash: Literal["none", "sha1"] = Field(
        default="none", description="Send the ids as they are, or their SHA-1.", examples=["none"]
    )
    headers: DeviceHeadersSpec = Field(
        default=DeviceHeadersSpec(), description="Headers of the device-id column.", examples=[{"joined": "MOBILEID"}]
    )
    columns: dict[Header, ColumnSpec] = Field(
        default_factory=dict,
        description="Segment columns after the device id; default: the segment alone.",
        examples=[{"HIGH_VALUE": {"segment": "1"}}],
    )


class FilesOfDestinationSpec(Spec):
    """Which files are delivered."""

    model_config = ConfigDict(json_schema_extra=at_least_one_of("pii", "device"))

    pii: Annotated[PiiSpec | None, BeforeValidator(switch, json_schema_input_type=PiiSpec | bool | None)] = Field(
        default=None, description="The file of known identifiers; `true` for the usual columns.", examples=[True]
    )
    device: Annotated[DeviceSpec | None, BeforeValidator(switch, json_schema_input_type=DeviceSpec | bool | None)] = (
        Field(default=None, description="The file of device ids; `true` for the usual columns.", examples=[True])
    )

    @model_validator(mode="after")
    def _at_least_one(self) -> FilesOfDestinationSpec:
        if self.pii is None and self.device is None:
            raise ValueError("needs at least one file: pii or device")
        return self


class EncryptionSpec(Spec):
    """PGP encryption to a pinned key."""

    recipient: Recipients = Field(
        description="Full 40-digit fingerprint of the receiver's primary key; during a rotation, a list of two.",
        examples=[_ENCRYPTION["recipient"]],
    )
    public_key: LocalPath = Field(
        description="The receiver's public key; a relative path starts at the audience file.",
        examples=[_ENCRYPTION["public_key"]],
    )
    extension: Literal["gpg", "pgp"] = Field(
        default="gpg", description="Ending of an encrypted file.", examples=["gpg"]
    )


class GuardsSpec(Spec):
    """What stops a file before it is sent."""

    min_members: Annotated[int, Field(ge=MIN_MEMBERS)] = Field(
        default=MIN_MEMBERS,
        description="Fewest unique members of a file; LiveRamp takes none below 25.",
        examples=[MIN_MEMBERS],
    )
    max_shrink: Shrink = Field(
        default=f"{MAX_SHRINK_PERCENT}%",
        description="By how much a file may have fewer members than that of the day before; off: by any number.",
        examples=[f"{MAX_SHRINK_PERCENT}%"],
    )


class LiveRampSpec(Spec):
    """A LiveRamp account's folder."""

    id: Id = Field(description="Stable name; part of every delivery's identity.", examples=["liveramp"])
    kind: Literal["liveramp"] = Field(description="What kind of receiver it is.", examples=["liveramp"])
    conn_id: ConnId = Field(
        description="Airflow connection with endpoint and credentials; of type aws for a path on S3.",
        examples=["liveramp_default"],
    )
    region: Region = Field(description="LiveRamp region; decides formats and limits.", examples=["us"])
    path: RemoteFolder = Field(
        description="Folder at LiveRamp, which must exist, or s3://bucket/prefix.",
        examples=["/uploads/high_value_customers"],
    )
    kms_key_id: KmsKeyId | None = Field(
        default=None,
        description="KMS key that encrypts on S3; without it, the bucket decides.",
        examples=["alias/liveramp-drop"],
    )
    upload: Upload = Field(
        default="rename",
        description="How a file gets its name by SFTP: by a rename, or, where LiveRamp allows none, directly.",
        examples=["rename"],
    )
    on_doubt: OnDoubt | None = Field(
        default=None,
        description="With upload: direct, when a file may have arrived: stop for a person (default), or resend it.",
        examples=["stop"],
    )
    update_method: UpdateMethod = Field(
        default="incremental", description="What LiveRamp was told for this audience.", examples=["incremental"]
    )
    org: Organisation = Field(description="Organisation as it stands in file names.", examples=["3242"])
    filename: Filename = Field(
        default="{org}_{audience}-{kind}_{date}",
        description="File name without extension; {org}, {audience}, {kind}, {date}, {upload_date}.",
        examples=["{org}_{audience}-{kind}_{date}"],
    )
    compression: Compression = Field(default="gzip", description="Compress before encrypting.", examples=["gzip"])
    encryption: EncryptionSpec | None = Field(
        default=None, description="PGP; without it, files can be read by anyone who gets one.", examples=[_ENCRYPTION]
    )
    files: FilesOfDestinationSpec = Field(
        description="Which files are delivered: pii, device or both.", examples=[_DESTINATION["files"]]
    )
    guards: GuardsSpec = Field(
        default=GuardsSpec(),
        description="What stops a file before it is sent.",
        examples=[{"min_members": MIN_MEMBERS}],
    )


class AudienceSpec(Spec):
    """One audience file."""

    audience: Id = Field(
        description="Stable id: names the files, the staging folder and the DAG.", examples=["high_value_customers"]
    )
    name: OneLine = Field(
        description="External name; LiveRamp's segments become <name>-D and <name>-PII.",
        examples=["High-value customers"],
    )
    schedule: ScheduleSpec = Field(
        description="When it is delivered.", examples=[{"cron": "0 0 * * *", "timezone": "America/New_York"}]
    )
    deliver_by: Duration | None = Field(
        default=None,
        description="How long after the scheduled moment the delivery is late and somebody is told.",
        examples=["6h"],
    )
    notify: list[ChannelSpec] = Field(
        default_factory=list,
        description="Who is told that a delivery is late, has failed or works again.",
        examples=[[{"email": _EMAIL}]],
    )
    owners: list[OneLine] = Field(
        default_factory=list, description="Who answers for this audience.", examples=[["crm@example.com"]]
    )
    membership: MembershipSpec = Field(description="Who is in it: one source and its key.", examples=[SOURCE_EXAMPLE])
    traits: list[TraitsSpec] = Field(
        default_factory=list,
        description="What is known of them: any number of steps, of which each sees the traits of earlier ones.",
        examples=[[TRAITS_EXAMPLE]],
    )
    suppression: SuppressionSpec | None = Field(
        default=None,
        description="Who has opted out and is in no file: one source, and how it names people.",
        examples=[SUPPRESSION_EXAMPLE],
    )
    destinations: Annotated[list[LiveRampSpec], Field(min_length=1)] = Field(
        description="Where it goes: at least one receiver.", examples=[[_DESTINATION]]
    )
