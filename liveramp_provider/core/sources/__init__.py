"""Where rows come from. A source knows its day, and nothing of destinations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import SourceRecord
from liveramp_provider.core.audience import FilesSource, PythonSource, SegmentEventsSource, SqlSource
from liveramp_provider.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    import ibis.expr.types as ir
    import sqlalchemy
    from ibis.backends.duckdb import Backend
    from mypy_boto3_s3 import S3Client

    from liveramp_provider.core.audience import Source

    #: Turns the name of a connection into an engine; operators and the command line bring their own.
    Connect = Callable[[str], sqlalchemy.Engine]

    #: Turns the name of a connection into a client of S3.
    OpenS3 = Callable[[str], S3Client]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads sources as of one day into one engine.

    :param today: The date in the audience's time zone, for sources that only know the present.
    :param day_end: The moment at which the day ends in the audience's time zone; it belongs to the next day.
    :param scratch: Folder for rows that have to be copied before the engine can read them.
    :param records: What has been read so far.
    """

    engine: Backend
    connect: Connect
    s3: OpenS3
    audience_id: str
    day: date
    today: date
    day_end: datetime
    scratch: Path
    records: list[SourceRecord] = field(default_factory=list)

    def table(self, source: Source, columns: Sequence[str], *, label: str) -> ir.Table:
        """The named columns of `source`, as of the day.

        :param label: What the source is called in errors, such as ``membership``.
        :raises SourceError: A column, a file or the day is not to be had.
        :raises SourceUnavailableError: The warehouse broke off.
        """
        if source.current:
            self._check_current(label)
        read_at = datetime.now(UTC)
        if isinstance(source, SqlSource):
            rows, watermark = self._query(source, columns, label), ""
        elif isinstance(source, PythonSource):
            rows, watermark = self._frames(source, columns, label), ""
        else:
            rows, watermark = self._files(source, columns, label)
        self.records.append(
            SourceRecord(
                label=label,
                source=name_of(source),
                query_sha256=hashlib.sha256(source.query.encode()).hexdigest() if isinstance(source, SqlSource) else "",
                read_at=read_at,
                watermark=watermark,
            )
        )
        return rows

    def _query(self, source: SqlSource, columns: Sequence[str], label: str) -> ir.Table:
        from liveramp_provider.core.sources.sql import land_query

        target = self.scratch / f"rows of {label}.parquet"
        warehouse = self.connect(source.conn_id)
        try:
            land_query(
                source,
                warehouse,
                parameters={"snapshot_date": self.day, "audience": self.audience_id},
                columns=columns,
                target=target,
                label=label,
            )
        finally:
            warehouse.dispose()
        return self.engine.read_parquet(target)

    def _frames(self, source: PythonSource, columns: Sequence[str], label: str) -> ir.Table:
        from liveramp_provider.core.sources.frames import land_frames

        folder = self.scratch / f"frames of {label}"
        return land_frames(
            source,
            self.engine,
            parameters={"snapshot_date": self.day, "audience": self.audience_id},
            columns=columns,
            folder=folder,
            label=label,
        )

    def _files(
        self, source: FilesSource | SegmentEventsSource, columns: Sequence[str], label: str
    ) -> tuple[ir.Table, str]:
        from liveramp_provider.core.sources.files import found_files, read_files

        files = found_files(source, day=self.day, scratch=self.scratch / f"files of {label}", s3=self.s3, label=label)
        if isinstance(source, SegmentEventsSource):
            from liveramp_provider.core.sources.segment_events import read_segment_events

            return read_segment_events(
                source, files, self.engine, columns=columns, until=self.day_end, scratch=self.scratch, label=label
            )
        return read_files(source, files, self.engine, columns=columns, label=label), files.newest

    def _check_current(self, label: str) -> None:
        # The nightly run of a day starts on the day after, so "now" still stands for yesterday.
        if not 0 <= (self.today - self.day).days <= 1:
            raise SourceError(
                f"{label}: the source is `current: true` and cannot tell who was in it on {self.day}; today is "
                f"{self.today}. Read from a source that keeps history (:snapshot_date), or leave this day out."
            )


def name_of(source: Source) -> str:
    """What a source is called in records and logs: its connection, path or function."""
    if isinstance(source, SqlSource):
        return source.conn_id
    return source.function if isinstance(source, PythonSource) else source.path
