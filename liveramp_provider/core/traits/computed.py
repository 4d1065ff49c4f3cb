"""Computed traits: an SQL expression over earlier ones, worked out by the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import ibis.expr.datatypes as dt
from sqlglot import exp

from liveramp_provider.core.errors import DataError, SourceError
from liveramp_provider.core.traits.expressions import DIALECT, expression_on

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from liveramp_provider.core.audience import ComputedTrait

# What the engine says of these is about the expression; of others, it quotes values.
_ABOUT_THE_EXPRESSION = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
# What an expression does to a value that it cannot take.
VALUE_ERRORS = (duckdb.DataError, duckdb.InvalidInputException)
_HUGE = dt.Decimal(38, 0)


def with_computed(profiles: ir.Table, step: ComputedTrait, day: date) -> ir.Table:
    """The profiles with one column more; nothing is worked out yet.

    :raises SourceError: The expression's types do not go together, or it gives something that no file can hold.
    """
    expression = expression_on(step.expression, profiles.columns, day)
    table = _with_column(profiles, step.name, expression)
    if table.schema()[step.name] == _HUGE:
        # Parquet has no whole numbers of that size, and the engine would round them.
        kind = exp.DataType.build("decimal(38, 0)", dialect=DIALECT)
        table = _with_column(profiles, step.name, exp.cast(exp.paren(expression), kind))
    kind = table.schema()[step.name]
    plain = kind.is_string() or kind.is_boolean() or kind.is_numeric() or kind.is_date() or kind.is_timestamp()
    if not plain:
        raise SourceError(
            f"trait {step.name}: its expression gives a value of type {kind}. Cast it to text or a number."
        )
    return table


def _with_column(profiles: ir.Table, name: str, expression: exp.Expression) -> ir.Table:
    before = f"before {name}"
    query = exp.select("*", exp.alias_(expression, name, quoted=True)).from_(exp.to_identifier(before, quoted=True))
    failure: SourceError
    try:
        return profiles.alias(before).sql(query.sql(DIALECT), dialect=DIALECT)
    except _ABOUT_THE_EXPRESSION as error:
        failure = SourceError(f"trait {name}: the engine refuses its expression. {str(error).partition(chr(10))[0]}")
    except duckdb.Error as error:
        failure = SourceError(f"trait {name}: the engine refuses its expression ({type(error).__name__}).")
    raise failure


def fault_of(computed: Mapping[str, ir.Table], engine: Backend) -> DataError | None:
    """Which computed trait cannot be worked out for some member; ``None`` if all can.

    :param computed: Every trait's name, and the profiles that it was added to last.
    """
    for name, table in computed.items():
        try:
            engine.to_pyarrow(table[name].count())
        except VALUE_ERRORS as error:
            kind = type(error).__name__.removesuffix("Exception")
            return DataError(
                f"trait {name}: its expression cannot take some member's value ({kind} error). "
                "Use try_cast, or a case for what it cannot take."
            )
    return None
