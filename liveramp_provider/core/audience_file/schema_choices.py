"""Choices between keys, as the JSON Schema says them; the validators of :mod:`.schema` say them to the loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic.config import JsonDict, JsonValue


def exactly_one_of(keys: Mapping[str, Sequence[str]]) -> JsonDict:
    """One of `keys` has a value.

    :param keys: To every key those that make sense only beside it.
    """
    return {"oneOf": [_with(key, none_of=_others(key, keys), no_value=[None]) for key in keys]}


def _others(key: str, keys: Mapping[str, Sequence[str]]) -> list[str]:
    beside = {name: [name, *companions] for name, companions in keys.items()}
    return [other for name, group in beside.items() if name != key for other in group]


def at_least_one_of(*switches: str) -> JsonDict:
    """Not all of these are left out or switched off."""
    return {"anyOf": [_with(key, none_of=[], no_value=[None, False]) for key in switches]}


def _with(key: str, *, none_of: Sequence[str], no_value: list[JsonValue]) -> JsonDict:
    """A mapping that has a value under `key`, and none under others."""
    absent: JsonDict = {other: {"type": "null"} for other in none_of}
    return {"required": [key], "properties": {key: {"not": {"enum": no_value}}, **absent}}
