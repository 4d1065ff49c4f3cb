"""Files of Segment's messages, for whoever reads those from a folder: who is in the audience, and the chosen traits."""

from __future__ import annotations

from liveramp_provider.core.destination import Destination


class Events(Destination):
    """A folder that messages are read from."""

    __slots__ = ()

    receiver = "The reader of the events"
    extension = "jsonl"
