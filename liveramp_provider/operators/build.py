"""A destination's files of the run's day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveramp_provider.operators.base import LiveRampOperator
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

    def execute(self, context: Context) -> dict[str, dict[str, Any]]:
        """Return, for every file slot, where it is sealed, its digests and counts."""
        from liveramp_provider import settings
        from liveramp_provider.core.artifacts import Profiles
        from liveramp_provider.core.pipeline.build import build
        from liveramp_provider.core.staging import load

        files = build(
            self.audience,
            self.audience.destination(self.destination),
            snapshot_day(context),
            load(Profiles, Path(self.profiles["place"])),
            workspace=settings.workspace(),
        )
        return {
            file.slot: {
                "place": str(file.path.parent),
                "name": file.name,
                "rows": file.rows,
                "members": file.members,
                "size_bytes": file.size_bytes,
                "csv_sha256": file.csv_sha256,
                "sha256": file.sha256,
                "waterfall": file.waterfall,
                "blanked": file.blanked,
            }
            for file in files
        }
