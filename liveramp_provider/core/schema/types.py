"""What may stand behind a key of the audience file. Ids, names and paths are held to what can do no harm:
none leaves its folder, becomes part of a query, or is filled in by a template.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints

_FINGERPRINT = r"^[0-9A-Fa-f]{40}$"

#: What a pattern asks for, in words.
PATTERNS: dict[str, str] = {}


def _like(pattern: str, words: str) -> StringConstraints:
    PATTERNS[pattern] = words
    return StringConstraints(pattern=pattern)


@cache
def _zones() -> set[str]:
    return available_timezones()


def _timezone(name: str) -> str:
    if name not in _zones():
        raise ValueError("must be a time zone of the IANA database, such as America/New_York")
    return name


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("may hold printable characters only: no line breaks, no invisible marks")
    return text


def _no_template(text: str) -> str:
    if any(mark in text for mark in ("{{", "{%", "{#")):
        raise ValueError("may hold no template marks such as {{; nothing is filled in here")
    return text


def _query(query: str) -> str:
    if not query.strip():
        raise ValueError("must not be empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in query if character not in "\n\r\t"):
        raise ValueError("may hold no control characters")
    if "{{" in query or "{%" in query:
        raise ValueError("is not rendered by Airflow: write :snapshot_date instead of {{ … }}")
    return query


def _local_path(path: str) -> str:
    if "://" in path:
        raise ValueError("must be a path on this machine, such as data/vip.parquet or /data/vip.parquet; it is a URL")
    return _no_climbing(path)


def _is_on_s3(path: str) -> bool:
    """Whether it is ``s3://bucket/key``, with a name that a bucket may have."""
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    return scheme == "s3" and bool(key) and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) is not None


def _source_path(path: str) -> str:
    if "://" in path and not _is_on_s3(path):
        raise ValueError("must be a path on this machine, or s3://bucket/key")
    return _no_climbing(path)


def _expression(expression: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in expression if character not in "\n\t"):
        raise ValueError("may hold no control characters")
    return _no_template(expression)


def _no_climbing(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError("must not climb with '..': write a path below the audience file, or an absolute one")
    if any(len(part.encode()) > 255 for part in path.split("/")):
        raise ValueError("has a part of more than 255 bytes, which no file system takes")
    return path


def _remote_folder(path: str) -> str:
    folder = path.removeprefix("s3:/")
    is_way = _is_on_s3(path) if folder != path else path.startswith("/")
    if not is_way or any(part in ("", ".", "..") for part in folder[1:].split("/")):
        raise ValueError(
            "must be an absolute folder such as /uploads/vip, or s3://bucket/prefix, without '.', '..', '//' or a "
            "slash at the end"
        )
    return path


def switch(value: Any) -> Any:
    """`true` is the short form of an empty mapping, `false` of leaving the key out."""
    if value is True:
        return {}
    return None if value is False else value


def _recipients(value: Any) -> tuple[str, ...]:
    """One fingerprint, or a list of one or two, in capitals."""
    written = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) and re.fullmatch(_FINGERPRINT, entry) for entry in written):
        raise ValueError("must be the full fingerprint: 40 hexadecimal digits without spaces")
    recipients = tuple(entry.upper() for entry in written)
    if not 1 <= len(recipients) <= 2 or len(set(recipients)) < len(recipients):
        raise ValueError("must be one fingerprint, or a list of two that differ")
    return recipients


def text_of_number(value: Any) -> Any:
    """YAML reads an unquoted 1 as a number; a segment value is always text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, _like(r"^[A-Za-z0-9_-]{1,64}$", "1 to 64 letters, digits, - and _")]
ConnId = Annotated[str, _like(r"^[A-Za-z0-9_.-]{1,200}$", "1 to 200 letters, digits, '_', '.' and '-'")]
TraitName = Annotated[
    str, _like(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$", "1 to 128 letters, digits and _, and begin with no digit")
]
SourceColumn = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
# LiveRamp's label rule, and the one spelling of its own that breaks it (liveramp-rules: EMAIL1_SHA-1).
Header = Annotated[
    str, _like(r"^([A-Za-z0-9_]{1,128}|EMAIL[1-3]_SHA-(1|256))$", "a header of 1 to 128 letters, digits and _")
]
OneLine = Annotated[
    str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable), AfterValidator(_no_template)
]
LocalPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_printable),
    AfterValidator(_no_template),
    AfterValidator(_local_path),
]
SourcePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_printable),
    AfterValidator(_no_template),
    AfterValidator(_source_path),
]
RemoteFolder = Annotated[
    str,
    _like(
        r"^(s3:/)?[A-Za-z0-9_./-]{1,200}$",
        "an absolute folder, or s3://bucket/prefix, of letters, digits, '_', '.', '-' and '/', at most 200",
    ),
    AfterValidator(_remote_folder),
]
KmsKeyId = Annotated[str, _like(r"^[A-Za-z0-9:/_-]{1,2048}$", "the id, alias or ARN of a KMS key")]
FunctionName = Annotated[
    str,
    _like(r"^([A-Za-z_][A-Za-z0-9_]*[.])*[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$", "package.module:function"),
]
SegmentKey = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=5000), AfterValidator(_expression)]
SyncType = Annotated[str, _like(r"^[A-Za-z0-9]{1,16}$", "1 to 16 letters and digits")]
Organisation = Annotated[str, _like(r"^[A-Za-z0-9_-]{1,64}$", "1 to 64 letters, digits, - and _")]
Filename = Annotated[
    str, _like(r"^[A-Za-z0-9_.{}-]{1,200}$", "1 to 200 letters, digits, '_', '.', '-' and placeholders in braces")
]
Fingerprint = Annotated[str, StringConstraints(pattern=_FINGERPRINT)]
Recipients = Annotated[
    tuple[str, ...],
    PlainValidator(
        _recipients,
        json_schema_input_type=Fingerprint
        | Annotated[list[Fingerprint], Field(min_length=1, max_length=2, json_schema_extra={"uniqueItems": True})],
    ),
]
SegmentValue = Annotated[OneLine, BeforeValidator(text_of_number, json_schema_input_type=OneLine | int)]
Duration = Annotated[str, _like(r"^[1-9][0-9]{0,3}[mh]$", "minutes or hours, such as 90m or 6h")]
Shrink = Annotated[
    str,
    _like(r"^([1-9]?[0-9]%|off)$", "a share from 0% to 99%, such as 50%, or off"),
    BeforeValidator(text_of_number),
]
CountryCode = Annotated[str, _like(r"^[1-9][0-9]{0,2}$", 'a country code of 1 to 3 digits, such as "1" or "44"')]
EmailAddress = Annotated[str, _like(r"^[^\s@{}<>,;]{1,64}@[^\s@{}<>,;]{1,255}$", "an e-mail address")]
Cron = Annotated[
    str,
    _like(
        r"^[0-5]?[0-9] ([01]?[0-9]|2[0-3]) [*] [*] [*]$",
        'daily: write "<minute> <hour> * * *", such as "0 0 * * *"',
    ),
]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Query = Annotated[str, AfterValidator(_query)]
