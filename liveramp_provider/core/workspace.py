"""What a stage needs besides its input: a place to stage, an engine, connections, and the clock."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.sources import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.sources import Connect
    from liveramp_provider.core.staging import Staging


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where and with what the stages work; operators and the command line make one each.

    :param connect: Turns the name of a connection into a SQLAlchemy engine.
    """

    staging: Staging
    connect: Connect
    engine: EngineSettings = EngineSettings()

    @contextmanager
    def reader(self, audience: Audience, day: date) -> Iterator[Reader]:
        """Sources of `audience` as of `day`, in an engine whose scratch folder is gone afterwards."""
        today = datetime.now(UTC).astimezone(ZoneInfo(audience.schedule.timezone)).date()
        with self.staging.scratch() as scratch, open_engine(self.engine, scratch) as engine:
            yield Reader(
                engine=engine,
                connect=self.connect,
                audience_id=audience.id,
                day=day,
                today=today,
                scratch=scratch,
            )
