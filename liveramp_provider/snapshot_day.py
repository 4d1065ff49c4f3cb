"""Which day a run is about. It is told by the run, and never guessed from the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.core.days import parse_day
from liveramp_provider.core.errors import SnapshotDayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_HOW = 'Type the day as "Partition Key" (Trigger → Advanced Options) or as the parameter snapshot_date, YYYY-MM-DD.'


def snapshot_day(context: Mapping[str, Any]) -> date:
    """The snapshot day of a task's run: its partition key, or the parameter ``snapshot_date`` where it has none.

    :raises SnapshotDayError: Neither is there, both are and differ, or it is no date.
    """
    key = context.get("partition_key")
    parameter = context.get("params", {}).get("snapshot_date")
    if key and parameter and key != parameter:
        raise SnapshotDayError(f"the run is of {key}, but its parameter snapshot_date says {parameter}. Give only one.")
    day = key or parameter
    if not day:
        raise SnapshotDayError(f"the run does not say which day it delivers. {_HOW}")
    try:
        return parse_day(day)
    except ValueError:
        raise SnapshotDayError(f"the run's day is not of the form YYYY-MM-DD. {_HOW}") from None
