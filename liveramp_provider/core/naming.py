"""File names: from the audience file's template and the snapshot day, never from data or the clock."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack

if TYPE_CHECKING:
    from liveramp_provider.core.destination import Destination, Sync

#: What a template may name. ``{kind}`` is the file slot (PII, D, D-IDFA, D-AAID).
PLACEHOLDERS = ("org", "audience", "kind", "date", "upload_date")

#: LiveRamp's limit on a file name, counted before compression and encryption.
MAX_NAME_CHARS = 250

#: A day that is sent again more often has another problem.
MAX_REVISION = 99


def placeholders(template: str) -> tuple[str, ...]:
    """The names in braces in `template`, in order.

    :raises ValueError: The braces do not balance, or one has a format or conversion.
    """
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError:
        raise ValueError("they do not pair") from None
    names = []
    for _, name, spec, conversion in parsed:
        if spec or conversion:
            raise ValueError("placeholders take no format")
        if name is not None:
            names.append(name)
    return tuple(names)


class FileOfDay(TypedDict):
    """Which file is meant; see :func:`inner_name`."""

    audience_id: str
    slot: str
    day: date
    revision: NotRequired[int]
    sync: NotRequired[Sync]
    part: NotRequired[int]


def inner_name(
    destination: Destination,
    *,
    audience_id: str,
    slot: str,
    day: date,
    revision: int = 1,
    sync: Sync = "full",
    part: int = 0,
) -> str:
    """Name of the plain file: what the receiver sees after decrypting and unzipping.

    ``{date}`` is the snapshot day; ``{upload_date}`` the day after, when a nightly run sends it (mParticle's date).
    Kinds of destinations whose templates nobody writes also have ``{sync}``, and ``{timestamp}``.

    :param revision: More than 1 where the day is sent again on purpose: then the name ends with ``_r2``, ``_r3`` …, or
        has another timestamp.
    :param sync: Whether it holds everything, or what has changed.
    :param part: Which part it is, from 1 on; 0: the whole.
    """
    stem = destination.filename.format(
        org=destination.org,
        audience=audience_id,
        kind=slot,
        date=day.isoformat(),
        upload_date=(day + timedelta(days=1)).isoformat(),
        sync=sync,
        timestamp=_timestamp(day, revision),
    )
    told_apart = "timestamp" in placeholders(destination.filename)
    again = f"_r{revision}" if revision > 1 and not told_apart else ""
    return f"{stem}{again}{destination.part_mark(part) if part else ''}.{destination.extension}"


def _timestamp(day: date, revision: int) -> int:
    """The end of the day in UTC as Unix milliseconds, one more for each time that it is sent again."""
    end = datetime.combine(day + timedelta(days=1), time(), UTC)
    return int(end.timestamp()) * 1000 + revision - 1


def delivered_name(destination: Destination, **of_file: Unpack[FileOfDay]) -> str:
    """Name at the receiver: named first, then compressed, then encrypted (``.csv.gz.gpg``)."""
    name = inner_name(destination, **of_file)
    if destination.compression == "gzip":
        name += ".gz"
    if destination.encryption is not None:
        name += f".{destination.encryption.extension}"
    return name
