"""The keys of a LiveRamp account's folder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from liveramp_provider.core.destination import Region, UpdateMethod
from liveramp_provider.core.destinations.columns import ColumnSpec
from liveramp_provider.core.destinations.common import FileDestinationSpec
from liveramp_provider.core.destinations.liveramp import Delimiter, LayoutName
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import at_least_one_of
from liveramp_provider.core.schema.types import Filename, Header, Organisation, TraitName, switch

_COLUMNS = {"CCID": {"from": "member_id"}, "EMAIL1": {"from": "email"}, "HIGH_VALUE": {"segment": "1"}}


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


class LiveRampSpec(FileDestinationSpec):
    """A LiveRamp account's folder."""

    kind: Literal["liveramp"] = Field(description="What kind of receiver it is.", examples=["liveramp"])
    region: Region = Field(description="LiveRamp region; decides formats and limits.", examples=["us"])
    update_method: UpdateMethod = Field(
        default="incremental", description="What LiveRamp was told for this audience.", examples=["incremental"]
    )
    org: Organisation = Field(description="Organisation as it stands in file names.", examples=["3242"])
    filename: Filename = Field(
        default="{org}_{audience}-{kind}_{date}",
        description="File name without extension; {org}, {audience}, {kind}, {date}, {upload_date}.",
        examples=["{org}_{audience}-{kind}_{date}"],
    )
    delimiter: Delimiter = Field(default="comma", description="What parts the fields of its files.", examples=["pipe"])
    layout: LayoutName = Field(
        default="liveramp",
        description="Whose files they look like: segment is for audiences that LiveRamp set up for Segment's files.",
        examples=["segment"],
    )
    files: FilesOfDestinationSpec = Field(
        description="Which files are delivered: pii, device or both.", examples=[{"pii": True, "device": True}]
    )
