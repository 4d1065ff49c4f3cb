"""File names: from the audience file's template and the snapshot day, never from data or the clock."""

from __future__ import annotations

import string
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liveramp_provider.core.destination import Destination

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


def inner_name(destination: Destination, *, audience_id: str, slot: str, day: date, revision: int = 1) -> str:
    """Name of the plain file: what the receiver sees after decrypting and unzipping.

    ``{date}`` is the snapshot day; ``{upload_date}`` the day after, when a nightly run sends it (mParticle's date).

    :param revision: More than 1 where the day is sent again on purpose: then the name ends with ``_r2``, ``_r3`` ….
    """
    stem = destination.filename.format(
        org=destination.org,
        audience=audience_id,
        kind=slot,
        date=day.isoformat(),
        upload_date=(day + timedelta(days=1)).isoformat(),
    )
    return f"{stem}_r{revision}{destination.ending}" if revision > 1 else f"{stem}{destination.ending}"


def delivered_name(destination: Destination, *, audience_id: str, slot: str, day: date, revision: int = 1) -> str:
    """Name at the receiver: named first, then compressed, then encrypted (``.csv.gz.gpg``)."""
    name = inner_name(destination, audience_id=audience_id, slot=slot, day=day, revision=revision)
    if destination.compression == "gzip":
        name += ".gz"
    if destination.encryption is not None:
        name += f".{destination.encryption.extension}"
    return name
