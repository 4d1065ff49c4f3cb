"""Messages through Airflow: the real DAG to a fake endpoint, its connection, and the DAG that writes them as files."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.transports import events as transport_module
from liveramp_provider.testing import EventsFault as Fault
from liveramp_provider.testing import FakeEventsEndpoint
from tests.airflow.conftest import CUSTOMERS, REPOSITORY
from tests.airflow.test_runs import returned_by

if TYPE_CHECKING:
    from tests.airflow.conftest import Installation


def test_delivers_every_message_once(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member is told of once, through a refusal and a rerun; no key and no person is in the log."""
    monkeypatch.setattr(transport_module, "PAUSES_S", (0, 0))
    shutil.copy(REPOSITORY / "examples" / "audiences" / "liveintent_events.yaml", installation.audience_file)
    installation.edit("audience: liveintent_by_events", "audience: high_value_customers")
    with FakeEventsEndpoint() as fake:
        installation.connect("liveintent_events_default", fake.connection_json())
        fake.misbehave(Fault.MUCH_PATIENCE, after=1)
        first = installation.run_trying_twice()
        told = returned_by("liveintent.deliver_IDENTIFY")
        second = installation.run()
    assert set(first.tasks.values()) == set(second.tasks.values()) == {"success"}
    assert first.tries["liveintent.deliver_IDENTIFY"] == 2
    assert len(fake.messages) == told["rows"] == told["members"] <= CUSTOMERS
    assert [(fake.repeated, told["evidence"])] == [(0, "E6")]
    assert {one["traits"]["high_value_customers"] for one in fake.messages} == {True}
    assert not [one for one in fake.messages if one["messageId"] in first.output]
    assert not [key for key in fake.headers.values() if key in first.output]
    # The sealed file is what is sent, and goes there by TLS alone.
    assert [leak for leak in installation.leaks() if not leak.startswith("build-liveintent-")] == []


# The connection.

GOOD: dict[str, Any] = {
    "conn_type": "liveintent_events",
    "host": "https://example.com/v1/batch",
    "login": "app",
    "password": "Bearer key",
    "extra": {"api_key_header": "Authorization", "app_id_header": "X-App-Id"},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conn_type": "http"}, "is of type http"),
        ({"host": "", "password": "", "extra": {}}, "has no endpoint, API key, API key header, App ID header"),
        ({"host": "http://example.com"}, "is not encrypted"),
        ({"host": "https://example.com/?api_key=x"}, "holds a query or a password"),
        ({"host": "https://me:secret@example.com/"}, "holds a query or a password"),
        ({"password": "a\nb"}, "printable ASCII only"),
        ({"extra": {"api_key_header": "X Key", "app_id_header": "X-App-Id"}}, "no header that can carry a key"),
        ({"extra": {"api_key_header": "Host", "app_id_header": "X-App-Id"}}, "no header that can carry a key"),
        ({"extra": {"api_key_header": "X-Id", "app_id_header": "x-id"}}, "in the same header"),
    ],
)
def test_connections_that_cannot_be_used(changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LiveIntent does not publish has to be written; nothing is guessed, and nothing goes unencrypted."""
    from liveramp_provider.hooks.liveintent_events import LiveIntentEventsHook

    monkeypatch.setenv("AIRFLOW_CONN_LIE", json.dumps(GOOD | changes))
    with pytest.raises(ConnectionConfigError, match=words) as error:
        LiveIntentEventsHook("lie").endpoint()
    assert "secret" not in str(error.value)
    assert "api_key=x" not in str(error.value)


def test_connection_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Test button says what is missing, and of a whole connection what it cannot know."""
    from liveramp_provider.hooks.liveintent_events import LiveIntentEventsHook

    monkeypatch.setenv("AIRFLOW_CONN_LIE", json.dumps(GOOD))
    good, words = LiveIntentEventsHook("lie").test_connection()
    assert good
    assert "only a message can tell" in words
    assert LiveIntentEventsHook("lie").endpoint().headers == (("Authorization", "Bearer key"), ("X-App-Id", "app"))
    assert LiveIntentEventsHook("nowhere").test_connection()[0] is False
