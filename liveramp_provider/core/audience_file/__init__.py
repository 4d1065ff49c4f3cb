"""From an audience file to an :class:`Audience`, or to all of its faults at once, each with its line and a hint.

An audience may also be written in Python, as a dict with the same keys; it is held to the same rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.audience_file.plain_values import read_mapping
from liveramp_provider.core.audience_file.spec_reading import read_spec
from liveramp_provider.core.audience_file.spec_values import audience_of
from liveramp_provider.core.audience_file.yaml_document import UnreadableError, read_yaml
from liveramp_provider.core.errors import AudienceFileError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.audience_file.findings import Findings
    from liveramp_provider.core.audience_file.yaml_document import Value

#: An audience file describes; what is larger is something else by mistake.
MAX_BYTES = 200_000


def load_audience(path: str | Path) -> Audience:
    """Read one audience file.

    :raises AudienceFileError: With every fault of the file, in the order of its lines.
    """
    path = Path(path)
    return _audience(path, lambda: read_yaml(_content(path)))


def audience_from(mapping: dict[str, Any], *, file: str | Path) -> Audience:
    """The audience that a Python dict describes, with the keys and values of an audience file.

    :param file: The Python file that says so, ``__file__``: relative paths start beside it, and faults name it.
    :raises AudienceFileError: With every fault of the mapping, by its place.
    """
    return _audience(Path(file), lambda: read_mapping(mapping), name=_name_of(mapping))


def _name_of(mapping: Any) -> str:
    """Which of the audiences of a Python file has the faults, as far as it says so."""
    name = mapping.get("audience") if isinstance(mapping, dict) else None
    return name if isinstance(name, str) and name.isprintable() else ""


def _audience(path: Path, read: Callable[[], tuple[Value, Findings]], *, name: str = "") -> Audience:
    try:
        value, findings = read()
    except UnreadableError as error:
        raise AudienceFileError(path, [error.fault], audience=name) from None
    path = path.resolve()
    spec = read_spec(value, findings)
    audience = audience_of(spec, path, findings) if spec is not None else None
    if audience is None or findings.faults:
        raise AudienceFileError(path, findings.faults, audience=name)
    return audience


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(Fault(where="file", line=1, message=f"cannot be read: {error.strerror}")) from None
    if len(content) > MAX_BYTES:
        message = f"has more than {MAX_BYTES:,} bytes, and an audience file never needs so many"
        raise UnreadableError(Fault(where="file", line=1, message=message))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = Fault(where="YAML", line=line, message="a character is not UTF-8", hint="Save the file as UTF-8.")
        raise UnreadableError(fault) from None
