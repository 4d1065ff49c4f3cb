"""One audience from a sample warehouse to its receivers on this machine, through Airflow: what ``make demo`` runs.

Everything it makes lies in one folder and is found again by the next run: the same day is then already delivered.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.testing.demo_report import report
from liveramp_provider.testing.installation import DEFAULT, Installation, InstallationInUseError
from liveramp_provider.testing.stand_ins import NobodyStandsInError
from liveramp_provider.testing.warehouse import make_warehouse

if TYPE_CHECKING:
    from liveramp_provider.testing.stand_ins import StandIns

out = Console(highlight=False)

_OUR_LOG_LINE = re.compile(r"\] (?P<message>(preflight|extract|enrich|build|deliver): .*?)\s+\[liveramp_provider\.")
_RAISED = re.compile(r"[a-z_.]+\.\w+(Error|Exception): (?P<message>.*)")


def main(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Snapshot day.")],
    audience: Annotated[Path, typer.Option(help="Audience file.")] = DEFAULT,
    home: Annotated[Path, typer.Option(help="Folder of the demo; each audience file has its own in it.")] = Path(
        ".demo"
    ),
    dags: Annotated[Path, typer.Option(help="Folder of the DAGs.")] = Path("dags"),
) -> None:
    """Deliver one day of an audience of sample customers and check what arrived; exits 1 on any mismatch."""
    os.umask(0o077)
    try:
        demo = Installation((home / audience.stem).absolute(), load_audience(audience), dags.absolute())
        with demo.receivers() as receivers:
            before = len(receivers.arrivals())
            problems = _deliver(demo, receivers, day.date())
            if not problems:
                sent = len(receivers.arrivals()) - before
                problems = report(demo, receivers, day.date(), sent=sent, out=out)
    except (AudienceFileError, InstallationInUseError, NobodyStandsInError) as error:
        problems = [str(error)]
    for problem in problems:
        out.print(f"✗ {problem}", style="bold red", markup=False, soft_wrap=True)
    if not problems:
        _next_steps(demo, audience, day.date())
    raise typer.Exit(1 if problems else 0)


def _deliver(demo: Installation, receivers: StandIns, day: date) -> list[str]:
    """Run the DAG of one day through Airflow; returns what went wrong."""
    for receiver in receivers:
        _step(receiver.greeting)
    make_warehouse(demo.warehouse, day=day)
    _step(f"The sample warehouse has 20,000 invented customers of {day}")
    environment = demo.environment(receivers)
    demo.log.unlink(missing_ok=True)
    if not (demo.airflow / "airflow.db").exists():
        with out.status("Airflow makes its metadata database (first run only) …"):
            failed = _airflow(demo, environment, "db", "migrate")
        if failed:
            return [f"airflow db migrate failed; see {demo.log}"]
        _step("Airflow has its metadata database")
    dag_id = demo.audience.id
    with out.status(f"Airflow runs {dag_id} for {day} …"):
        conf = f'{{"snapshot_date": "{day}"}}'
        failed = _airflow(demo, environment, "dags", "test", dag_id, "--conf", conf)
    return [f"the DAG failed; see {demo.log}"] if failed else []


def _airflow(demo: Installation, environment: dict[str, str], *arguments: str) -> bool:
    """Run an Airflow command, show what our tasks say, keep the rest in the log; returns whether it failed."""
    command = [sys.executable, "-m", "airflow", *arguments]
    with demo.log.open("a") as log:
        # The command is our own Airflow with fixed words and a date.
        process = subprocess.Popen(  # noqa: S603
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for line in process.stdout or ():
            log.write(line)
            if match := _OUR_LOG_LINE.search(line):
                _step(match["message"])
            elif match := _RAISED.match(line):
                out.print(f"✗ {match['message']}", style="red", markup=False, soft_wrap=True)
    return process.wait() != 0


def _step(message: str) -> None:
    out.print(f"[green]✓[/] {time.strftime('%H:%M:%S')}  {message}", soft_wrap=True)


def _next_steps(demo: Installation, audience: Path, day: date) -> None:
    shown = Path(os.path.relpath(demo.home))
    make = "make demo" if audience == DEFAULT else f"make demo AUDIENCE={audience}"
    connections = [f"--connection {conn_id}=sqlite:///{shown}/warehouse.db" for conn_id in demo.warehouse_connections]
    out.print()
    out.print("[bold]Try next[/]")
    tries = {
        make: "the same day again: nothing is sent",
        f"{make} DATE=2026-11-21": "the next day; some customers joined, some left",
        f"less {shown}/airflow.log": "what Airflow printed",
    }
    for command, meaning in tries.items():
        out.print(f"  {command:<{max(map(len, tries))}}  {meaning}", soft_wrap=True)
    if audience == DEFAULT:
        out.print("  make demo AUDIENCE=examples/audiences/many_destinations.yaml", soft_wrap=True)
    out.print(f"  $EDITOR {audience}, then .venv/bin/liveramp validate it", soft_wrap=True)
    out.print(
        f"  .venv/bin/liveramp run {audience} --date {day} --to out", *connections, sep=" \\\n      ", soft_wrap=True
    )


if __name__ == "__main__":
    typer.run(main)
