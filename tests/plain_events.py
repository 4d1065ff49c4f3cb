"""Segment's event log once more, read line by line in plain Python; shares no code with the package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def members(lines: Iterable[str], audience_key: str, until: datetime) -> set[str]:
    """Who has entered the audience before that moment and not left it since."""
    inside: set[str] = set()
    for event in _in_order(lines, until):
        properties, traits = event.get("properties") or {}, event.get("traits") or {}
        if event["type"] == "track" and properties.get("audience_key") == audience_key:
            if event["event"] == "Audience Entered":
                inside.add(_user(event))
            elif event["event"] == "Audience Exited":
                inside.discard(_user(event))
        elif event["type"] == "identify" and audience_key in traits:
            if traits[audience_key] in (True, "true"):
                inside.add(_user(event))
            else:
                inside.discard(_user(event))
    return inside


def traits(lines: Iterable[str], names: Sequence[str], until: datetime) -> dict[str, dict[str, Any]]:
    """The newest value of every trait that anybody has at that moment."""
    people: dict[str, dict[str, Any]] = {}
    for event in _in_order(lines, until):
        said: dict[str, Any] = {}
        if event["type"] == "identify":
            said = event.get("traits") or {}
        elif event["event"] in ("Audience Entered", "Audience Exited", "Trait Computed"):
            said = event.get("properties") or {}
        for name in names:
            if name in said:
                people.setdefault(_user(event), {})[name] = said[name]
    return people


def _in_order(lines: Iterable[str], until: datetime) -> list[dict[str, Any]]:
    """Events of somebody before that moment, each once, at its earliest time."""
    first: dict[str, dict[str, Any]] = {}
    for line in lines:
        event = json.loads(line)
        known = first.get(event["messageId"])
        if known is None or _time(event) < _time(known):
            first[event["messageId"]] = event
    events = [event for event in first.values() if event["type"] in ("identify", "track") and _time(event) < until]
    return sorted(events, key=lambda event: (_time(event), event["messageId"].encode()))


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def _user(event: dict[str, Any]) -> str:
    return str(event.get("userId") or event["anonymousId"])
