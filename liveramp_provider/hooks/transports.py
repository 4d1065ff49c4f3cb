"""The way to a destination."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.liveintent import LiveIntent
from liveramp_provider.core.destinations.liveintent_events import LiveIntentEvents
from liveramp_provider.hooks.liveintent import LiveIntentHook
from liveramp_provider.hooks.liveintent_events import LiveIntentEventsHook
from liveramp_provider.hooks.liveramp import LiveRampHook
from liveramp_provider.hooks.s3 import s3_client

if TYPE_CHECKING:
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.transports import Transport


def transport_to(destination: Destination) -> Transport:
    """LiveIntent's API or endpoint for an audience there, S3 where the path begins with ``s3://``, else SFTP.

    :raises ConnectionConfigError: The connection is missing, incomplete or unsafe; those of S3 and LiveIntent are
        looked at only when they are used.
    """
    if isinstance(destination, LiveIntent):
        from liveramp_provider.core.transports.liveintent import LiveIntentTransport

        return LiveIntentTransport(
            connect=LiveIntentHook(destination.conn_id).api,
            audience=destination.audience_name,
            account_id=destination.account_id,
            data_provider_id=destination.data_provider_id,
            action=destination.action,
            email=destination.notification_email,
            resend=destination.on_doubt == "resend",
        )
    if isinstance(destination, LiveIntentEvents):
        from liveramp_provider.core.transports.events import EventsTransport

        return EventsTransport(
            connect=LiveIntentEventsHook(destination.conn_id).endpoint,
            batch_size=destination.batch_size,
            resend=destination.on_doubt == "resend",
        )
    if not destination.on_s3:
        return replace(
            LiveRampHook(destination.conn_id).transport(),
            direct=destination.upload == "direct",
            resend=destination.on_doubt == "resend",
        )
    from liveramp_provider.core.transports.s3 import S3Transport

    return S3Transport(connect=partial(s3_client, destination.conn_id), kms_key_id=destination.kms_key_id)
