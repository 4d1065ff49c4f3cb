"""What an expression of a computed trait may say: known columns and functions that give the same whenever they run."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from sqlglot.tokens import Token

#: The dialect that expressions are written in; engines that speak another get a translation.
DIALECT = "duckdb"

#: What stands for the snapshot day in an expression.
SNAPSHOT_DATE = "snapshot_date"

#: What may be called. All of it depends on its arguments alone, and other engines have it too.
FUNCTIONS = frozenset(
    {
        *("lower", "upper", "trim", "ltrim", "rtrim", "length", "left", "right", "substring", "substr", "replace"),
        *("concat", "contains", "starts_with", "split_part", "regexp_matches"),
        *("abs", "ceil", "ceiling", "floor", "round", "greatest", "least"),
        *("date_diff", "datediff", "date_trunc", "extract", "year", "month", "day"),
        *("coalesce", "ifnull", "nullif", "if", "cast", "try_cast"),
    }
)

# Clocks, as engines call them.
_CLOCKS = frozenset(
    {
        *("current_date", "current_datetime", "current_time", "current_timestamp", "get_current_time"),
        *("get_current_timestamp", "getdate", "localtime", "localtimestamp", "now", "sysdate", "today"),
        "transaction_timestamp",
    }
)
_MAX_CHARS, _MAX_TOKENS, _MAX_DEPTH = 5_000, 600, 12
_MAX_GUESSED_CHARS = 64
_IN_STEPS = "Compute it in several steps."

_TYPES = {
    *(TokenType.BOOLEAN, TokenType.TINYINT, TokenType.SMALLINT, TokenType.INT, TokenType.BIGINT, TokenType.FLOAT),
    *(TokenType.DOUBLE, TokenType.DECIMAL, TokenType.TEXT, TokenType.DATE),
    *(TokenType.TIMESTAMP, TokenType.TIMESTAMPNTZ, TokenType.TIMESTAMPTZ),
}
_SIZED_TYPES = {TokenType.DECIMAL, TokenType.TEXT}
_CALLED = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.LEFT, TokenType.RIGHT, TokenType.REPLACE}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS}
_KNOWN_TOKENS = {
    *_TYPES,
    *_CALLED,
    *_PREFIXES,
    *(TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA),
    *(TokenType.STAR, TokenType.SLASH, TokenType.DIV, TokenType.MOD, TokenType.DPIPE, TokenType.DCOLON),
    *(TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE),
    *(TokenType.AND, TokenType.OR, TokenType.IN, TokenType.BETWEEN, TokenType.LIKE, TokenType.ILIKE, TokenType.IS),
    *(TokenType.NULL, TokenType.TRUE, TokenType.FALSE, TokenType.ALIAS, TokenType.FROM, TokenType.INTERVAL),
    *(TokenType.CASE, TokenType.WHEN, TokenType.THEN, TokenType.ELSE, TokenType.END),
}
_HINTS = {
    TokenType.SEMICOLON: "Write one expression.",
    TokenType.DOT: "Traits belong to no table: write email, not customers.email.",
    TokenType.SELECT: "It is worked out of one member's traits; query what else it needs as a source.",
    TokenType.OVER: "It is worked out of one member's traits; put windows into the query of a source.",
}
# What an expression is made of, beside conditions.
_PARTS = (exp.Condition, exp.DataType, exp.DataTypeParam, exp.Identifier, exp.Interval, exp.Var)

#: What is wrong, and the way out.
Finding = tuple[str, str]


def check_expression(expression: str, known: Collection[str]) -> list[Finding]:
    """All that is wrong with an expression; nothing, if it can be worked out of the traits that are `known`.

    Whether types go together is for the engine to say, when it sees the columns.
    """
    if len(expression) > _MAX_CHARS:
        return [(f"has {len(expression):,} characters; {_MAX_CHARS:,} are allowed", _IN_STEPS)]
    try:
        tokens = sqlglot.tokenize(expression, read=DIALECT)
    except SqlglotError:
        return [("cannot be read as SQL", "A quote may be missing.")]
    # What is refused here never gets to the parser: some of its rules take twice as long with every parenthesis.
    faults = [*_shape_faults(tokens), *_token_faults(tokens, known)]
    if not faults:
        try:
            faults = [*_tree_faults(_parsed(expression), known)]
        except SqlglotError as error:
            faults = [_syntax_fault(error)]
    return list(dict.fromkeys(faults))


def expression_on(expression: str, columns: Collection[str], day: date) -> exp.Expression:
    """An expression that :func:`check_expression` has found good, over `columns` and with the day in its place."""
    exact = {name.lower(): name for name in columns}

    def placed(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column):
            return node
        if node.name.lower() == SNAPSHOT_DATE:
            return exp.cast(exp.Literal.string(day.isoformat()), exp.DataType.Type.DATE)
        return exp.column(exact[node.name.lower()], quoted=True)

    return _parsed(expression).transform(placed)


def _parsed(expression: str) -> exp.Expression:
    return sqlglot.parse_one(expression, read=DIALECT, into=exp.Condition)


def _shape_faults(tokens: list[Token]) -> Iterator[Finding]:
    if not tokens:
        yield "is empty", "Write an SQL expression."
    if len(tokens) > _MAX_TOKENS:
        yield f"has {len(tokens):,} words and signs; {_MAX_TOKENS:,} are allowed", _IN_STEPS
    if _depth(tokens) > _MAX_DEPTH:
        yield f"is nested more than {_MAX_DEPTH} deep", _IN_STEPS
    if any(token.comments for token in tokens):
        yield "has a comment", "Write comments as the file's own: # …"


def _depth(tokens: list[Token]) -> int:
    """How deep parentheses, cases, casts and signs before a value lie in each other."""
    outer: list[int] = []
    depth = prefixes = deepest = 0
    for token in tokens:
        if token.token_type in _PREFIXES or token.token_type is TokenType.DCOLON:
            prefixes += 1
        elif token.token_type not in _TYPES:
            if token.token_type in (TokenType.L_PAREN, TokenType.CASE):
                outer.append(depth)
                depth += prefixes + 1
            elif token.token_type in (TokenType.R_PAREN, TokenType.END) and outer:
                depth = outer.pop()
            prefixes = 0
        deepest = max(deepest, depth + prefixes)
    return deepest


def _token_faults(tokens: list[Token], known: Collection[str]) -> Iterator[Finding]:
    names = {name.lower() for name in known}
    for number, token in enumerate(tokens):
        after, then = (*tokens[number + 1 : number + 3], None, None)[:2]
        opens = after is not None and after.token_type is TokenType.L_PAREN
        text = token.text.lower()
        if token.token_type not in _KNOWN_TOKENS:
            yield _unknown_token_fault(token, names)
        elif token.token_type in _CALLED and opens and text not in FUNCTIONS:
            yield _function_fault(text)
        elif text == "if" and not opens and token.token_type is TokenType.VAR:
            yield "if is a function", "Write if(condition, value, otherwise), or case when … then … else … end."
        elif token.token_type in _TYPES and opens:
            sized = token.token_type in _SIZED_TYPES and then is not None and then.token_type is TokenType.NUMBER
            if not sized:
                yield f"{text}() is no function", f"Write cast(… as {text})."
        elif (
            token.token_type in (TokenType.ALIAS, TokenType.DCOLON)
            and after
            and after.token_type in _KNOWN_TOKENS - _TYPES
        ):
            yield (
                f"{text} is not followed by a type that a trait may have",
                "Those are boolean, bigint, double, decimal, varchar, date and timestamp.",
            )
        elif token.token_type is TokenType.INTERVAL and (
            not after or after.token_type not in (TokenType.NUMBER, TokenType.STRING)
        ):
            yield "interval needs a number and a unit", "Write such as interval 30 day."


def _unknown_token_fault(token: Token, names: Collection[str]) -> Finding:
    text = token.text.lower()
    if text in _CLOCKS:
        return _function_fault(text)
    if text in names:
        return f"{text} has a meaning of its own in SQL", f'Write the trait in double quotes: "{token.text}".'
    return f"{token.text} is not allowed in a computed trait", _HINTS.get(token.token_type, "")


def _function_fault(name: str) -> Finding:
    message = f"{name}() is not allowed in a computed trait"
    if name in _CLOCKS:
        return message, f"Write {SNAPSHOT_DATE}: an old day rebuilt must give the same."
    nearest = get_close_matches(name, sorted(FUNCTIONS), n=1, cutoff=0.8) if len(name) <= _MAX_GUESSED_CHARS else []
    return message, f"Did you mean {nearest[0]}()?" if nearest else f"Known: {', '.join(sorted(FUNCTIONS))}."


def _syntax_fault(error: SqlglotError) -> Finding:
    details = (getattr(error, "errors", None) or [{}])[0]
    place = f" at character {details['col']}" if details.get("col") else ""
    return f"cannot be read as SQL{place}", "Try it as a column of a SELECT."


def _tree_faults(tree: exp.Expression, known: Collection[str]) -> Iterator[Finding]:
    for node in tree.walk():
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            yield from _column_faults(node, known)
        elif not isinstance(node, _PARTS) or isinstance(node, exp.Anonymous):
            yield "is not one expression that gives one value", "Try it as a column of a SELECT."


def _column_faults(column: exp.Column, known: Collection[str]) -> Iterator[Finding]:
    name = column.name.lower()
    names = {trait.lower(): trait for trait in known}
    if name == SNAPSHOT_DATE and name in names:
        yield f"{SNAPSHOT_DATE} is both a trait and the day", "Give the trait another name."
    if name in names or name == SNAPSHOT_DATE:
        return
    nearest = get_close_matches(name, [*names, SNAPSHOT_DATE], n=1) if len(name) <= _MAX_GUESSED_CHARS else []
    if name in _CLOCKS:
        hint = f"Write {SNAPSHOT_DATE}."
    elif nearest:
        hint = f"Did you mean {names.get(nearest[0], SNAPSHOT_DATE)}?"
    else:
        quotes = " Text goes in single quotes." if column.this.quoted else ""
        hint = f"Known here: {', '.join([*known, SNAPSHOT_DATE])}.{quotes}"
    yield f"there is no earlier trait {column.name}", hint
