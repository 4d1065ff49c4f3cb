"""The keys of a destination in the form of Audience Manager's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from liveramp_provider.core.destination import Sync
from liveramp_provider.core.destinations.audience_manager import MIN_PART_BYTES, Separator, SplitNumbers
from liveramp_provider.core.destinations.common import FileDestinationSpec
from liveramp_provider.core.destinations.single_identifier import DeviceIdFile
from liveramp_provider.core.schema.base import Spec
from liveramp_provider.core.schema.choices import at_least_one_of
from liveramp_provider.core.schema.types import OneLine, Organisation, SyncType, TraitName, text_of_number

_Number = Annotated[int, Field(ge=1, le=999_999_999_999)]
_Mapping = Annotated[OneLine, BeforeValidator(text_of_number, json_schema_input_type=OneLine | int)]
_SEGMENTS = {"high_value": {"id": 101}, "lapsed": {"id": 102, "mapping": "LAPSED"}}


class SegmentSpec(Spec):
    """A segment of the destination: Audience Manager's id, or a mapping value of one's own, or both."""

    model_config = ConfigDict(json_schema_extra=at_least_one_of("id", "mapping"))

    id: _Number | None = Field(default=None, description="The segment's number at Audience Manager.", examples=[101])
    mapping: _Mapping | None = Field(
        default=None,
        description="Mapping value: what stands in the file; default: the id (auto-fill).",
        examples=["LAPSED"],
    )

    @model_validator(mode="after")
    def _at_least_one(self) -> SegmentSpec:
        if self.id is None and self.mapping is None:
            raise ValueError("needs an id, a mapping, or both")
        return self


class SegmentFilesSpec(Spec):
    """Which files are delivered: kinds of device ids never share one."""

    model_config = ConfigDict(json_schema_extra=at_least_one_of("gaid", "idfa"))

    gaid: DeviceIdFile = Field(default=None, description="Google's advertising ids (20914).", examples=[True])
    idfa: DeviceIdFile = Field(default=None, description="Apple's advertising ids (20915).", examples=[True])

    @model_validator(mode="after")
    def _at_least_one(self) -> SegmentFilesSpec:
        if self.gaid is None and self.idfa is None:
            raise ValueError("needs at least one file: gaid or idfa")
        return self


class SplitSpec(Spec):
    """Large files in parts."""

    max_bytes: Annotated[int, Field(ge=MIN_PART_BYTES)] = Field(
        description="What a part has at most, before compression.", examples=[1_000_000_000]
    )
    numbers: SplitNumbers = Field(
        description="How parts are numbered in their names: 001, or -1. Adobe's pages have both: ask.", examples=["001"]
    )


class AudienceManagerSpec(FileDestinationSpec):
    """A server-to-server destination as Audience Manager has it, with many segments."""

    kind: Literal["audience_manager"] = Field(description="What kind of receiver it is.", examples=["audience_manager"])
    destination_id: _Number = Field(description="Audience Manager's number of the destination (DID).", examples=[1234])
    client: Organisation = Field(
        description="LiveRamp's name of the client, as it stands in file names (PID_ALIAS).", examples=["Acme"]
    )
    sync_type: SyncType = Field(description="How file names begin (SYNC_TYPE): ftp, or s3 or S3.", examples=["ftp"])
    sync: Sync = Field(
        default="full",
        description="Send everything every day, or, once a full file was delivered, what has changed (iter).",
        examples=["iter"],
    )
    separator: Separator = Field(
        default="space", description="What parts id, segments and removed segments.", examples=["tab"]
    )
    control_file: bool = Field(
        default=False, description="Send a .info file after each file: its name, size, lines and MD5.", examples=[True]
    )
    split: SplitSpec | None = Field(
        default=None,
        description="Send large files in parts; without it, a file is one.",
        examples=[{"max_bytes": 1_000_000_000, "numbers": "001"}],
    )
    segments: Annotated[dict[TraitName, SegmentSpec], Field(min_length=1)] = Field(
        description="Trait that says who is in it: segment, in the order of the file.", examples=[_SEGMENTS]
    )
    files: SegmentFilesSpec = Field(
        description="Which files are delivered: gaid, idfa or both.", examples=[{"gaid": True, "idfa": True}]
    )
