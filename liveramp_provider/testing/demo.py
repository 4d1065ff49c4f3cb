"""One audience from a sample warehouse to LiveRamp in a box, through Airflow: what ``make demo`` runs.

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
from rich.table import Table

from liveramp_provider.core.artifacts import Membership, SealedFile
from liveramp_provider.core.ledger import EVIDENCE, Delivery, Ledger, delivery_id
from liveramp_provider.core.staging import load
from liveramp_provider.report import adds_up, membership_table, waterfall_table
from liveramp_provider.testing.installation import DAG_ID, Installation, InstallationInUseError
from liveramp_provider.testing.warehouse import make_warehouse

if TYPE_CHECKING:
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.staging import Artifact
    from liveramp_provider.testing.box import LiveRampBox
    from liveramp_provider.testing.values import ReceivedFile

out = Console(highlight=False)

_OUR_LOG_LINE = re.compile(r"\] (?P<message>(preflight|extract|enrich|build|deliver): .*?)\s+\[liveramp_provider\.")
_RAISED = re.compile(r"[a-z_.]+\.\w+(Error|Exception): (?P<message>.*)")


def main(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Snapshot day.")],
    home: Annotated[Path, typer.Option(help="Folder of the demo.")] = Path(".demo"),
    dags: Annotated[Path, typer.Option(help="Folder of the DAGs.")] = Path("dags"),
) -> None:
    """Deliver one day of the sample audience and check what arrived; exits 1 on any mismatch."""
    os.umask(0o077)
    demo = Installation(home.absolute(), dags.absolute())
    try:
        with demo.receiver() as box:
            before = len(box.files())
            problems = _deliver(demo, box, day.date()) or _report(demo, box, day.date(), sent=len(box.files()) - before)
    except InstallationInUseError as error:
        problems = [str(error)]
    for problem in problems:
        out.print(f"✗ {problem}", style="bold red")
    raise typer.Exit(1 if problems else 0)


def _deliver(demo: Installation, box: LiveRampBox, day: date) -> list[str]:
    """Run the DAG of one day through Airflow; returns what went wrong."""
    _step(f"LiveRamp in a box listens on {box.host}:{box.port}; its PGP key is {box.pgp_fingerprint[-16:]}")
    make_warehouse(demo.warehouse, day=day)
    _step(f"The sample warehouse has 20,000 invented customers of {day}")
    environment = demo.environment(box)
    demo.log.unlink(missing_ok=True)
    if not (demo.airflow / "airflow.db").exists():
        with out.status("Airflow makes its metadata database (first run only) …"):
            failed = _airflow(demo, environment, "db", "migrate")
        if failed:
            return [f"airflow db migrate failed; see {demo.log}"]
        _step("Airflow has its metadata database")
    with out.status(f"Airflow runs {DAG_ID} for {day} …"):
        conf = f'{{"snapshot_date": "{day}"}}'
        failed = _airflow(demo, environment, "dags", "test", DAG_ID, "--conf", conf)
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


def _report(demo: Installation, box: LiveRampBox, day: date, *, sent: int) -> list[str]:
    """Show what was delivered and what LiveRamp holds; returns every mismatch between the two."""
    audience = demo.audience()
    pairs = [_delivered(demo, audience, day, file.slot) for file in audience.destinations[0].files]
    received = {file.name: file for file in box.files()}
    out.print()
    if sent:
        out.print(f"[bold]Delivered to {audience.destinations[0].path}[/]")
    else:
        out.print(f"[bold]Already delivered: nothing was sent.[/] What {day} delivered earlier:")
    out.print(_sent_files(pairs))
    for grade in sorted({delivery.evidence for _, delivery in pairs}):
        out.print(f"evidence {grade}: {EVIDENCE[grade]}", style="dim")
    out.print()
    out.print(membership_table(_staged(demo, Membership, audience, day, "extract-*")))
    for file, _ in pairs:
        out.print()
        out.print(waterfall_table(file))
    out.print()
    out.print(_held(box, [received.get(file.name) for file, _ in pairs]))
    problems = [problem for file, delivery in pairs for problem in _mismatches(file, delivery, received.get(file.name))]
    problems += _segment_mismatches(box, audience, pairs)
    if not problems:
        _next_steps(demo, day)
    return problems


def _delivered(demo: Installation, audience: Audience, day: date, slot: str) -> tuple[SealedFile, Delivery]:
    """A delivered file by the ledger, and its sealed form by staging."""
    destination = audience.destinations[0].id
    key = delivery_id(destination=destination, audience=audience.id, slot=slot, day=day)
    delivery = Ledger.in_file(demo.home / "liveramp" / "ledger.sqlite").find(key)
    if delivery is None:
        raise SystemExit(f"the ledger knows of no delivery of {slot} on {day}")
    return _staged(demo, SealedFile, audience, day, f"build-{destination}-{slot}-*", sha256=delivery.sha256), delivery


def _staged(
    demo: Installation, kind: type[Artifact], audience: Audience, day: date, stage: str, *, sha256: str = ""
) -> Artifact:
    """The sealed artefact of a stage; where a changed audience file has left several, the one with that digest."""
    places = (demo.home / "liveramp" / "staging" / audience.id / day.isoformat()).glob(stage)
    found = [load(kind, place) for place in sorted(places, key=lambda place: place.stat().st_mtime)]
    return next(artifact for artifact in reversed(found) if sha256 in ("", artifact.sha256))


def _sent_files(pairs: list[tuple[SealedFile, Delivery]]) -> Table:
    """Name, rows, bytes and evidence of each file."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("rows", "bytes", "evidence"):
        table.add_column(heading, justify="right")
    for file, delivery in pairs:
        table.add_row(delivery.name, f"{file.rows:,}", f"{delivery.size_bytes:,}", delivery.evidence)
    return table


def _held(box: LiveRampBox, files: list[ReceivedFile | None]) -> Table:
    """What the receiver says it decrypted, checked and ingested."""
    table = Table(title="What LiveRamp holds now", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("segment")
    table.add_column("members", justify="right")
    table.add_column("newest file")
    for file in files:
        if file is None or file.audience is None:
            continue
        state = (
            f"{file.status}: {'decrypted, ' if file.encrypted else ''}{file.rows:,} rows, {len(file.header)} columns"
        )
        table.add_row(file.audience, f"{box.segments()[file.audience]:,}", state)
    return table


def _mismatches(file: SealedFile, delivery: Delivery, received: ReceivedFile | None) -> list[str]:
    """Where the ledger, the sealed file and the receiver disagree on one file."""
    if received is None:
        return [f"{file.name}: LiveRamp never got it"]
    checks = {
        f"LiveRamp says {received.status}: {'; '.join(received.problems)}": received.status == "ingested",
        "LiveRamp has other bytes": received.sha256 == delivery.sha256,
        f"LiveRamp counts {received.rows:,} rows, not {file.rows:,}": received.rows == file.rows,
        "LiveRamp reads another header": received.header == file.header,
        "the waterfall does not add up": adds_up(file.waterfall),
        f"the ledger says {delivery.state}": delivery.committed_at is not None,
    }
    return [f"{file.name}: {problem}" for problem, good in checks.items() if not good]


def _segment_mismatches(box: LiveRampBox, audience: Audience, pairs: list[tuple[SealedFile, Delivery]]) -> list[str]:
    """Incremental segments only grow, so each holds at least what the day sent."""
    held = box.segments()
    return [
        f"{audience.name}-{file.slot}: LiveRamp holds {held[f'{audience.name}-{file.slot}']:,} of {file.rows:,}"
        for file, _ in pairs
        if held[f"{audience.name}-{file.slot}"] < file.rows
    ]


def _next_steps(demo: Installation, day: date) -> None:
    shown = Path(os.path.relpath(demo.home))
    out.print()
    out.print("[bold]Try next[/]")
    out.print("  make demo                             the same day again: nothing is sent", soft_wrap=True)
    out.print("  make demo DATE=2026-11-21             the next day; some customers joined, some left", soft_wrap=True)
    out.print(f"  less {shown}/airflow.log                 what Airflow printed", soft_wrap=True)
    out.print("  $EDITOR dags/audiences/high_value_customers.yaml, then .venv/bin/liveramp validate it", soft_wrap=True)
    out.print(
        f"  .venv/bin/liveramp run dags/audiences/high_value_customers.yaml --date {day} --to out \\\n"
        f"      --connection warehouse=sqlite:///{shown}/warehouse.db",
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(main)
