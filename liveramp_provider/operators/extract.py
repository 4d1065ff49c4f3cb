"""Who is in the audience on the run's day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.operators.base import LiveRampOperator
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from airflow.sdk import Context


class LiveRampExtractOperator(LiveRampOperator):
    """Seal the members of the audience; see :func:`liveramp_provider.core.pipeline.extract.extract`."""

    def execute(self, context: Context) -> dict[str, str | int]:
        """Return where the members are sealed, their digest and counts."""
        from liveramp_provider import settings
        from liveramp_provider.core.pipeline.extract import extract

        membership = extract(self.audience, snapshot_day(context), workspace=settings.workspace())
        return {
            "place": str(membership.path.parent),
            "sha256": membership.sha256,
            "rows_read": membership.rows_read,
            "blank_keys": membership.blank_keys,
            "repeated_keys": membership.repeated_keys,
            "members": membership.members,
        }
