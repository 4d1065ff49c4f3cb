"""Ways to tell somebody how an audience is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel:
    """Notices by e-mail, through an Airflow connection of type ``smtp``."""

    kind: Literal["email"] = "email"
    conn_id: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """Notices into a Slack channel, through an Airflow connection of type ``slackwebhook``."""

    kind: Literal["slack"] = "slack"
    conn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Notices as JSON by HTTP POST, through an Airflow connection of type ``http``."""

    kind: Literal["webhook"] = "webhook"
    conn_id: str


Channel = EmailChannel | SlackChannel | WebhookChannel
