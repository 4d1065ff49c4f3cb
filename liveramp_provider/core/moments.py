"""Dates and moments as sources give them, on one line of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis.expr.datatypes as dt

from liveramp_provider.core.identifiers import clean

if TYPE_CHECKING:
    import ibis.expr.types as ir

_UTC = dt.Timestamp(timezone="UTC")


def moment_of(value: ir.Value) -> ir.TimestampValue:
    """A date or moment as a moment in UTC; null where a text is none.

    A date is its midnight, and what names no zone is meant in UTC.
    """
    return clean(value).try_cast(_UTC) if value.type().is_string() else value.cast(_UTC)
