"""A destination of LiveIntent's event form from its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.common import check_filename, shrink_percent
from liveramp_provider.core.destinations.event_file import Message, event_file
from liveramp_provider.core.destinations.liveintent_events import LiveIntentEvents
from liveramp_provider.core.snake_case import snake_case

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.common import Reading
    from liveramp_provider.core.destinations.liveintent_events.spec import LiveIntentEventsSpec


def destination_of(spec: LiveIntentEventsSpec, reading: Reading) -> LiveIntentEvents:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    message = Message(spec.message)
    _check_page_name(spec, message, reading)
    file = event_file(spec, message, reading, page_name=spec.page_name or "")
    words = snake_case(file.audience_key)
    if file.audience_key != words:
        reading.report(("audience_key",), "must be in snake_case", f"Write {words}." if words else "")
    check_filename(spec.filename, reading, org="", longest_kind=file.slot)
    return LiveIntentEvents(
        id=spec.id,
        conn_id=spec.conn_id,
        path=f"liveintent-events://{file.audience_key}",
        filename=spec.filename,
        compression="none",
        encryption=None,
        files=(file,),
        min_members=spec.guards.min_members,
        max_shrink_percent=shrink_percent(spec.guards),
        on_doubt=spec.on_doubt,
        batch_size=spec.batch_size,
    )


def _check_page_name(spec: LiveIntentEventsSpec, message: Message, reading: Reading) -> None:
    has_name = message in (Message.PAGE, Message.SCREEN)
    if has_name and spec.page_name is None:
        reading.report(("page_name",), f"is missing, and a {message} has a name", "Write the one you were told.")
    if not has_name and spec.page_name is not None:
        reading.report(("page_name",), f"is for a page or screen; a message of {message} has none", "Leave it out.")
