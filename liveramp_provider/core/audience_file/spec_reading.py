"""From plain values to specs: Pydantic judges, and its findings become sentences with a way out.

A broken key is noted and its example stands in, so that one reading finds everything.
"""

from __future__ import annotations

import copy
import types
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from liveramp_provider.core.audience_file.schema import AudienceSpec
from liveramp_provider.core.schema.types import PATTERNS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from liveramp_provider.core.audience_file.findings import Findings, Location
    from liveramp_provider.core.audience_file.yaml_document import Value

_MAX_READINGS = 10
_KIND = "kind"
_KIND_UNKNOWN = ("union_tag_invalid", "union_tag_not_found")
_MAX_GUESSED_CHARS = 64

_SENTENCES = {
    "bool_type": ("must be true or false", ""),
    "dict_type": ("must be a mapping", "Write it as key: value."),
    "int_type": ("must be a whole number", ""),
    "model_attributes_type": ("must be a mapping", "Write it as key: value."),
    "list_type": ("must be a list", "Put its entries in [ ]."),
    "string_too_short": ("must not be empty", ""),
    "too_short": ("needs at least one entry", ""),
}


def read_spec(value: Value, findings: Findings) -> AudienceSpec | None:
    """The spec, with examples in place of what is broken; what is broken goes to `findings`, all of it.

    :returns: ``None`` when too little is left to go on with.
    """
    document = copy.deepcopy(value)
    for _ in range(_MAX_READINGS):
        try:
            return AudienceSpec.model_validate(document)
        except ValidationError as error:
            details = error.errors(include_url=False)
        if not isinstance(document, dict):
            findings.fault((), "must be a mapping", "Begin with audience: <id>.")
            return None
        misspelt = {(*_place(detail)[:-1], _meant(detail)) for detail in details if detail["type"] == "extra_forbidden"}
        for detail in details:
            if detail["type"] != "missing" or _place(detail) not in misspelt:
                findings.fault(_place(detail), *_words(detail))
        findings.unread.update(misspelt, map(_unread, details))
        # Keys go last: a mapping's key and its value may both be wrong.
        for detail in sorted(details, key=_is_about_key):
            _mend(document, detail)
    return None


def _way(detail: ErrorDetails) -> Location:
    """The way to the fault through the schema: as in the file, and beside it which kind of destination it is."""
    way = tuple(part for part in detail["loc"] if part != "[key]")
    return (*way, _KIND) if detail["type"] in _KIND_UNKNOWN else way


def _place(detail: ErrorDetails) -> Location:
    """Where the fault stands in the file."""
    place: list[str | int] = []
    annotation: Any = AudienceSpec
    for part in _way(detail):
        if part in _kinds(annotation):
            annotation = _kinds(annotation)[str(part)]
        else:
            place.append(part)
            annotation = _inner(annotation, part)
    return tuple(place)


def _unread(detail: ErrorDetails) -> Location:
    """The place that is not as written any more once the fault is mended; of an unknown kind, no key can be judged."""
    return _place(detail)[:-1] if detail["type"] in _KIND_UNKNOWN else _place(detail)


def _is_about_key(detail: ErrorDetails) -> bool:
    return detail["type"] == "extra_forbidden" or detail["loc"][-1] == "[key]"


def _words(detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong, and the way out."""
    where, kind, context = _way(detail), detail["type"], detail.get("ctx", {})
    if kind == "union_tag_not_found":
        return "is missing", f"One of {', '.join(_kinds(_declared(where[:-1])))}."
    if kind == "union_tag_invalid":
        return _choice(context["tag"], list(_kinds(_declared(where[:-1]))))
    description = _description(where)
    if kind == "extra_forbidden":
        meant = _meant(detail)
        return "unknown key", f"Did you mean {meant}?" if meant else f"Known keys: {', '.join(_keys(where[:-1]))}."
    if kind == "missing":
        return "is missing", description
    if detail["input"] is None:
        return "has no value", description
    if kind == "string_type":
        return "must be text", "" if isinstance(detail["input"], list | dict) else "Put it in quotes."
    if kind == "model_type":
        return "must be a mapping", f"Its keys: {', '.join(_keys(where))}."
    if kind in ("literal_error", "enum"):
        return _choice(str(detail["input"]), _allowed(_annotation(where)))
    if kind == "string_pattern_mismatch":
        return f"must be {PATTERNS[context['pattern']]}", ""
    if kind == "string_too_long":
        return f"may have {context['max_length']:,} characters at most", ""
    if kind == "greater_than_equal":
        return f"must be {context['ge']} or more", description
    return _SENTENCES.get(kind, (detail["msg"].removeprefix("Value error, "), ""))


def _choice(written: str, allowed: list[str]) -> tuple[str, str]:
    """Which words there are, and which of them was meant."""
    wish = f"must be {' or '.join(allowed)}" if len(allowed) < 3 else f"must be one of {', '.join(allowed)}"
    nearest = _nearest(written, allowed)
    return wish, f"Did you mean {nearest}?" if nearest else ""


def _meant(detail: ErrorDetails) -> str:
    """The known key that an unknown one looks like."""
    *above, key = _way(detail)
    return _nearest(str(key), _keys(tuple(above)))


def _nearest(word: str, known: list[str]) -> str:
    nearest = get_close_matches(word.lower(), known, n=1) if len(word) <= _MAX_GUESSED_CHARS else []
    return nearest[0] if nearest else ""


def _mend(document: dict[str, Value], detail: ErrorDetails) -> None:
    """Put the example where the fault is; drop a key that is unknown or cannot be one."""
    place, way = _unread(detail), _way(detail)
    if detail["type"] in _KIND_UNKNOWN:
        way = way[:-1]
    holder: Any = document
    for part in place[:-1]:
        holder = holder[part]
    if _is_about_key(detail):
        holder.pop(place[-1], None)
    elif place:
        holder[place[-1]] = copy.deepcopy(_example(way))


def _example(way: Location) -> Any:
    annotation: Any = AudienceSpec
    example: Any = None
    for part in way:
        field = _field(annotation, part)
        if field is not None:
            example = (field.examples or [None])[0]
        elif part not in _kinds(annotation):
            example = example[0] if isinstance(example, list) else next(iter(example.values()))
        annotation = _inner(annotation, part)
    return example


def _annotation(way: Location) -> Any:
    """The type at the end of the way, without metadata."""
    return _bare(_declared(way))


def _declared(way: Location) -> Any:
    annotation: Any = AudienceSpec
    for part in way:
        annotation = _inner(annotation, part)
    return annotation


def _inner(annotation: Any, part: str | int) -> Any:
    """What is under a key, in a list, or of a kind; itself where the schema does not know the key."""
    field = _field(annotation, part)
    if field is not None:
        return field.annotation
    if part in _kinds(annotation):
        return _kinds(annotation)[str(part)]
    return get_args(_bare(annotation))[-1] if get_args(_bare(annotation)) else annotation


def _kinds(annotation: Any) -> dict[str, Any]:
    """The kinds of a mapping that says by a key which it is; empty for any other."""
    if get_origin(annotation) is not Annotated or not any(
        getattr(mark, "discriminator", None) for mark in annotation.__metadata__
    ):
        return {}
    return {get_args(model.model_fields[_KIND].annotation)[0]: model for model in get_args(get_args(annotation)[0])}


def _description(where: Location) -> str:
    field = _field(_annotation(where[:-1]), where[-1]) if where else None
    return (field.description or "") if field else ""


def _keys(where: Location) -> list[str]:
    model = _annotation(where)
    return [field.alias or name for name, field in model.model_fields.items()]


def _allowed(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [member.value for member in annotation]
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _field(annotation: Any, key: str | int) -> FieldInfo | None:
    """The field of a mapping with fixed keys; ``None`` for a list, or a mapping whose keys are free."""
    model = _bare(annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    return next((field for name, field in model.model_fields.items() if key == (field.alias or name)), None)


def _bare(annotation: Any) -> Any:
    """The type itself, without metadata and without ``None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _bare(next(inner for inner in get_args(annotation) if inner is not types.NoneType))
    return annotation
