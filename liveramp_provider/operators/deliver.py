"""One file of a destination, put where it is collected."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from liveramp_provider.acceptance import acceptance_of
from liveramp_provider.core.destinations.liveintent import LiveIntent
from liveramp_provider.dag_docs import deliver_doc
from liveramp_provider.hooks.transports import transport_to
from liveramp_provider.operators.base import LiveRampOperator, leaving_a_word
from liveramp_provider.operators.liveintent import counts_at_the_end, watched_upload
from liveramp_provider.operators.log_groups import log_group
from liveramp_provider.revision import revision_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from liveramp_provider.core.artifacts import Receipt

log = logging.getLogger(__name__)


class LiveRampDeliverOperator(LiveRampOperator):
    """Send one sealed file once, with all that follows it, without whoever has opted out since it was sealed.

    See :func:`liveramp_provider.core.pipeline.deliver.deliver` and
    :func:`liveramp_provider.core.pipeline.build.rebuild`.

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
        self.doc_md = self.doc_md or deliver_doc(self.audience.destination(destination), slot)

    def perform(self, context: Context) -> dict[str, Any]:
        """Return the receipt: delivery id, name, counts, digests and evidence."""
        from liveramp_provider import settings
        from liveramp_provider.core.artifacts import SealedFile
        from liveramp_provider.core.parts import following
        from liveramp_provider.core.pipeline.build import rebuild
        from liveramp_provider.core.pipeline.deliver import deliver
        from liveramp_provider.core.transports.remembering import RememberingTransport

        destination = self.audience.destination(self.destination)
        ledger = settings.ledger()
        with settings.workspace() as workspace:
            file = workspace.staging.load(SealedFile, self.files[self.slot]["place"])
            if ledger.may_change(file):
                # Hours may lie between build and this try, and somebody may have opted out in them.
                staging = workspace.staging if file.base else None
                bases = settings.bases(self.audience, destination, file.day, file.revision, staging=staging)
                file = rebuild(self.audience, destination, file, workspace=workspace, bases=bases)
            send = partial(
                deliver,
                destination=destination,
                transport=RememberingTransport(transport_to(destination), workspace.staging),
                ledger=ledger,
                holder=self._holder(context),
                why=revision_of(context).why,
                acceptance=acceptance_of(context),
            )
            receipt = send(file)
            delivery = ledger.find(receipt.delivery_id)
            rest = following(file, delivery, destination, workspace=workspace) if delivery is not None else ()
            others = [send(one) for one in rest]
        if receipt.csv_sha256 != file.csv_sha256:
            log.info(f"deliver: {file.name} would differ by now; {destination.receiver} keeps what was delivered")
        for one in (receipt, *others):
            log_group(f"Receipt of {one.name}", _receipt_lines(one))
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
        if isinstance(destination, LiveIntent) and delivery is not None:
            self.defer(trigger=watched_upload(delivery, destination, summary), method_name="when_read")
        return self._done(context, summary)

    def when_read(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the receipt with the receiver's own counts; for receivers that say what they could read."""
        with leaving_a_word(context):
            return self._done(context, counts_at_the_end(event))

    def _done(self, context: Context, summary: dict[str, Any]) -> dict[str, Any]:
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {**summary}
        return summary

    @staticmethod
    def _holder(context: Context) -> str:
        """The same for every try of one task, so that a retry need not wait for the lease of a try that died."""
        instance = context["ti"]
        return f"{instance.dag_id}/{instance.run_id}/{instance.task_id}"


def _receipt_lines(receipt: Receipt) -> list[str]:
    from liveramp_provider.core.ledger import EVIDENCE

    sent = "sent by this task" if receipt.sent_now else "sent earlier; nothing was sent now"
    return [
        f"file       {receipt.name}",
        f"folder     {receipt.folder}",
        f"content    {receipt.rows:,} rows of {receipt.members:,} members, {receipt.size_bytes:,} bytes",
        f"committed  {receipt.committed_at:%F %T} UTC, {sent}",
        f"evidence   {receipt.evidence}: {EVIDENCE.get(receipt.evidence, 'not of this version')}",
        f"sha256     {receipt.sha256}",
        f"delivery   {receipt.delivery_id}",
    ]
