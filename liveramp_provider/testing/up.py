"""Airflow's UI with LiveRamp in a box beside it: what ``make up`` runs, until Ctrl-C.

It lies in the demo's folder, so what the demo delivered is there, and what is delivered here the demo finds.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import AudienceFileError
from liveramp_provider.testing.installation import DEFAULT, Installation, InstallationInUseError
from liveramp_provider.testing.stand_ins import NobodyStandsInError
from liveramp_provider.testing.standalone import USER, ComponentDiedError, Standalone, free_port
from liveramp_provider.testing.warehouse import make_warehouse

if TYPE_CHECKING:
    from datetime import date

    from liveramp_provider.testing.stand_ins import StandIns

out = Console(highlight=False)

_PATIENCE_S = 180
_DAYS = 8  # today, which the next midnight delivers, yesterday, and enough before it for a backfill


def main(
    audience: Annotated[Path, typer.Option(help="Audience file.")] = DEFAULT,
    home: Annotated[Path, typer.Option(help="Folder of the demo; each audience file has its own in it.")] = Path(
        ".demo"
    ),
    dags: Annotated[Path, typer.Option(help="Folder of the DAGs.")] = Path("dags"),
    port: Annotated[int, typer.Option(help="Port of the UI; another one if it is taken.")] = 8080,
) -> None:
    """Start everything, say where it is, and stop it on Ctrl-C; exits 1 if a part of it dies."""
    os.umask(0o077)
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        _run(Installation((home / audience.stem).absolute(), load_audience(audience), dags.absolute()), port)
    except KeyboardInterrupt:
        _step("Stopped: nothing runs on")
    except (AudienceFileError, ComponentDiedError, InstallationInUseError, NobodyStandsInError) as error:
        out.print(f"✗ {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _run(installation: Installation, wanted_port: int) -> None:
    began = time.monotonic()
    with installation.receivers() as receivers:
        for receiver in receivers:
            _step(receiver.greeting)
        port = free_port(wanted_port)
        if port != wanted_port:
            _step(f"Port {wanted_port} is taken by another program: the UI gets {port}. Choose one: make up PORT=…")
        with Standalone(installation.environment(receivers), port=port, log=installation.log) as airflow:
            try:
                days = _add_days(installation)
                with out.status("Airflow starts …"):
                    _wait_until_ready(airflow, installation.audience.id)
                _step(f"Airflow is ready after {time.monotonic() - began:.0f} seconds")
                _welcome(installation, airflow, days)
                _watch(airflow, receivers)
            finally:
                out.print("\nStopping Airflow, which takes up to ten seconds …")


def _add_days(installation: Installation) -> list[date]:
    """Add the last days to the warehouse; returns them, newest first."""
    today = datetime.now(ZoneInfo(installation.audience.schedule.timezone)).date()
    days = [today - timedelta(days=ago) for ago in range(_DAYS)]
    for day in days:
        make_warehouse(installation.warehouse, day=day)
    _step(f"The sample warehouse has 20,000 invented customers of every day from {days[-1]} to {days[0]}")
    return days


def _wait_until_ready(airflow: Standalone, dag_id: str) -> None:
    patience = time.monotonic() + _PATIENCE_S
    while not airflow.is_ready(dag_id):
        if time.monotonic() > patience:
            raise ComponentDiedError(f"Airflow is not ready after {_PATIENCE_S} seconds.\n{airflow.last_lines()}")
        time.sleep(0.5)


def _watch(airflow: Standalone, receivers: StandIns) -> None:
    """Say what the receivers get, for as long as Airflow lives."""
    known = {receiver: len(receiver.arrivals()) for receiver in receivers}
    while True:
        airflow.check()
        for receiver in receivers:
            came = receiver.arrivals()
            for sentence in came[known[receiver] :]:
                _step(sentence)
            known[receiver] = len(came)
        time.sleep(1)


def _step(message: str) -> None:
    out.print(f"[green]✓[/] {time.strftime('%H:%M:%S')}  {message}", soft_wrap=True)


def _welcome(installation: Installation, airflow: Standalone, days: list[date]) -> None:
    shown = Path(os.path.relpath(installation.home))
    command = f"AIRFLOW_HOME={shown}/airflow .venv/bin/airflow"
    dag_id = installation.audience.id
    dag = f"{airflow.url}/dags/{dag_id}"
    for line in (
        "",
        f"[bold]{airflow.url}[/]   user [bold]{USER}[/]   password [bold]{airflow.password()}[/]",
        "",
        "[bold]Try next[/]",
        f"  Switch the DAG on: the switch at {dag} – {days[1]} is delivered",
        f"      or {command} dags unpause {dag_id}",
        f"  Deliver another day: Trigger → Backfill at {dag}, from and to {days[2]}",
        f"      or {command} backfill create \\",
        f"          --dag-id {dag_id} --from-date {days[2]} --to-date {days[2]}",
        f"  Trigger one day: Trigger → Advanced Options → Partition Key {days[3]}",
        "  Test the way to LiveRamp: Admin → Connections → Add, type LiveRamp → Test",
        f"  Read what Airflow prints: less {os.path.relpath(installation.log)}",
        "",
        "[bold]Ctrl-C stops everything.[/]",
        "",
    ):
        out.print(line, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
