"""What every kind of source checks alike: that it has the columns it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_columns(found: Sequence[str], wanted: Sequence[str], *, label: str) -> None:
    """All of `wanted` are there, spelled just so, and once.

    :raises SourceError: Names what is missing and what there is.
    """
    missing = [column for column in dict.fromkeys(wanted) if column not in found]
    if missing:
        raise SourceError(
            f"{label}: no column {', '.join(missing)}. The source has: {', '.join(found)}. "
            "Correct the name in the audience file, or add the column to the query."
        )
    repeated = [column for column in dict.fromkeys(wanted) if found.count(column) > 1]
    if repeated:
        raise SourceError(f"{label}: there are several columns {', '.join(repeated)}. Keep or rename one of them.")
