"""How a notice reaches people: Airflow's own notifiers, through Airflow connections."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from liveramp_provider.core.channels import EmailChannel, SlackChannel, WebhookChannel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import BaseNotifier

    from liveramp_provider.core.channels import Channel
    from liveramp_provider.notifications.notice import Notice

log = logging.getLogger(__name__)


def send(notice: Notice, channels: Sequence[Channel]) -> None:
    """Send through every channel, also when one of them fails.

    :raises ExceptionGroup: After all, with what failed; as long as the channels when it reached nobody.
    """
    failures: list[Exception] = []
    for channel in channels:
        with _attempt(notice, channel, failures):
            # Called without rendering: what a notice quotes is no template.
            _notifier(notice, channel).notify({})
    _raise(failures)


async def async_send(notice: Notice, channels: Sequence[Channel]) -> None:
    """As :func:`send`, for the triggerer."""
    failures: list[Exception] = []
    for channel in channels:
        with _attempt(notice, channel, failures):
            await _notifier(notice, channel).async_notify({})
    _raise(failures)


@contextmanager
def _attempt(notice: Notice, channel: Channel, failures: list[Exception]) -> Iterator[None]:
    """One channel's turn; what goes wrong is kept for later, so that it does not silence the others."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - notifiers raise whatever their libraries do
        error.add_note(f"notice by {channel.kind} through {channel.conn_id}")
        failures.append(error)
    else:
        log.info("notice: %s, sent by %s through %s", notice.subject, channel.kind, channel.conn_id)


def _raise(failures: list[Exception]) -> None:
    if failures:
        raise ExceptionGroup("a notice was not sent through every channel", failures)


def _notifier(notice: Notice, channel: Channel) -> BaseNotifier:
    match channel:
        case EmailChannel():
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier

            return SmtpNotifier(
                to=list(channel.to), subject=notice.subject, html_content=notice.html(), smtp_conn_id=channel.conn_id
            )
        case SlackChannel():
            from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

            return SlackWebhookNotifier(slack_webhook_conn_id=channel.conn_id, text=notice.text())
        case WebhookChannel():
            from airflow.providers.http.notifications.http import HttpNotifier

            return HttpNotifier(http_conn_id=channel.conn_id, json=notice.payload())
