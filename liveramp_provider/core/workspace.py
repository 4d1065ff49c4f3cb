"""What a stage needs besides its input: a place to stage, an engine, connections, and the clock."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from liveramp_provider.core.engine import EngineSettings, open_engine
from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.sources import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from mypy_boto3_s3 import S3Client

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.sources import Connect, OpenS3
    from liveramp_provider.core.staging import Staging


def _no_s3(conn_id: str) -> S3Client:
    raise ConnectionConfigError(f"nothing says how to reach S3 as {conn_id}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where and with what the stages work; operators and the command line make one each.

    :param connect: Turns the name of a connection into a SQLAlchemy engine.
    :param s3: Turns the name of a connection into a client of S3.
    """

    staging: Staging
    connect: Connect
    s3: OpenS3 = _no_s3
    engine: EngineSettings = EngineSettings()

    @contextmanager
    def reader(self, audience: Audience, day: date) -> Iterator[Reader]:
        """Sources of `audience` as of `day`, in an engine whose scratch folder is gone afterwards."""
        zone = ZoneInfo(audience.schedule.timezone)
        with self.staging.scratch() as scratch, open_engine(self.engine, scratch) as engine:
            yield Reader(
                engine=engine,
                connect=self.connect,
                s3=self.s3,
                audience_id=audience.id,
                day=day,
                today=datetime.now(UTC).astimezone(zone).date(),
                day_end=datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC),
                scratch=scratch,
            )
