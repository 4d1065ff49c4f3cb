"""From an audience file to an :class:`Audience`, or to all of its faults at once, each with its line and a hint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.audience_file.spec_reading import read_spec
from liveramp_provider.core.audience_file.spec_values import audience_of
from liveramp_provider.core.audience_file.yaml_document import UnreadableError, read_yaml
from liveramp_provider.core.errors import AudienceFileError, Fault

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience

#: An audience file describes; what is larger is something else by mistake.
MAX_BYTES = 200_000


def load_audience(path: str | Path) -> Audience:
    """Read one audience file.

    :raises AudienceFileError: With every fault of the file, in the order of its lines.
    """
    path = Path(path)
    try:
        value, findings = read_yaml(_content(path))
    except UnreadableError as error:
        raise AudienceFileError(path, [error.fault]) from None
    path = path.resolve()
    spec = read_spec(value, findings)
    audience = audience_of(spec, path, findings) if spec is not None else None
    if audience is None or findings.faults:
        raise AudienceFileError(path, findings.faults)
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
