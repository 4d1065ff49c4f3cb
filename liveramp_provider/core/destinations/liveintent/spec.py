"""The keys of a LiveIntent audience."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from liveramp_provider.core.destination import OnDoubt
from liveramp_provider.core.destinations.common import MIN_MEMBERS, GuardsSpec
from liveramp_provider.core.destinations.single_identifier import DeviceIdFile
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import at_least_one_of
from liveramp_provider.core.schema.types import ConnId, EmailAddress, Filename, Id, OneLine, TraitName, switch

_Number = Annotated[int, Field(ge=1)]
_FILES = {"email": {"hash": "sha256"}, "idfa": True}


class EmailFileSpec(Spec):
    """The file of e-mail addresses."""

    traits: list[TraitName] = Field(
        default_factory=list,
        description="Traits that hold addresses; default: email, email2 …",
        examples=[["email", "email2"]],
    )
    hash: Literal["md5", "sha1", "sha256", "none"] = Field(
        default="sha256", description="How the addresses are hashed; none: they go as they are.", examples=["sha256"]
    )


_Email = Annotated[EmailFileSpec | None, BeforeValidator(switch, json_schema_input_type=EmailFileSpec | bool | None)]


class LiveIntentFilesSpec(Spec):
    """Which files are uploaded: LiveIntent takes one kind of identifier a file."""

    model_config = ConfigDict(json_schema_extra=at_least_one_of("email", "idfa", "aaid"))

    email: _Email = Field(default=None, description="E-mail addresses; `true`: as SHA-256.", examples=[True])
    idfa: DeviceIdFile = Field(default=None, description="Apple's advertising ids.", examples=[True])
    aaid: DeviceIdFile = Field(default=None, description="Google's advertising ids.", examples=[True])

    @model_validator(mode="after")
    def _at_least_one(self) -> LiveIntentFilesSpec:
        if self.email is None and self.idfa is None and self.aaid is None:
            raise ValueError("needs at least one file: email, idfa or aaid")
        return self


class LiveIntentSpec(Spec):
    """A custom audience in a LiveIntent account, through the audience API."""

    kind: Literal["liveintent"] = Field(description="What kind of receiver it is.", examples=["liveintent"])
    id: Id = Field(description="Stable name; part of every delivery's identity.", examples=["liveintent"])
    conn_id: ConnId = Field(
        description="Airflow connection of type liveintent, with the token.", examples=["liveintent_default"]
    )
    account_id: _Number = Field(description="The account's number; LiveIntent tells it.", examples=[12345])
    data_provider_id: _Number = Field(description="The data provider's number; LiveIntent tells it.", examples=[678])
    action: OneLine = Field(
        description="What an upload does to the audience. LiveIntent does not publish the values: ask which one yours "
        "takes.",
        examples=["ACTION-LIVEINTENT-TOLD-YOU"],
    )
    audience_name: OneLine | None = Field(
        default=None,
        description="The audience at LiveIntent, which is made if there is none; default: the audience's name in "
        "snake_case.",
        examples=["high_value_customers"],
    )
    notification_email: EmailAddress | None = Field(
        default=None, description="Whom LiveIntent writes to about uploads.", examples=["data-team@example.com"]
    )
    filename: Filename = Field(
        default="{audience}-{kind}_{date}",
        description="Name of an upload without extension; {audience}, {kind}, {date}, {upload_date}.",
        examples=["{audience}-{kind}_{date}"],
    )
    files: LiveIntentFilesSpec = Field(description="Which files are uploaded.", examples=[_FILES])
    on_doubt: OnDoubt = Field(
        default="stop",
        description="When an upload may have arrived and LiveIntent's list cannot tell: stop for a person (default), "
        "or resend it.",
        examples=["stop"],
    )
    guards: GuardsSpec = Field(
        default=GuardsSpec(),
        description="What stops a file before it is sent.",
        examples=[{"min_members": MIN_MEMBERS}],
    )
