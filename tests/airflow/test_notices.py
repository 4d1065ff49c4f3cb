"""What people are told, when, and that it harms nobody: wording, the rule of one notice a change, and dead channels."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import DAG

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.channels import EmailChannel, SlackChannel, WebhookChannel
from liveramp_provider.core.ledger import Health, Ledger, State
from liveramp_provider.notifications.channels import async_send, send
from liveramp_provider.notifications.late import LateNotifier
from liveramp_provider.notifications.notice import FileState, Notice, TaskState
from liveramp_provider.notifications.outcome import OutcomeNotifier
from liveramp_provider.notifications.standing import file_states
from liveramp_provider.notifications.watched import Watched, WatchedFile
from liveramp_provider.testing.standalone import free_port
from tests.airflow.conftest import REPOSITORY
from tests.deliveries import sealed_file
from tests.running.inboxes import HookBox, MailBox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile

DAY = date(2026, 11, 20)
NOTICE = Notice(
    kind="failed",
    audience="vip",
    name="Fish & <b>Chips</b>",
    day="2026-11-20",
    headline="The delivery of 2026-11-20 failed.",
    files=(FileState(file="liveramp/PII", delivered=True, rows=30, members=30, words="delivered: 30 rows"),),
    tasks=(TaskState(task_id="preflight", state="failed", error="a <script> & {{ var.value.secret }}"),),
    run_url="https://airflow.example.com/dags/vip/runs/x",
)
EMAIL = EmailChannel(conn_id="mail", to=("crm@example.com",))
WATCHED = Watched(
    audience="vip",
    name="Very important",
    timezone="America/New_York",
    files=tuple(
        WatchedFile(destination="liveramp", slot=slot, receiver="LiveRamp", look_at="LiveRamp's Files page")
        for slot in ("PII", "D")
    ),
    channels=(EMAIL, SlackChannel(conn_id="slack"), WebhookChannel(conn_id="webhook")),
)


# The words.


def test_what_a_notice_quotes_is_text() -> None:
    """Names and errors neither become markup in a mail or in Slack nor are filled in as templates."""
    assert "Fish &amp; &lt;b&gt;Chips" in NOTICE.text()
    assert "a &lt;script&gt; &amp; {{ var.value.secret }}" in NOTICE.text()
    assert "a &lt;script&gt; &amp; {{ var.value.secret }}" in NOTICE.html()
    assert NOTICE.payload()["tasks"] == ({"task_id": "preflight", "state": "failed", "error": NOTICE.tasks[0].error},)
    assert json.loads(json.dumps(NOTICE.payload()))["subject"] == "LiveRamp: Fish & <b>Chips</b>, 2026-11-20: failed"


def test_what_is_watched_travels_as_json() -> None:
    """The triggerer gets the same audience that the DAG file had."""
    assert Watched.of_json(json.loads(json.dumps(WATCHED.as_json()))) == WATCHED


# The channels.


@pytest.fixture
def inboxes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[MailBox, HookBox]]:
    """A mail server and a hook server, and the three connections that lead there."""
    with MailBox() as mail, HookBox() as hooks:
        connections = {
            "mail": mail.connection(),
            "slack": {"conn_type": "slackwebhook", "host": f"{hooks.url}/slack", "password": "token"},
            "webhook": {"conn_type": "http", "host": f"{hooks.url}/hook"},
        }
        for name, connection in connections.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        yield mail, hooks


@pytest.mark.parametrize("asynchronous", [False, True], ids=["callback", "triggerer"])
def test_every_channel_gets_the_notice(inboxes: tuple[MailBox, HookBox], asynchronous: bool) -> None:
    """By mail, into Slack and as JSON, from the DAG processor and from the triggerer, exactly as written."""
    mail, hooks = inboxes
    if asynchronous:
        asyncio.run(async_send(NOTICE, WATCHED.channels))
    else:
        send(NOTICE, WATCHED.channels)

    assert mail.subjects() == [NOTICE.subject]
    assert NOTICE.html() in mail.mails[0].get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert [post["text"] for post in hooks.posted("/slack/token")] == [NOTICE.text()]
    assert hooks.posted("/hook") == [json.loads(json.dumps(NOTICE.payload()))]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["callback", "triggerer"])
def test_a_dead_channel_does_not_silence_the_others(
    inboxes: tuple[MailBox, HookBox], monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """The others are told, and the error says which channel failed."""
    mail, hooks = inboxes
    dead = {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{free_port()}", "password": "token"}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", json.dumps(dead))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(async_send(NOTICE, WATCHED.channels)) if asynchronous else send(NOTICE, WATCHED.channels)

    assert [note for error in caught.value.exceptions for note in error.__notes__] == ["notice by slack through slack"]
    assert (len(mail.mails), len(hooks.posted("/hook"))) == (1, 1)


# The end of a run.


def deliver(ledger: Ledger, file: SealedFile) -> None:
    """Let the ledger know that the file has arrived."""
    claim = ledger.claim(file, folder="/uploads", holder="test")
    for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
        claim.advance(state)
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))


def ended_well(day: date) -> None:
    """What the DAG processor does when a run of the day has succeeded."""
    context = {"dag": DAG("vip"), "run_id": "scheduled__x", "partition_key": day.isoformat(), "params": {}}
    OutcomeNotifier(WATCHED, delivered=True).notify(context)


def test_a_notice_names_the_receiver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of each destination's file in doubt it says where that receiver shows what came, and what it holds."""
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(tmp_path))
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    watched = Watched.of(load_audience(REPOSITORY / "examples" / "audiences" / "many_destinations.yaml"))
    for file in watched.files:
        sealed = sealed_file(tmp_path / "file", audience="everywhere", destination=file.destination, slot=file.slot)
        claim = ledger.claim(sealed, folder=f"/uploads/{file.destination}", holder="test")
        for state in (State.UPLOADING, State.VERIFIED, State.INTENT):
            claim.advance(state)
        claim.doubt("nobody can know")

    words = {state.file: state.words for state in file_states(watched, DAY)}

    assert words["liveramp/D"] == "in doubt: look at LiveRamp's Files page; LiveRamp holds nothing of it"
    assert words["facebook/PII"] == "in doubt: look at the list of files at Facebook; Facebook holds nothing of it"
    assert words["google/PII"] == "in doubt: look at the list of files at Google Ads; Google Ads holds nothing of it"


def test_recovery_is_told_once(
    inboxes: tuple[MailBox, HookBox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first delivery after trouble is told with its counts, the next ones are not, and an older day never is."""
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(tmp_path))
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    ledger.note_health(Health(audience="vip", day=DAY - timedelta(days=1), trouble="extract", since=DAY))
    deliver(ledger, sealed_file(tmp_path / "PII", audience="vip", name="PII"))
    ledger.claim(sealed_file(tmp_path / "D", audience="vip", slot="D", name="D"), folder="/uploads", holder="test")

    for day in (DAY - timedelta(days=2), DAY, DAY, DAY + timedelta(days=1)):
        ended_well(day)

    mail, hooks = inboxes
    assert mail.subjects() == ["LiveRamp: Very important, 2026-11-20: recovered"]
    (post,) = hooks.posted("/hook")
    assert [file["words"] for file in post["files"]] == [
        "delivered: 30 rows of 30 members",
        "not delivered; LiveRamp holds nothing of it",
    ]
    assert ledger.health("vip").day == DAY + timedelta(days=1)


def test_a_notice_that_reached_nobody_is_sent_again(
    inboxes: tuple[MailBox, HookBox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Health is noted when the notice is out; one that failed is the next run's to send."""
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(tmp_path))
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    ledger.note_health(Health(audience="vip", day=DAY, trouble="extract", since=DAY))
    there = {name: os.environ[f"AIRFLOW_CONN_{name}"] for name in ("MAIL", "SLACK", "WEBHOOK")}
    for name in there:
        monkeypatch.delenv(f"AIRFLOW_CONN_{name}")

    with pytest.raises(ExceptionGroup):
        ended_well(DAY)
    for name, connection in there.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", connection)
    ended_well(DAY)

    mail, _ = inboxes
    assert mail.subjects() == ["LiveRamp: Very important, 2026-11-20: recovered"]


def test_a_dead_channel_does_not_repeat_the_notice_in_the_others(
    inboxes: tuple[MailBox, HookBox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What reached somebody is told, and is not told again with the next run."""
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(tmp_path))
    Ledger.in_file(tmp_path / "ledger.sqlite").note_health(Health(audience="vip", day=DAY, trouble="late", since=DAY))
    monkeypatch.delenv("AIRFLOW_CONN_SLACK")

    for _ in range(2):
        ended_well(DAY)

    mail, hooks = inboxes
    assert (len(mail.mails), len(hooks.posted("/hook"))) == (1, 1)


def test_a_run_without_a_day_is_no_news(inboxes: tuple[MailBox, HookBox], tmp_path: Path) -> None:
    """Who triggered it reads why; nobody else is told."""
    OutcomeNotifier(WATCHED, delivered=False).notify({"dag": DAG("vip"), "run_id": "manual__x", "params": {}})
    mail, hooks = inboxes
    assert (mail.mails, hooks.posts) == ([], [])


# The deadline.


def test_a_deadline_is_silent_when_every_file_is_delivered(
    inboxes: tuple[MailBox, HookBox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Delivered in time is delivered in time, also where the run itself has not ended yet."""
    monkeypatch.setenv("AIRFLOW__LIVERAMP__HOME", str(tmp_path))
    ledger = Ledger.in_file(tmp_path / "ledger.sqlite")
    for slot in ("PII", "D"):
        deliver(ledger, sealed_file(tmp_path / slot, audience="vip", slot=slot, name=slot))
    run = {"dag_id": "vip", "dag_run_id": "scheduled__x", "partition_key": DAY.isoformat()}
    notifier = LateNotifier(watched=WATCHED.as_json())

    asyncio.run(notifier.async_notify({"dag_run": run, "deadline": {"deadline_time": "2026-11-21T11:00:00+00:00"}}))

    mail, hooks = inboxes
    assert (mail.mails, hooks.posts) == ([], [])
    assert ledger.health("vip") == Health.before_all("vip")
