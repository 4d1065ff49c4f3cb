"""Queries of PostgreSQL, with every column in one of few types.

Drivers disagree on what PostgreSQL has: on json, on infinite dates, on money, on numbers in single precision. So the
server itself brings each column to a type that all of them read alike, and says which that is before the first row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from liveramp_provider.core.sources.columns import check_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Before 12 a server does not tell whether Kerberos encrypts. What calls itself 8 is Redshift, which has no such COPY.
_OLDEST = (12,)

# Infinite dates, and those of other millennia, have no place in Python; psycopg 2 reads them so as well.
_OF_OUR_ERA = "case when {0} > '9999-12-31' then '9999-12-31' when {0} < '0001-01-02' then '0001-01-02' else {0} end"
_FLAT = "case when array_ndims({0}) > 1 then array(select unnest({0})) else {0} end"

# PostgreSQL's name of a type: how the server brings a column to one that all drivers read alike, and which that is.
# Over text, 0.1 in single precision stays 0.1.
_SENT_AS = {
    "bool": ("{0}", pa.bool_()),
    "int2": ("{0}::int8", pa.int64()),
    "int4": ("{0}::int8", pa.int64()),
    "int8": ("{0}", pa.int64()),
    "float4": ("{0}::text::float8", pa.float64()),
    "float8": ("{0}", pa.float64()),
    "date": (_OF_OUR_ERA, pa.date32()),
    "timestamp": (_OF_OUR_ERA, pa.timestamp("us")),
    "timestamptz": (_OF_OUR_ERA, pa.timestamp("us", "UTC")),
    "_int2": (f"({_FLAT})::int8[]", pa.list_(pa.int64())),
    "_int4": (f"({_FLAT})::int8[]", pa.list_(pa.int64())),
    "_int8": (_FLAT, pa.list_(pa.int64())),
    "_float4": (f"({_FLAT})::text[]::float8[]", pa.list_(pa.float64())),
    "_float8": (_FLAT, pa.list_(pa.float64())),
}
_ANY_ARRAY = (f"({_FLAT})::text[]", pa.list_(pa.string()))
_ANYTHING_ELSE = ("{0}::text", pa.string())

# "Not a number" is no value. What has no scale of its own, such as an average, gets one that holds any average; the
# server refuses what has more than 20 digits before the point, which Arrow would cut without a word.
_DIGITS, _SCALE = 38, 18
_NUMERIC = "nullif({0}, 'NaN')"
_NUMERIC_OF_ANY_SCALE = f"{_NUMERIC}::numeric({_DIGITS}, {_SCALE})"

_TYPES = "select oid, typname, typcategory from pg_type where oid in :oids"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedQuery:
    """A query whose columns come in types that every driver reads alike.

    :param statement: With its parameters.
    """

    statement: sa.TextClause
    schema: pa.Schema


def speaks_postgres(connection: sa.Connection) -> bool:
    """Whether the server is a PostgreSQL of our days, and not something that only has its manners."""
    version = connection.dialect.server_version_info
    return connection.dialect.name == "postgresql" and version is not None and version >= _OLDEST


def typed_query(
    connection: sa.Connection,
    query: str,
    columns: Sequence[str],
    *,
    bound: Callable[[str], sa.TextClause],
    label: str,
) -> TypedQuery:
    """The named columns of `query`, as the server describes them; no row is read.

    :param bound: Gives a query its parameters.
    :raises SourceError: The result lacks a column.
    """
    # The line break ends a comment in the last line.
    rows = f"(\n{query.rstrip().rstrip(';')}\n) as q"
    cursor = connection.execute(bound(f"select * from {rows} limit 0")).cursor  # noqa: S608 - the query is the user's
    found = [] if cursor is None else list(cursor.description)
    names = [column[0] for column in found]
    check_columns(names, columns, label=label)
    types = _types(connection, [column[1] for column in found])
    wanted = [names.index(column) for column in columns]
    sent = [_sent_as(*types[found[place][1]], *found[place][4:6]) for place in wanted]
    # By place, because a name may hold anything.
    cells = [cast.format(f"c{place}") for place, (cast, _) in zip(wanted, sent, strict=True)]
    places = ", ".join(f"c{place}" for place in range(len(found)))
    return TypedQuery(
        statement=bound(f"select {', '.join(cells)} from {rows}({places})"),  # noqa: S608 - as above
        schema=pa.schema([(name, kind) for name, (_, kind) in zip(columns, sent, strict=True)]),
    )


def _types(connection: sa.Connection, oids: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """Name and category of each type; the category of arrays is ``A``."""
    statement = sa.text(_TYPES).bindparams(sa.bindparam("oids", oids, sa.Integer(), expanding=True))
    return {oid: (name, category) for oid, name, category in connection.execute(statement)}


def _sent_as(name: str, category: str, precision: int | None, scale: int | None) -> tuple[str, pa.DataType]:
    if name == "numeric":
        if precision is not None and scale is not None and 0 <= scale <= precision <= _DIGITS:
            return _NUMERIC, pa.decimal128(precision, scale)
        return _NUMERIC_OF_ANY_SCALE, pa.decimal128(_DIGITS, _SCALE)
    return _SENT_AS.get(name, _ANY_ARRAY if category == "A" else _ANYTHING_ELSE)
