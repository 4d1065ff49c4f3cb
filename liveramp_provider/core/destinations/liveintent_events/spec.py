"""The keys of LiveIntent's event form."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from liveramp_provider.core.destination import OnDoubt
from liveramp_provider.core.destinations.common import MIN_MEMBERS, GuardsSpec
from liveramp_provider.core.destinations.event_file import EventKeysSpec
from liveramp_provider.core.schema.types import ConnId, Filename, Id, OneLine

#: Segment takes no more messages in a batch.
MAX_BATCH_SIZE = 2_500


class LiveIntentEventsSpec(EventKeysSpec):
    """An audience at LiveIntent by messages, for accounts on Segment's destination."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["message"], "properties": {"message": {"enum": ["page", "screen"]}}},
            "then": {"required": ["page_name"], "properties": {"page_name": {"type": "string"}}},
            "else": {"properties": {"page_name": {"type": "null"}}},
        }
    )

    kind: Literal["liveintent_events"] = Field(
        description="What kind of receiver it is.", examples=["liveintent_events"]
    )
    id: Id = Field(description="Stable name; part of every delivery's identity.", examples=["liveintent"])
    conn_id: ConnId = Field(
        description="Airflow connection of type liveintent_events, with endpoint, App ID and API key.",
        examples=["liveintent_events_default"],
    )
    message: Literal["identify", "track", "page", "screen", "group"] = Field(
        description="Which of Segment's messages is sent, one a member.", examples=["identify"]
    )
    page_name: OneLine | None = Field(
        default=None, description="Name of the page or screen; with message: page or screen only.", examples=["Offers"]
    )
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)] = Field(
        default=250, description="How many messages a request has at most.", examples=[250]
    )
    filename: Filename = Field(
        default="{audience}-{kind}_{date}",
        description="Name of the sealed file without extension; {audience}, {kind}, {date}, {upload_date}.",
        examples=["{audience}-{kind}_{date}"],
    )
    on_doubt: OnDoubt = Field(
        default="stop",
        description="When a batch may have arrived: stop for a person (default), or resend it under the same ids.",
        examples=["stop"],
    )
    guards: GuardsSpec = Field(
        default=GuardsSpec(),
        description="What stops a file before it is sent.",
        examples=[{"min_members": MIN_MEMBERS}],
    )
