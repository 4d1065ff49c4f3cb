"""The way to a destination."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from liveramp_provider.hooks.liveramp import LiveRampHook
from liveramp_provider.hooks.s3 import s3_client

if TYPE_CHECKING:
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.transports import Transport


def transport_to(destination: Destination) -> Transport:
    """S3 where the path begins with ``s3://``, else SFTP, by the destination's connection.

    :raises ConnectionConfigError: The connection is missing, incomplete or unsafe; that of S3 is looked at only when it
        is used.
    """
    if not destination.on_s3:
        return replace(
            LiveRampHook(destination.conn_id).transport(),
            direct=destination.upload == "direct",
            resend=destination.on_doubt == "resend",
        )
    from liveramp_provider.core.transports.s3 import S3Transport

    return S3Transport(connect=partial(s3_client, destination.conn_id), kms_key_id=destination.kms_key_id)
