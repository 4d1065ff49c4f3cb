"""Every kind of destination: its keys, and how they become a destination. Nothing else lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from liveramp_provider.core.destinations.audience_manager import values as audience_manager
from liveramp_provider.core.destinations.audience_manager.spec import AudienceManagerSpec
from liveramp_provider.core.destinations.events import values as events
from liveramp_provider.core.destinations.events.spec import EventsSpec
from liveramp_provider.core.destinations.facebook import values as facebook
from liveramp_provider.core.destinations.facebook.spec import FacebookSpec
from liveramp_provider.core.destinations.google import values as google
from liveramp_provider.core.destinations.google.spec import GoogleSpec
from liveramp_provider.core.destinations.liveintent import values as liveintent
from liveramp_provider.core.destinations.liveintent.spec import LiveIntentSpec
from liveramp_provider.core.destinations.liveintent_events import values as liveintent_events
from liveramp_provider.core.destinations.liveintent_events.spec import LiveIntentEventsSpec
from liveramp_provider.core.destinations.liveramp import values as liveramp
from liveramp_provider.core.destinations.liveramp.spec import LiveRampSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.destinations.common import Reading

#: The keys of any destination, by its ``kind``.
DestinationSpec = Annotated[
    LiveRampSpec | FacebookSpec | GoogleSpec | LiveIntentSpec | LiveIntentEventsSpec | EventsSpec | AudienceManagerSpec,
    Field(discriminator="kind"),
]

_READ: Mapping[str, Callable[[Any, Reading], Destination]] = {
    "liveramp": liveramp.destination_of,
    "facebook": facebook.destination_of,
    "google": google.destination_of,
    "liveintent": liveintent.destination_of,
    "events": events.destination_of,
    "liveintent_events": liveintent_events.destination_of,
    "audience_manager": audience_manager.destination_of,
}


def destination_of(spec: DestinationSpec, reading: Reading) -> Destination:
    """The destination that `spec` describes; all that is wrong with it is reported."""
    return _READ[spec.kind](spec, reading)
