"""The real DAG through Airflow, into an audience at a fake LiveIntent; the deferral included."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.transports import liveintent_api
from liveramp_provider.operators import liveintent as operator_module
from liveramp_provider.testing import FakeLiveIntent
from liveramp_provider.testing import LiveIntentFault as Fault
from tests.airflow.conftest import CUSTOMERS, REPOSITORY
from tests.airflow.test_runs import returned_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.airflow.conftest import Installation

SLOTS = ("EMAIL_HASH", "IDFA", "AAID")


@pytest.fixture
def fake(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLiveIntent]:
    """The example's audience, and a LiveIntent that its connection leads to."""
    monkeypatch.setattr(liveintent_api, "PAUSES_S", (0, 0))
    monkeypatch.setattr(operator_module, "_EVERY_S", 0.01)
    shutil.copy(REPOSITORY / "examples" / "audiences" / "liveintent.yaml", installation.audience_file)
    with FakeLiveIntent(actions=["ACTION-LIVEINTENT-TOLD-YOU"]) as running:
        installation.connect("liveintent_default", running.connection_json())
        yield running


def test_delivers_and_waits_until_it_is_read(installation: Installation, fake: FakeLiveIntent) -> None:
    """Three files come into one audience, each once; every task returns what LiveIntent made of its file."""
    first = installation.run()
    counted = {slot: returned_by(f"liveintent.deliver_{slot}") for slot in SLOTS}
    second = installation.run()

    assert set(first.tasks.values()) == set(second.tasks.values()) == {"success"}
    assert [audience.name for audience in fake.audiences] == ["high_value_customers"]
    assert sorted(upload.identifiers for upload in fake.uploads) == sorted(SLOTS)
    for upload in fake.uploads:
        told = counted[upload.identifiers]
        assert (told["liveintent_uploaded"], told["liveintent_invalid"]) == (len(upload.lines), 0)
        assert told["rows"] == len(upload.lines) == len(set(upload.lines)) <= CUSTOMERS + 1
        assert (told["name"], upload.email) == (upload.name, "data-team@example.com")
    assert returned_by("liveintent.deliver_IDFA")["sent_now"] is False
    # Sealed files are what is sent, and go there by TLS alone.
    assert [leak for leak in installation.leaks() if not leak.startswith("build-liveintent-")] == []
    assert fake.token not in first.output
    assert "/signed/" not in first.output


def test_a_file_that_cannot_be_read(installation: Installation, fake: FakeLiveIntent) -> None:
    """An upload that ends in Error fails its task at once, with the counts; the other files are delivered."""
    installation.edit(r"\n      idfa: true\n      aaid: true", "")
    fake.misbehave(Fault.FAILS, call="Put")
    run = installation.run()
    assert run.tasks["liveintent.deliver_EMAIL_HASH"] == "failed"
    assert run.tries["liveintent.deliver_EMAIL_HASH"] == 1
    assert "LiveIntent took the file and ended in Error" in run.output


# The connection.


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"conn_type": "http", "password": "t"}, "is of type http"),
        ({"conn_type": "liveintent"}, "has no token"),
        ({"conn_type": "liveintent", "password": "t", "host": "http://example.com"}, "is not encrypted"),
    ],
)
def test_unsafe_connections(connection: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a token, of another type or without TLS is refused before anything is sent."""
    from liveramp_provider.hooks.liveintent import LiveIntentHook

    monkeypatch.setenv("AIRFLOW_CONN_LI", json.dumps(connection))
    with pytest.raises(ConnectionConfigError, match=words):
        LiveIntentHook("li").api()


def test_connection_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Test button says how many audiences the token sees, or what is wrong; the default address is LiveIntent's."""
    from liveramp_provider.hooks.liveintent import LiveIntentHook

    with FakeLiveIntent(actions=["add"]) as running:
        monkeypatch.setenv("AIRFLOW_CONN_LI", running.connection_json())
        good, words = LiveIntentHook("li").test_connection()
        assert good
        assert "lists 0 audiences" in words
        running.misbehave(Fault.DENIED, call="ListAudiences")
        assert LiveIntentHook("li").test_connection()[0] is False
    monkeypatch.setenv("AIRFLOW_CONN_LI", json.dumps({"conn_type": "liveintent", "password": "t"}))
    assert LiveIntentHook("li").api().url == "https://audiences.liveintent.com"


# The trigger.


def event_of(fake: FakeLiveIntent, monkeypatch: pytest.MonkeyPatch, until: str) -> dict[str, Any]:
    from liveramp_provider.triggers.liveintent import LiveIntentUploadTrigger

    monkeypatch.setenv("AIRFLOW_CONN_LI", fake.connection_json())
    watched = {"audience": 101, "slot": "IDFA", "action": "add", "name": "f.csv"}
    made = LiveIntentUploadTrigger(conn_id="li", watched=watched, until=until, summary={"name": "f.csv"}, every_s=0.01)
    path, arguments = made.serialize()
    assert path == "liveramp_provider.triggers.liveintent.LiveIntentUploadTrigger"

    async def first() -> Any:
        return await anext(LiveIntentUploadTrigger(**json.loads(json.dumps(arguments))).run())

    return asyncio.run(first()).payload  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("fault", "until", "status", "trouble"),
    [
        (None, "2999-01-01T00:00:00+00:00", "Finished", ""),
        (Fault.STUCK, "2020-01-01T00:00:00+00:00", "Pending", ""),
        (Fault.DENIED, "2999-01-01T00:00:00+00:00", None, "refused the token"),
    ],
)
def test_trigger(
    fault: Fault | None, until: str, status: str | None, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trigger ends with the upload, with its time, or with what only a person can correct; JSON holds its state."""
    with FakeLiveIntent(actions=["add"]) as running:
        running.account.create({"name": "vip", "accountId": 12345, "dataProviderId": 678})
        signed = running.account.address(101, {"identifierType": "IDFA", "action": "add"})
        running.account.take(signed, b"aebe52e7-03ee-455a-b3c4-e57283966239\n", fault)
        if fault is Fault.DENIED:
            running.misbehave(fault, call="ListUploads")
        event = event_of(running, monkeypatch, until)
    assert (event["upload"] and event["upload"]["status"]) == status
    assert trouble in event["trouble"]
    assert event["summary"] == {"name": "f.csv"}
