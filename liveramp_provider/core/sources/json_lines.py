"""Rows of JSON Lines files: a line is an object, and a field that a line lacks is null."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
import ibis.expr.datatypes as dt

from liveramp_provider.core.errors import SourceError
from liveramp_provider.core.identifiers import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]  # Ibis has no types
def json_type(value: dt.JSON) -> str:  # type: ignore[empty-body]  # the engine has the body
    """``VARCHAR``, ``DOUBLE``, ``ARRAY`` …; null where there is no value."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def json_extract_string(value: dt.JSON, path: str) -> str:  # type: ignore[empty-body]
    """A string without its quotes, and anything else as it is written in JSON."""


def json_columns(paths: Sequence[str], engine: Backend, columns: Sequence[str]) -> ir.Table:
    """The named fields of every line, as JSON; a line that is no object stops the engine.

    The columns are named, never guessed: a guess from the first lines would miss a field that comes late.
    """
    return engine.read_json(
        [glob.escape(path) for path in paths],
        columns=dict.fromkeys(columns, "JSON"),
        format="newline_delimited",
        records="true",
        hive_partitioning=False,
    )


def read_json_lines(paths: Sequence[str], engine: Backend, *, columns: Sequence[str], label: str) -> ir.Table:
    """The named fields of every line: text, as people write the value; lists of text where any line has a list.

    :raises SourceError: A line is no JSON object, or no line has any of the fields.
    """
    lines = json_columns(paths, engine, columns)
    shape = _shape(lines, engine, paths, label=label)
    if shape["lines"] and not any(shape[_given(column)] for column in lines.columns):
        raise SourceError(
            f"{label}: none of {shape['lines']:,} lines has a value for {', '.join(lines.columns)}. "
            "Correct the names in the audience file."
        )
    return lines.select(
        **{
            column: texts_of(lines[column]) if shape[_lists(column)] else text_of(lines[column])
            for column in lines.columns
        }
    )


def _given(column: str) -> str:
    return f"given {column}"


def _lists(column: str) -> str:
    return f"lists {column}"


def _shape(lines: ir.Table, engine: Backend, paths: Sequence[str], *, label: str) -> dict[str, int]:
    """How many lines there are, and in each column how many values and how many lists; every line is looked at."""
    counts = {"lines": lines.count()}
    for column in lines.columns:
        counts[_given(column)] = lines[column].count()
        counts[_lists(column)] = (json_type(lines[column]) == "ARRAY").sum()
    try:
        return dict(engine.to_pyarrow(lines.aggregate(**counts)).to_pylist()[0])
    except duckdb.InvalidInputException as error:
        told = str(error)
    # Outside the handler: the engine's message quotes the line and must not be this error's context.
    name = next((f"{Path(path).name}: " for path in paths if f'"{path}"' in told), "")
    raise SourceError(
        f"{label}: {name}a line is no JSON object, or has a field twice. Check that the file is complete."
    )


def text_of(value: ir.JSONValue) -> ir.StringValue:
    """A value of any kind as text: a string as it stands, a number as people write it, the rest as JSON writes it."""
    text = json_extract_string(value, "$")
    # Whole numbers beyond 64 bits count as floating too, but stand there digit by digit.
    floating = (json_type(value) == "DOUBLE") & text.re_search("[.e]")
    return floating.ifelse(as_text(text.try_cast("float64")), text)


def texts_of(value: ir.JSONValue) -> ir.ArrayValue:
    """The texts of a list; of any other value a list of one."""
    listed = json_type(value) == "ARRAY"
    alone = value.isnull().ifelse(ibis.null("array<string>"), ibis.array([text_of(value)]))
    return listed.ifelse(value.try_cast("array<json>").map(text_of), alone)
