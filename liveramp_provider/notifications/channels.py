"""How a notice reaches people: Airflow's own notifiers, through Airflow connections."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import EmailChannel, SlackChannel, WebhookChannel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import BaseNotifier

    from liveramp_provider.core.audience import Channel
    from liveramp_provider.notifications.notice import Notice

log = logging.getLogger(__name__)


def send(notice: Notice, channels: Sequence[Channel]) -> None:
    """Send through every channel, also when one of them fails.

    :raises ExceptionGroup: After all, with what failed.
    """
    failures = []
    for channel in channels:
        try:
            # Called without rendering: what a notice quotes is no template.
            _notifier(notice, channel).notify({})
        except Exception as error:  # noqa: BLE001 - one dead channel must not silence the others
            failures.append(_noted(error, channel))
        else:
            log.info("notice: %s, sent by %s through %s", notice.subject, channel.kind, channel.conn_id)
    _raise(failures)


async def async_send(notice: Notice, channels: Sequence[Channel]) -> None:
    """As :func:`send`, for the triggerer."""
    failures = []
    for channel in channels:
        try:
            await _notifier(notice, channel).async_notify({})
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(_noted(error, channel))
        else:
            log.info("notice: %s, sent by %s through %s", notice.subject, channel.kind, channel.conn_id)
    _raise(failures)


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


def _noted(error: Exception, channel: Channel) -> Exception:
    error.add_note(f"notice by {channel.kind} through {channel.conn_id}")
    return error


def _raise(failures: list[Exception]) -> None:
    if failures:
        raise ExceptionGroup("a notice was not sent through every channel", failures)
