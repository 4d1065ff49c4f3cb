"""A Python mapping as the plain values that YAML has: text, whole numbers, true and false, nothing, lists, mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liveramp_provider.core.audience_file.findings import Findings, dotted
from liveramp_provider.core.audience_file.yaml_document import MAX_DEPTH, TOO_DEEP, UnreadableError
from liveramp_provider.core.errors import Fault

if TYPE_CHECKING:
    from liveramp_provider.core.audience_file.findings import Location
    from liveramp_provider.core.audience_file.yaml_document import Value

_HINTS = {"tuple": "Write a list.", "set": "Write a list.", "PosixPath": "Write it as text."}


def read_mapping(mapping: Any) -> tuple[Value, Findings]:
    """A copy of `mapping` in plain values, and the findings on it: what YAML could not say is noted.

    :raises UnreadableError: It has no end; the error holds the fault.
    """
    findings = Findings()
    return _value(mapping, (), findings), findings


def _value(value: Any, where: Location, findings: Findings) -> Value:
    if len(where) > MAX_DEPTH:
        raise UnreadableError(Fault(where=dotted(where[:1]), line=0, message=TOO_DEEP))
    if isinstance(value, dict):
        return {key: _value(entry, (*where, key), findings) for key, entry in _entries(value, where, findings)}
    if isinstance(value, list):
        return [_value(entry, (*where, index), findings) for index, entry in enumerate(value)]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)  # a StrEnum's member is its text
    kind = type(value).__name__
    message = f"is a {kind}, and must be text, a whole number, True, False, None, a list or a dict"
    findings.fault(where, message, _HINTS.get(kind, ""))
    findings.unread.add(where)
    return None


def _entries(mapping: dict[Any, Any], where: Location, findings: Findings) -> list[tuple[str, Any]]:
    for key in mapping:
        if not isinstance(key, str):
            findings.fault((*where, repr(key)), "the key is not text", "Put the key in quotes.")
    return [(str(key), value) for key, value in mapping.items() if isinstance(key, str)]
