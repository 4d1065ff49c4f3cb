"""What is known of every member on the run's day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.dag_docs import enrich_doc
from liveramp_provider.operators.base import LiveRampOperator
from liveramp_provider.refresh import refresh_of
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class LiveRampEnrichOperator(LiveRampOperator):
    """Seal members with their traits; see :func:`liveramp_provider.core.pipeline.enrich.enrich`.

    :param membership: What the extract task returned.
    """

    template_fields: Sequence[str] = ("membership",)

    def __init__(self, *, membership: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.membership = membership
        self.doc_md = self.doc_md or enrich_doc(self.audience)

    def perform(self, context: Context) -> dict[str, Any]:
        """Return where the profiles are sealed, their digest and counts."""
        from liveramp_provider import settings
        from liveramp_provider.core.artifacts import Membership
        from liveramp_provider.core.pipeline.enrich import enrich

        with settings.workspace() as workspace:
            membership = workspace.staging.load(Membership, self.membership["place"])
            profiles = enrich(
                self.audience, snapshot_day(context), membership, workspace=workspace, refresh=refresh_of(context)
            )
            place = workspace.staging.address(profiles)
        return {
            "place": place,
            "sha256": profiles.sha256,
            "members": profiles.members,
            "traits": len(profiles.traits),
        }
