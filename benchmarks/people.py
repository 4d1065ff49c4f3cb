"""Invented customers in PostgreSQL and in Parquet files: the same people in both, every second one a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import sqlalchemy as sa

if TYPE_CHECKING:
    from pathlib import Path

# Keys in no order, texts as long as in life; in words that both databases understand.
_KEY = "substr(md5(cast(i as varchar)), 1, 16) as customer_id, date '2026-11-20' as snapshot_date"
_TABLES = {
    "vip": "select {key} from {numbers} as n(i) where mod(i, 2) = 0",
    "customers": """
        select {key},
            'person.' || substr(md5('e' || i), 1, 10) || '@mail' || mod(i, 97) || '.example.com' as email,
            '+1555' || (1000000 + mod(i * 7919, 9000000)) as phone,
            'First' || substr(md5('f' || i), 1, 4) as first_name,
            'Last' || substr(md5('l' || i), 1, 6) as last_name,
            cast(10000 + mod(i, 89999) as varchar) as zip,
            case mod(i, 3) when 0 then 'gold' when 1 then 'silver' else 'bronze' end as tier
        from {numbers} as n(i)""",
}


def into_postgres(url: str, customers: int) -> None:
    """Tables ``vip`` and ``customers``."""
    numbers = f"generate_series(1, {customers}\\:\\:bigint)"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for table, query in _TABLES.items():
            rows = query.format(key=_KEY, numbers=numbers)
            connection.execute(sa.text(f"create unlogged table {table} as {rows}"))
        connection.execute(sa.text("vacuum analyze"))
    engine.dispose()


def into_parquet(folder: Path, customers: int) -> None:
    """Files ``vip.parquet`` and ``customers.parquet``."""
    numbers = f"range(1, {customers + 1})"
    with duckdb.connect() as connection:
        for table, query in _TABLES.items():
            connection.execute(
                f"copy ({query.format(key=_KEY, numbers=numbers)}) to '{folder}/{table}.parquet' (format parquet)"
            )
