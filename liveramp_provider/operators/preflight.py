"""Check what can be checked before a row is read."""

from __future__ import annotations

from dataclasses import replace
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

    from liveramp_provider.core.audience import Audience


class LiveRampPreflightOperator(LiveRampOperator):
    """Log in to every destination and check its folder, host key and PGP key; nothing is read and nothing sent.

    :param destination: Id of the only destination to check; empty: all of them.
    """

    def __init__(self, *, destination: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.doc_md = self.doc_md or preflight_doc(self._checked())

    def _checked(self) -> Audience:
        """The audience with the destinations that are checked here, and no others."""
        if not self.destination:
            return self.audience
        return replace(self.audience, destinations=(self.audience.destination(self.destination),))

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
        checked = self._checked()
        check_revision(checked, day, revision, ledger=ledger)
        check_probed(checked, ledger=ledger)
        check_history(checked, day, revision, ledger=ledger, acceptance=acceptance)
        with settings.staging() as staging:
            staging.store.keys(f"{self.audience.id}/{day.isoformat()}/")  # answers, or says what is wrong
        preflight(checked, transport=transport_to)
        return {"day": day.isoformat(), "ready": ", ".join(d.id for d in checked.destinations)}
