"""LiveIntent's event form: each of Segment's messages with the membership as a user property; what may be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.audience_file import audience_from, load_audience
from liveramp_provider.core.destinations.liveintent_events import LiveIntentEvents
from liveramp_provider.core.doctor import examine
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.core.transports.events import EventsEndpoint, EventsTransport
from liveramp_provider.dag_docs import deliver_doc
from tests.core.pipeline import csv_of
from tests.core.test_destination_events import PEOPLE, built, message_id, written

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[2] / "examples" / "audiences" / "liveintent_events.yaml"
GOLDEN = Path(__file__).parent / "golden"
#: What the kind asks for, and what it does not know.
KIND: dict[str, Any] = {"kind": "liveintent_events", "path": None, "compression": None}
NAMES = {"page": {"page_name": "Offers"}, "screen": {"page_name": "Offers"}}


@pytest.mark.parametrize("message", ["identify", "track"])
def test_the_same_messages_as_in_files(message: str, tmp_path: Path) -> None:
    """Identify and Track are those of files, to the byte: there is one definition of what a message says."""
    sealed = built(tmp_path, PEOPLE, message=message, **KIND)
    assert csv_of(sealed) == (GOLDEN / f"events_{message}.jsonl").read_bytes()


ANN = {"email": " Ann@Example.com", "firstName": '"Ann"\nLee\\', "high_value_customers": True}


@pytest.mark.parametrize(
    ("message", "own"),
    [
        ("page", {"name": "Offers", "context": {"traits": ANN}}),
        ("screen", {"name": "Offers", "context": {"traits": ANN}}),
        ("group", {"groupId": "high_value_customers", "context": {"traits": ANN}}),
    ],
)
def test_messages_that_are_not_about_a_user(message: str, own: Mapping[str, Any], tmp_path: Path) -> None:
    """A page, screen or group says of its user what Segment's common field for that says: `context.traits`."""
    sealed = built(tmp_path, PEOPLE, message=message, **KIND, **NAMES.get(message, {}))
    (ann,) = (line for line in map(json.loads, csv_of(sealed).decode().split("\n")[:-1]) if line["userId"] == "C2")
    common = {
        "type": message,
        "messageId": message_id("C2", message),
        "userId": "C2",
        "timestamp": "2026-11-21T04:59:59.999Z",
    }
    assert ann == common | dict(own)
    assert list(ann) == [*common, *own]
    assert sealed.name == f"vip-{message.upper()}_2026-11-20.jsonl"


def test_example() -> None:
    """The example is the audience it says, under its name in snake case."""
    (destination,) = load_audience(EXAMPLE).destinations
    assert isinstance(destination, LiveIntentEvents)
    assert (destination.path, destination.batch_size, destination.on_doubt) == (
        "liveintent-events://high_value_customers",
        100,
        "stop",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"message": None}, "destinations[0].message: is missing"),
        ({"message": "alias"}, "must be one of identify, track, page, screen, group"),
        ({"message": "page"}, "destinations[0].page_name: is missing, and a page has a name"),
        ({"page_name": "Offers"}, "is for a page or screen; a message of identify has none"),
        ({"audience_key": "HighValue"}, "must be in snake_case. Write highvalue."),
        ({"batch_size": 0}, "destinations[0].batch_size"),
        ({"batch_size": 2501}, "destinations[0].batch_size"),
        ({"traits": {"email": "mail"}}, "no source gives a trait mail"),
        ({"traits": {"vip": "vip"}}, "vip is the audience's own key, which is no trait"),
        ({"filename": "{audience}_{date}"}, "has no {kind}"),
        ({"path": "/uploads"}, "unknown key"),
    ],
)
def test_faults(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    """What cannot be sent is said when the file is read, with its place and the way out."""
    with pytest.raises(AudienceFileError) as error:
        audience_from(written("email", "first_name", **KIND | changes), file=tmp_path / "vip.py")
    assert words in str(error.value)


def test_people_are_told_what_it_is(tmp_path: Path) -> None:
    """The doctor says what it cannot try, a doubt where to look, and the task's page that messages go in batches."""
    (there,) = load_audience(EXAMPLE).destinations
    way = EventsTransport(connect=lambda: EventsEndpoint(url="https://example.com", headers=()), batch_size=1)
    words = [finding.words for finding in examine(there, lambda _: way)]
    assert "the connection has all it needs" in words[-1]
    assert (there.receiver, there.look_at) == ("LiveIntent", "the audience at LiveIntent")
    assert "Sends the IDENTIFY file by LiveIntent's API, once" in deliver_doc(there, "IDENTIFY")
    assert "in batches of messages" in deliver_doc(there, "IDENTIFY")
