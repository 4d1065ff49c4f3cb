"""What comes after an upload to LiveIntent: whether it could be read, and how many identifiers were."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import TransportError
from liveramp_provider.triggers.liveintent import LiveIntentUploadTrigger

if TYPE_CHECKING:
    from liveramp_provider.core.destinations.liveintent import LiveIntent
    from liveramp_provider.core.ledger import Delivery

log = logging.getLogger(__name__)

#: How long a task waits for LiveIntent; then its next try does.
PATIENCE = timedelta(hours=6)
_EVERY_S = 30.0


def watched_upload(delivery: Delivery, destination: LiveIntent, summary: dict[str, Any]) -> LiveIntentUploadTrigger:
    """What waits for the upload of a committed delivery.

    :param summary: What the task returns beside the counts.
    """
    from liveramp_provider.core.transports.liveintent import Watched

    audience = int(delivery.temp_path.partition("/")[0])
    watched = Watched(audience=audience, slot=delivery.slot, action=destination.action, name=delivery.name)
    return LiveIntentUploadTrigger(
        conn_id=destination.conn_id,
        watched=asdict(watched),
        until=(datetime.now(UTC) + PATIENCE).isoformat(),
        summary=summary,
        every_s=_EVERY_S,
    )


def counts_at_the_end(event: dict[str, Any]) -> dict[str, Any]:
    """The summary and the counts, where the upload is finished.

    :raises ReceiverRefusedError: LiveIntent could not read it.
    :raises TransportError: It is not finished yet.
    """
    from liveramp_provider.core.transports.liveintent import outcome_of
    from liveramp_provider.core.transports.liveintent_api import Upload

    summary: dict[str, Any] = event["summary"]
    told, name = event["upload"], summary["name"]
    if told is None or told["status"] not in ("Finished", "Error"):
        state = told["status"] if told else "not in the list of uploads"
        if event["trouble"]:
            raise TransportError(f"{name} was delivered; what became of it is not known yet: {event['trouble']}")
        raise TransportError(
            f"{name} was delivered, and LiveIntent has not read it after {PATIENCE}: it is {state}. The next try looks "
            "again; nothing is sent twice."
        )
    upload = Upload(**told | {"scheduled_at": datetime.fromisoformat(told["scheduled_at"])})
    counts = outcome_of(upload, name)
    log.info(
        f"deliver: LiveIntent has read {name}: {upload.uploaded:,} uploaded, {upload.invalid:,} invalid, "
        f"{upload.duplicates:,} duplicates"
    )
    if upload.invalid:
        log.warning(f"deliver: {upload.invalid:,} of {upload.uploaded:,} identifiers are invalid to LiveIntent")
    if in_all := event["audience"]:
        log.info(
            f"deliver: on {in_all['date']} LiveIntent knew {in_all['total']:,} identifiers of the audience, and "
            f"{in_all['matched']:,} of them matched"
        )
        counts |= {"liveintent_audience": in_all["total"], "liveintent_matched": in_all["matched"]}
    return summary | counts
