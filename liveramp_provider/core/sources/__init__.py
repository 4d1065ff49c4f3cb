"""Where rows come from. A source knows its day, and nothing of destinations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import SqlSource
from liveramp_provider.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    import ibis.expr.types as ir
    import sqlalchemy
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import Source

    #: Turns the name of a connection into an engine; operators and the command line bring their own.
    Connect = Callable[[str], sqlalchemy.Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads sources as of one day into one engine.

    :param today: The date in the audience's time zone, for sources that only know the present.
    :param scratch: Folder for rows that have to be copied before the engine can read them.
    """

    engine: Backend
    connect: Connect
    audience_id: str
    day: date
    today: date
    scratch: Path

    def table(self, source: Source, columns: Sequence[str], *, label: str) -> ir.Table:
        """The named columns of `source`, as of the day.

        :param label: What the source is called in errors, such as ``membership``.
        :raises SourceError: A column, a file or the day is not to be had.
        :raises SourceUnavailableError: The warehouse broke off.
        """
        from liveramp_provider.core.sources.files import read_files
        from liveramp_provider.core.sources.sql import land_query

        if source.current:
            self._check_current(label)
        if isinstance(source, SqlSource):
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
        return read_files(source, self.engine, columns=columns, day=self.day, label=label)

    def _check_current(self, label: str) -> None:
        # The nightly run of a day starts on the day after, so "now" still stands for yesterday.
        if not 0 <= (self.today - self.day).days <= 1:
            raise SourceError(
                f"{label}: the source is `current: true` and cannot tell who was in it on {self.day}; today is "
                f"{self.today}. Read from a source that keeps history (:snapshot_date), or leave this day out."
            )
