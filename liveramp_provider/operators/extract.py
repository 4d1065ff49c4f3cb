"""Who is in the audience on the run's day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.dag_docs import extract_doc
from liveramp_provider.operators.base import LiveRampOperator
from liveramp_provider.operators.log_groups import account_lines, log_group
from liveramp_provider.refresh import refresh_of
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from airflow.sdk import Context


class LiveRampExtractOperator(LiveRampOperator):
    """Seal the members of the audience; see :func:`liveramp_provider.core.pipeline.extract.extract`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.doc_md = self.doc_md or extract_doc(self.audience)

    def perform(self, context: Context) -> dict[str, Any]:
        """Return where the members are sealed, their digest and counts."""
        from liveramp_provider import settings
        from liveramp_provider.core.pipeline.extract import extract
        from liveramp_provider.report import membership_table

        with settings.workspace() as workspace:
            membership = extract(self.audience, snapshot_day(context), workspace=workspace, refresh=refresh_of(context))
            place = workspace.staging.address(membership)
        account = membership_table(membership)
        log_group(str(account.title), account_lines(account))
        return {
            "place": place,
            "sha256": membership.sha256,
            "rows_read": membership.rows_read,
            "blank_keys": membership.blank_keys,
            "repeated_keys": membership.repeated_keys,
            "members": membership.members,
        }
