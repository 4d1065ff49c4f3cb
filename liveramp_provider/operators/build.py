"""A destination's files of the run's day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.dag_docs import build_doc
from liveramp_provider.operators.base import LiveRampOperator
from liveramp_provider.operators.log_groups import account_lines, log_group
from liveramp_provider.revision import revision_of
from liveramp_provider.snapshot_day import snapshot_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class LiveRampBuildOperator(LiveRampOperator):
    """Seal the files of one destination; see :func:`liveramp_provider.core.pipeline.build.build`.

    :param destination: Id of the destination in the audience.
    :param profiles: What the enrich task returned.
    """

    template_fields: Sequence[str] = ("profiles",)

    def __init__(self, *, destination: str, profiles: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.profiles = profiles
        self.doc_md = self.doc_md or build_doc(self.audience.destination(destination), self.audience.suppression)

    def perform(self, context: Context) -> dict[str, Any]:
        """Return, for every file slot, where it is sealed, its digests and counts."""
        from liveramp_provider import settings
        from liveramp_provider.core.artifacts import Profiles
        from liveramp_provider.core.pipeline.build import build
        from liveramp_provider.report import headline, waterfall_table

        destination, day, revision = (
            self.audience.destination(self.destination),
            snapshot_day(context),
            revision_of(context).number,
        )
        with settings.workspace() as workspace:
            files = build(
                self.audience,
                destination,
                day,
                workspace.staging.load(Profiles, self.profiles["place"]),
                workspace=workspace,
                revision=revision,
                bases=settings.bases(self.audience, destination, day, revision, staging=workspace.staging),
            )
            places = [workspace.staging.address(file) for file in files]
        for file in files:
            account = waterfall_table(file)
            about = (file.name, headline(file), f"columns: {', '.join(file.header)}")
            log_group(str(account.title), [*about, *account_lines(account)])
        return {
            file.slot: {
                "place": place,
                "name": file.name,
                "rows": file.rows,
                "members": file.members,
                "size_bytes": file.size_bytes,
                "csv_sha256": file.csv_sha256,
                "sha256": file.sha256,
                "waterfall": file.waterfall,
                "blanked": file.blanked,
            }
            for file, place in zip(files, places, strict=True)
        }
