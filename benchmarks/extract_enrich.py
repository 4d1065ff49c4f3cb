"""The most memory that extract and enrich hold, beside the limit that the engine was given."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.measure import Measured, in_turns, measured
from benchmarks.people import into_parquet, into_postgres
from tests.servers import PostgresServer

#: What may come on top of the engine's limit: Python, its libraries, and rows on their way.
ALLOWANCE_MB = 200

_MB = {"MB": 1, "GB": 1000}


def main(
    members: Annotated[int, typer.Option(help="There are twice as many customers.")] = 5_000_000,
    limit: Annotated[list[str] | None, typer.Option(help="[liveramp] memory_limit, as 512MB or 2GB.")] = None,
    runs: Annotated[int, typer.Option(help="Measured runs of each case.")] = 3,
) -> None:
    """Print a Markdown table, and fail where the promise does not hold."""
    out = Console(highlight=False, soft_wrap=True)
    out.print("| source | limit MB | peak MB | over the limit | time |\n|---|---|---|---|---|")
    broken = False
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        into_postgres(server.url, 2 * members)
        into_parquet(Path(folder), 2 * members)
        for memory_limit in limit or ["512MB", "2GB"]:
            limit_mb = int(memory_limit[:-2]) * _MB[memory_limit[-2:]]
            work = partial(_once, memory_limit=memory_limit)
            cases = {
                "PostgreSQL, ADBC": partial(work, server.url, "copy"),
                "PostgreSQL, SQLAlchemy": partial(work, server.url, "stream"),
                "Parquet": partial(work, folder, "parquet"),
            }
            taken = in_turns(cases, runs)
            for source, run in taken.items():
                over = run.peak_mb - limit_mb
                broken |= over > ALLOWANCE_MB
                share = run.wall_s / taken["Parquet"].wall_s
                out.print(f"| {source} | {limit_mb:,} | {run.peak_mb:,.0f} | {over:+,.0f} | {share:.1f} × |")
    raise typer.Exit(broken)


def _once(place: str, way: str, *, memory_limit: str) -> Measured:
    with tempfile.TemporaryDirectory() as scratch:
        return measured("benchmarks.cases", "extract_enrich", place, way, memory_limit, scratch)


if __name__ == "__main__":
    typer.run(main)
