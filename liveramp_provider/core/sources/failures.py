"""What to say when a warehouse fails: never its own words, because they quote values."""

from __future__ import annotations

from liveramp_provider.core.errors import DataError, SourceError, SourceUnavailableError


def broke_off(place: str, error: BaseException) -> SourceUnavailableError:
    """The warehouse could not be reached, or gave up half-way.

    :param place: What was read, and over which connection.
    """
    return SourceUnavailableError(f"{place} failed ({type(error).__name__}). A task tries it again.")


def refused(place: str, error: BaseException) -> SourceError:
    """The warehouse does not take the query."""
    return SourceError(f"{place} refused the query ({type(error).__name__}). Run it by hand to see why.")


def no_rows(place: str) -> SourceError:
    """The query is of a kind that has no result."""
    return SourceError(f"{place}: the query gives no rows. Write one SELECT.")


def mixed_kinds(column: str, *, label: str) -> DataError:
    """The cells of a column have no type in common."""
    return DataError(
        f"{label}: column {column} holds values of different kinds, or such that are no text, number or date. "
        "CAST it to one type in the query."
    )
