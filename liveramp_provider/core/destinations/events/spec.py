"""The keys of files of Segment's messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liveramp_provider.core.destinations.common import FileDestinationSpec
from liveramp_provider.core.destinations.event_file import EventKeysSpec
from liveramp_provider.core.schema.types import Filename


class EventsSpec(EventKeysSpec, FileDestinationSpec):
    """A folder that messages in the form of Segment's events are read from."""

    kind: Literal["events"] = Field(description="What kind of receiver it is.", examples=["events"])
    message: Literal["identify", "track"] = Field(
        description="Which of Segment's messages is written, one a member.", examples=["identify"]
    )
    filename: Filename = Field(
        default="{audience}-{kind}_{date}",
        description="File name without extension; {audience}, {kind}, {date}, {upload_date}.",
        examples=["{audience}-{kind}_{date}"],
    )
