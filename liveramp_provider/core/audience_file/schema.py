"""The audience file as written: every key, its type and its limits. The JSON Schema and the faults come from here.

Every key has an example: the reference shows them, and where a file is broken they stand in, so that the rest of the
file can be judged at once.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from liveramp_provider.core.audience_file.schema_sources import (
    SOURCE_EXAMPLE,
    SUPPRESSION_EXAMPLE,
    TRAITS_EXAMPLE,
    MembershipSpec,
    SuppressionSpec,
    TraitsSpec,
)
from liveramp_provider.core.destination import Region
from liveramp_provider.core.destinations.kinds import DestinationSpec
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import Choice, Kind
from liveramp_provider.core.schema.types import ConnId, Cron, Duration, EmailAddress, Id, OneLine, TimeZone

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


class AudienceSpec(Spec):
    """One audience file."""

    audience: Id = Field(
        description="Stable id: names the files, the staging folder and the DAG.", examples=["high_value_customers"]
    )
    name: OneLine = Field(
        description="External name; LiveRamp's segments become <name>-D and <name>-PII.",
        examples=["High-value customers"],
    )
    residency: Region | None = Field(
        default=None,
        description="Region that the data of its people belongs to; no destination may be in another.",
        examples=["us"],
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
    destinations: Annotated[list[DestinationSpec], Field(min_length=1)] = Field(
        description="Where it goes: at least one receiver.", examples=[[_DESTINATION]]
    )
