"""One file of a destination, put where it is collected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveramp_provider.hooks.liveramp import LiveRampHook
from liveramp_provider.operators.base import LiveRampOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class LiveRampDeliverOperator(LiveRampOperator):
    """Send one sealed file once; see :func:`liveramp_provider.core.pipeline.deliver.deliver`.

    :param destination: Id of the destination in the audience.
    :param slot: Which of its files: ``PII``, ``D``, ``D-IDFA`` or ``D-AAID``.
    :param files: What the build task returned.
    """

    template_fields: Sequence[str] = ("files",)

    def __init__(self, *, destination: str, slot: str, files: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.slot = slot
        self.files = files

    def execute(self, context: Context) -> dict[str, str | int | bool]:
        """Return the receipt: delivery id, name, counts, digests and evidence."""
        from liveramp_provider import settings
        from liveramp_provider.core.artifacts import SealedFile
        from liveramp_provider.core.pipeline.deliver import deliver
        from liveramp_provider.core.staging import load

        destination = self.audience.destination(self.destination)
        receipt = deliver(
            load(SealedFile, Path(self.files[self.slot]["place"])),
            destination,
            transport=LiveRampHook(destination.conn_id).transport(),
            ledger=settings.ledger(),
            holder=self._holder(context),
        )
        summary: dict[str, str | int | bool] = {
            "delivery_id": receipt.delivery_id,
            "name": receipt.name,
            "day": receipt.day.isoformat(),
            "rows": receipt.rows,
            "members": receipt.members,
            "size_bytes": receipt.size_bytes,
            "sha256": receipt.sha256,
            "evidence": receipt.evidence,
            "sent_now": receipt.sent_now,
        }
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {**summary}
        return summary

    @staticmethod
    def _holder(context: Context) -> str:
        """The same for every try of one task, so that a retry need not wait for the lease of a try that died."""
        instance = context["ti"]
        return f"{instance.dag_id}/{instance.run_id}/{instance.task_id}"
