"""One piece of work, in a process that does nothing else: ``python -m benchmarks.cases NAME ARGUMENTS``.

Each function loads what the work needs and returns the work, so that loading is not timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from liveramp_provider.core.audience import Source

    #: Gives what it came to; the same in every run.
    Work = Callable[[], dict[str, object]]

DAY = date(2026, 11, 20)
TRAITS = ("email", "phone", "first_name", "last_name", "zip", "tier")
MEMBERS_QUERY = "select customer_id from vip where snapshot_date = :snapshot_date"


def copy(url: str, folder: str) -> Work:
    """Members out of PostgreSQL into a Parquet file, as where ADBC is installed."""
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    from liveramp_provider.core.audience import SqlSource
    from liveramp_provider.core.sources.sql import land_query

    target = Path(folder) / "rows.parquet"
    source = SqlSource(conn_id="warehouse", query=MEMBERS_QUERY, current=False)
    given: dict[str, date | str] = {"snapshot_date": DAY, "audience": "vip"}

    def work() -> dict[str, object]:
        engine = sa.create_engine(url)
        land_query(source, engine, parameters=given, columns=["customer_id"], target=target, label="membership")
        return {"rows": pq.read_metadata(target).num_rows}

    return work


def stream(url: str, folder: str) -> Work:
    """The same where it is not."""
    _without_adbc()
    return copy(url, folder)


def get_df(url: str, folder: str) -> Work:
    """The same as a PythonOperator would do it with Airflow's hook."""
    os.environ["AIRFLOW_HOME"] = folder
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = url.replace("postgresql+psycopg2", "postgres")
    import pandas  # noqa: F401 - the hook would load it while the clock runs
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    query = MEMBERS_QUERY.replace(":snapshot_date", "%(snapshot_date)s")

    def work() -> dict[str, object]:
        frame = PostgresHook("warehouse").get_df(query, parameters={"snapshot_date": DAY})
        frame.to_parquet(Path(folder) / "rows.parquet")
        return {"rows": len(frame)}

    return work


def extract_enrich(place: str, way: str, memory_limit: str, folder: str) -> Work:
    """Members with six traits, as extract and enrich seal them.

    :param place: URL of PostgreSQL, or folder of Parquet files.
    :param way: ``copy``, ``stream`` or ``parquet``.
    """
    import sqlalchemy as sa

    from liveramp_provider.core.engine import EngineSettings
    from liveramp_provider.core.pipeline.enrich import enrich
    from liveramp_provider.core.pipeline.extract import extract
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace
    from tests.core.pipeline import audience

    if way == "stream":
        _without_adbc()
    members, people = _source(place, way, "vip", ()), _source(place, way, "customers", TRAITS)
    made = audience(members=members, traits={name: name for name in TRAITS}, traits_from=people, files=[])
    workspace = Workspace(
        staging=Staging(Path(folder) / "stages"),
        connect=lambda _: sa.create_engine(place),
        engine=EngineSettings(memory_limit=memory_limit),
    )

    def work() -> dict[str, object]:
        membership = extract(made, DAY, workspace=workspace)
        profiles = enrich(made, DAY, membership, workspace=workspace)
        return {"members": profiles.members, "sha256": profiles.sha256}

    return work


def _source(place: str, way: str, table: str, columns: tuple[str, ...]) -> Source:
    from liveramp_provider.core.audience import FilesSource, SqlSource

    if way == "parquet":
        return FilesSource(path=f"{place}/{table}.parquet", format="parquet", current=False)
    names = ", ".join(("customer_id", *columns))
    query = f"select {names} from {table} where snapshot_date = :snapshot_date"  # noqa: S608 - our own tables
    return SqlSource(conn_id="warehouse", query=query, current=False)


def _without_adbc() -> None:
    sys.modules["adbc_driver_postgresql"] = None  # type: ignore[assignment]  # Python's way to say: not importable


def main(name: str, *arguments: str) -> None:
    """Write time and outcome as JSON."""
    # What Airflow logs is no outcome.
    outcome, sys.stdout = sys.stdout, sys.stderr
    work = {case.__name__: case for case in (copy, stream, get_df, extract_enrich)}[name](*arguments)
    wall_s, cpu_s = time.monotonic(), time.process_time()
    told = work()
    json.dump({"wall_s": time.monotonic() - wall_s, "cpu_s": time.process_time() - cpu_s, "told": told}, outcome)


if __name__ == "__main__":
    main(*sys.argv[1:])
