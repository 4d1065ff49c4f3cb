"""Wait, without a worker, until LiveIntent has read an upload."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from liveramp_provider.core.errors import LiveRampError, TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class LiveIntentUploadTrigger(BaseTrigger):
    """Look at an upload until it is finished, or `until` has come; the event says that it is time to look.

    :param conn_id: Connection of type ``liveintent``.
    :param watched: The upload, a :class:`liveramp_provider.core.transports.liveintent.Watched` as a dict.
    :param until: ISO 8601; then the event comes, whatever the upload's state.
    :param summary: What the task returns beside the counts. Airflow's ``dag.test`` keeps nothing else for it.
    """

    def __init__(
        self, *, conn_id: str, watched: dict[str, Any], until: str, summary: dict[str, Any], every_s: float = 30
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no type here
        self.conn_id = conn_id
        self.watched = watched
        self.until = until
        self.summary = summary
        self.every_s = every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where it is, and what it is made of."""
        arguments = ("conn_id", "watched", "until", "summary", "every_s")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The one event: the summary, upload and audience as last seen, and the words of an error that stays."""
        from liveramp_provider.core.transports.liveintent import Watched
        from liveramp_provider.hooks.liveintent import LiveIntentHook

        watched, until = Watched(**self.watched), datetime.fromisoformat(self.until)
        seen: dict[str, Any] | None = None
        counts: dict[str, str | int] = {}
        trouble = ""
        while True:
            done = False
            try:
                api = await LiveIntentHook(self.conn_id).async_api()
                found = await asyncio.to_thread(watched.look, api)
                seen, trouble = asdict(found) if found else None, ""
                if done := found is not None and found.finished:
                    counts = await asyncio.to_thread(api.counts, watched.audience)
            except TransientError as error:
                # Of a finished upload, the audience's counts can be missed.
                trouble = str(error)
            except LiveRampError as error:
                trouble, done = str(error), True
            if done or datetime.now(UTC) >= until:
                break
            await asyncio.sleep(self.every_s)
        if seen is not None:
            seen["scheduled_at"] = seen["scheduled_at"].isoformat()
        event = {"summary": self.summary, "upload": seen, "audience": counts, "trouble": trouble}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # as above
