"""A destination of files of Segment's messages from its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.common import check_filename, file_destination
from liveramp_provider.core.destinations.event_file import Message, event_file
from liveramp_provider.core.destinations.events import Events

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.destinations.events.spec import EventsSpec


def destination_of(spec: EventsSpec, reading: Reading) -> Events:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    file = event_file(spec, Message(spec.message), reading)
    check_filename(spec.filename, reading, org="", longest_kind=file.slot)
    return Events(**file_destination(spec, reading), filename=spec.filename, files=(file,))
