"""Check what can be checked before a row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.acceptance import acceptance_of
from liveramp_provider.dag_docs import preflight_doc
from liveramp_provider.hooks.transports import transport_to
from liveramp_provider.operators.base import LiveRampOperator
from liveramp_provider.refresh import refresh_of
from liveramp_provider.revision import revision_of
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from airflow.sdk import Context


class LiveRampPreflightOperator(LiveRampOperator):
    """Log in to every destination and check its folder, host key and PGP key; nothing is read and nothing sent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.doc_md = self.doc_md or preflight_doc(self.audience)

    def perform(self, context: Context) -> dict[str, Any]:
        """Return the day and the destinations that are ready."""
        from liveramp_provider import settings
        from liveramp_provider.core.guards.history import check_history
        from liveramp_provider.core.guards.preflight import preflight
        from liveramp_provider.core.guards.probed import check_probed
        from liveramp_provider.core.guards.revision import check_revision

        day = snapshot_day(context)
        refresh_of(context)
        revision, acceptance, ledger = revision_of(context).number, acceptance_of(context), settings.ledger()
        check_revision(self.audience, day, revision, ledger=ledger)
        check_probed(self.audience, ledger=ledger)
        check_history(self.audience, day, revision, ledger=ledger, acceptance=acceptance)
        with settings.staging() as staging:
            staging.store.keys(f"{self.audience.id}/{day.isoformat()}/")  # answers, or says what is wrong
        preflight(self.audience, transport=transport_to)
        return {"day": day.isoformat(), "ready": ", ".join(d.id for d in self.audience.destinations)}
