"""LiveIntent for accounts on Segment's destination "LiveIntent Audiences": messages with membership as a user property.

Source: Segment's page on that destination. It asks for an API key and an App ID, and an audience goes by its name in
snake case. The address and how it wants the two keys are not public, so a connection has to say them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from liveramp_provider.core.destination import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIntentEvents(Destination):
    """An endpoint that takes batches of messages.

    :param batch_size: How many messages a request has at most.
    """

    receiver: ClassVar[str] = "LiveIntent"
    by_api: ClassVar[bool] = True
    by_messages: ClassVar[bool] = True
    extension: ClassVar[str] = "jsonl"

    batch_size: int

    @property
    def look_at(self) -> str:
        """A page of LiveIntent's."""
        return "the audience at LiveIntent"
