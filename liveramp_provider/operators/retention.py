"""What is staged longer than it may be, and what killed workers left, removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from liveramp_provider.operators.base import PatientOperator
from liveramp_provider.operators.log_groups import log_group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from liveramp_provider.core.retention import DayStages

_DOC = """\
Removes what was staged more than `[liveramp] keep_days` days ago, of every audience, and what killed workers left of
their work. A day stays while a delivery of it is not finished. Nothing at LiveRamp and no row of the ledger changes.

A day that is gone can be delivered all the same: its members and traits are read again.
"""


class LiveRampRetentionOperator(PatientOperator):
    """Remove what is staged too long; see :func:`liveramp_provider.core.retention.remove_old`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.doc_md = self.doc_md or _DOC

    def perform(self, context: Context) -> dict[str, Any]:
        """Return how many stages, bytes and days were removed, and how many days are held."""
        from liveramp_provider import settings
        from liveramp_provider.core.retention import remove_old

        settings.ledger()  # made where nothing was delivered yet; a ledger that is missing would hold everything
        keep = settings.keep()
        with settings.staging() as staging:
            swept = staging.sweep()
            days = remove_old(staging.store, ledger=settings.ledger_at(), sealed_before=datetime.now(UTC) - keep)
        removed, held = ([day for day in days if day.held is wanted] for wanted in (False, True))
        log_group(f"Removed, sealed more than {keep.days} days ago", _lines(removed))
        log_group("Kept although older: a delivery is not finished, see liveramp deliveries", _lines(held))
        return {
            "removed_days": len(removed),
            "removed_stages": sum(day.stages for day in removed),
            "removed_bytes": sum(day.size_bytes for day in removed),
            "held_days": len(held),
            "swept_folders": swept,
        }


def _lines(days: Iterable[DayStages]) -> list[str]:
    return [f"{day.audience} {day.day}: {day.stages} stages, {day.size_bytes:,} bytes" for day in days] or ["none"]
