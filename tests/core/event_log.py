"""Segment's event logs for tests: their events, their files, and what the package makes of them."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from liveramp_provider.core.audience import SegmentEventsSource
from liveramp_provider.core.identifiers import as_text
from liveramp_provider.core.sources import Reader

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

DAY = date(2026, 11, 20)
NOON = "2026-11-20T12:00:00Z"
VIP = "vip"


class Log:
    """A folder of log files, and what we make of it."""

    def __init__(self, folder: Path, engine: Backend) -> None:
        self.folder, self.engine = folder, engine
        self.watermark = ""

    def write(self, *lines: str | Mapping[str, Any], name: str = "1.jsonl") -> Log:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        content = text.encode()
        (self.folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return self

    def rows(self, columns: Sequence[str], *, audience_key: str, day: date, zone: str) -> list[dict[str, Any]]:
        source = SegmentEventsSource(path=f"{self.folder}/*.jsonl*", audience_key=audience_key)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            reader = Reader(
                engine=self.engine,
                connect=None,
                s3=None,
                audience_id="vip",
                day=day,
                today=day,
                day_end=midnight_after(day, zone),
                scratch=Path(scratch),
            )
            table = reader.table(source, columns, label="the log")
            texts = [
                table[column] if table[column].type().is_array() else as_text(table[column]).name(column)
                for column in table.columns
            ]
            self.watermark = reader.records[0].watermark
            return self.engine.to_pyarrow(table.select(*texts)).to_pylist()

    def members(self, day: date = DAY, *, audience_key: str = VIP, zone: str = "UTC") -> list[str | None]:
        found = [row["userId"] for row in self.rows(["userId"], audience_key=audience_key, day=day, zone=zone)]
        return sorted(found, key=lambda user: (user is None, user))

    def traits(self, *names: str, day: date = DAY, zone: str = "UTC") -> dict[str, dict[str, Any]]:
        rows = self.rows(["userId", *names], audience_key="", day=day, zone=zone)
        assert len(rows) == len({row["userId"] for row in rows})
        return {row.pop("userId"): row for row in rows}


def midnight_after(day: date, zone: str) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def track(user: object, event: str, at: object = NOON, id: object = "m1", **properties: object) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "userId": user,
        "messageId": id,
        "timestamp": at,
        "properties": properties,
    }


def entered(user: object, at: object = NOON, id: object = "m1", key: str = VIP) -> dict[str, Any]:
    return track(user, "Audience Entered", at, id, audience_key=key)


def exited(user: object, at: object = NOON, id: object = "m1", key: str = VIP) -> dict[str, Any]:
    return track(user, "Audience Exited", at, id, audience_key=key)


def identify(user: object, traits: object, at: object = NOON, id: object = "m1") -> dict[str, Any]:
    return {"type": "identify", "userId": user, "messageId": id, "timestamp": at, "traits": traits}
