"""How fast members come out of PostgreSQL into a Parquet file, and in how much memory, against Airflow's ``get_df``."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.measure import in_turns, measured
from benchmarks.people import into_postgres
from tests.servers import PostgresServer


def main(
    members: Annotated[int, typer.Option(help="Rows to read.")] = 5_000_000,
    runs: Annotated[int, typer.Option(help="Measured runs of each case.")] = 3,
) -> None:
    """Print a Markdown table; figures are multiples of those of get_df."""
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        into_postgres(server.url, 2 * members)
        work = partial(measured, "benchmarks.cases")
        taken = in_turns({name: partial(work, name, server.url, folder) for name in ("copy", "stream", "get_df")}, runs)
    peer = taken["get_df"]
    out = Console(highlight=False, soft_wrap=True)
    out.print("| way | rows/s | of get_df | CPU of get_df | peak MB | of get_df |\n|---|---|---|---|---|---|")
    for name, run in taken.items():
        shares = (peer.wall_s / run.wall_s, run.cpu_s / peer.cpu_s, run.peak_mb / peer.peak_mb)
        out.print(
            f"| {name} | {members / run.wall_s:,.0f} | {shares[0]:.2f} × | {shares[1]:.2f} × | {run.peak_mb:,.0f} "
            f"| {shares[2]:.2f} × |"
        )


if __name__ == "__main__":
    typer.run(main)
