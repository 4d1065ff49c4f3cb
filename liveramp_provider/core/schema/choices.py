"""Choices between keys: said once, for the JSON Schema and for the loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.config import JsonDict, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What goes with one of the keys of a choice.

    :param needs: Keys that must stand beside it.
    :param takes: Keys that may.
    """

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    @property
    def companions(self) -> tuple[str, ...]:
        """All that may stand beside it."""
        return (*self.needs, *self.takes)


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of these keys has a value, and only its companions stand beside it."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def json_schema(self) -> JsonDict:
        """The choice for a mapping's JSON Schema."""
        return {
            "oneOf": [
                _with(key, needs=kind.needs, none_of=self._foreign(key), no_value=[None])
                for key, kind in self.kinds.items()
            ]
        }

    def made(self, spec: BaseModel) -> str | None:
        """The key that has a value; ``None`` where none or several have."""
        given = [key for key in self.kinds if _value(spec, key) is not None]
        return given[0] if len(given) == 1 else None

    def missing(self, spec: BaseModel) -> Iterator[str]:
        """The companions that the chosen key needs and that have no value."""
        made = self.made(spec)
        yield from (key for key in (self.kinds[made].needs if made else ()) if _value(spec, key) is None)

    def misplaced(self, spec: BaseModel) -> Iterator[str]:
        """The keys that are there and go with other choices only."""
        made = self.made(spec)
        yield from (key for key in (self._foreign(made) if made else ()) if _value(spec, key) is not None)

    def _foreign(self, key: str) -> list[str]:
        own = (key, *self.kinds[key].companions)
        others = (name for other, kind in self.kinds.items() for name in (other, *kind.companions))
        return [name for name in dict.fromkeys(others) if name not in own]


def _value(spec: BaseModel, key: str) -> object:
    """What is written under `key`; a default does not count."""
    name = next(name for name, model_field in type(spec).model_fields.items() if key == (model_field.alias or name))
    return getattr(spec, name) if name in spec.model_fields_set else None


def at_least_one_of(*switches: str) -> JsonDict:
    """Not all of these are left out or switched off."""
    return {"anyOf": [_with(key, needs=[], none_of=[], no_value=[None, False]) for key in switches]}


def _with(key: str, *, needs: Sequence[str], none_of: Sequence[str], no_value: list[JsonValue]) -> JsonDict:
    """A mapping that has a value under `key` and under `needs`, and none under others."""
    present: JsonDict = {name: {"not": {"enum": no_value}} for name in (key, *needs)}
    absent: JsonDict = {other: {"type": "null"} for other in none_of}
    return {"required": [key, *needs], "properties": {**present, **absent}}
