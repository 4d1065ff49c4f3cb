"""The ``liveramp`` command: audience files, a day's files and the ledger, without Airflow."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from liveramp_provider.cli_connections import connect_by, s3_by_environment
from liveramp_provider.cli_folders import cache_folder, staging_in
from liveramp_provider.cli_ledger import HomeOption, LedgerOption, ledger_at
from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.days import parse_day
from liveramp_provider.core.errors import (
    AudienceFileError,
    ConfigError,
    LiveRampError,
    SnapshotDayError,
)
from liveramp_provider.core.ledger import EVIDENCE, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.artifacts import Membership, Profiles
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.ledger import LedgerAt
    from liveramp_provider.core.preview import FilePreview
    from liveramp_provider.core.sources import Connect
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace

    #: A ledger to compare with, and the staged files where they are at hand.
    Installation = tuple[LedgerAt, Staging | None]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

AudiencePath = Annotated[Path, typer.Argument(help="Audience file.", show_default=False)]
DayOption = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", help="Snapshot day.", show_default=False)]
ConnectionOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID=URL",
        help="Where a connection leads, as SQLAlchemy writes it; repeatable. "
        "A URL with a password belongs in the environment instead, as LIVERAMP_CONN_<ID>. "
        "S3 is found by the settings of AWS's own tools, such as AWS_PROFILE.",
    ),
]


@app.callback()
def main() -> None:
    """Deliver audiences to LiveRamp."""
    # Functions that an audience file names lie where the command is typed; an installed command does not look there,
    # `python -m` does. At the end, as Airflow's own folders are: no file there can take the place of a library.
    if "" not in sys.path:
        sys.path.append("")
    # What takes long says how it is going; what else the stages log is on the screen already.
    progress = logging.getLogger("liveramp_provider.core.progress")
    progress.setLevel(logging.INFO)
    progress.addHandler(RichHandler(console=errors, show_time=False, show_level=False, show_path=False))


@app.command()
def validate(files: Annotated[list[Path], typer.Argument(help="Audience files.", show_default=False)]) -> None:
    """Check audience files and report every fault at once; exits 1 if there is one."""
    broken = 0
    for file in files:
        try:
            audience = load_audience(file)
        except AudienceFileError as error:
            broken += 1
            _print_error(error)
            continue
        sent = ", ".join(f"{d.id} ({', '.join(file.slot for file in d.files)})" for d in audience.destinations)
        out.print(f"✓ {file.name}: {audience.id} → {sent}", style="green", markup=False, soft_wrap=True)
        _print_warnings(audience)
    raise typer.Exit(1 if broken else 0)


@app.command()
def run(
    file: AudiencePath,
    day: DayOption,
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the delivery files go; made when missing.", show_default=False)
    ],
    connection: ConnectionOption = None,
) -> None:
    """Build one day's delivery files without Airflow and put them into a folder; sends nothing."""
    with _errors_in_one_line():
        _run(file, day=_day(day, "--date"), to=to, connect=connect_by(connection or []))


def _run(file: Path, *, day: date, to: Path, connect: Connect) -> None:
    from liveramp_provider.core.pipeline.enrich import enrich
    from liveramp_provider.core.pipeline.extract import extract
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace
    from liveramp_provider.report import membership_table

    audience = load_audience(file)
    _print_warnings(audience)
    with staging_in(to, named_by="--to") as staging:
        workspace = Workspace(staging=Staging(staging), connect=connect, s3=s3_by_environment)
        membership = extract(audience, day, workspace=workspace)
        out.print(membership_table(membership))
        profiles = enrich(audience, day, membership, workspace=workspace)
        for destination in audience.destinations:
            # Receivers may ask for one name each.
            folder = to / destination.id if len(audience.destinations) > 1 else to
            folder.mkdir(mode=0o700, exist_ok=True)
            _build(audience, destination, day, profiles, folder=folder, workspace=workspace)


def _build(
    audience: Audience, destination: Destination, day: date, profiles: Profiles, *, folder: Path, workspace: Workspace
) -> None:
    from liveramp_provider.core.parts import control_file, parts_of
    from liveramp_provider.core.pipeline.build import build
    from liveramp_provider.report import headline, waterfall_table

    for file in build(audience, destination, day, profiles, workspace=workspace):
        parts = parts_of(file, workspace.staging)
        control = control_file(destination, parts, workspace=workspace)
        out.print()
        for one in [*parts, control] if control else parts:
            one.path.replace(folder / one.name)
            out.print(f"✓ {one.name}", style="bold green", markup=False, soft_wrap=True)
        out.print(f"  {headline(file)}", markup=False, soft_wrap=True)
        _print_if_too_few(file.members, destination)
        out.print(waterfall_table(file))


@app.command()
def preview(
    file: AudiencePath,
    day: DayOption,
    connection: ConnectionOption = None,
    home: HomeOption = None,
    ledger: LedgerOption = None,
    rows: Annotated[int, typer.Option(min=0, max=100, metavar="N", help="How many masked rows of a file to show.")] = 5,
) -> None:
    """Show what one day's files would be: names, counts, masked rows, what is new. Cannot send, and keeps nothing."""
    with _errors_in_one_line():
        _preview(
            file,
            day=_day(day, "--date"),
            connect=connect_by(connection or []),
            installation=_installation(home, ledger, connection or []),
            rows=rows,
        )


def _preview(file: Path, *, day: date, connect: Connect, installation: Installation | None, rows: int) -> None:
    from liveramp_provider.core.bases import bases_at
    from liveramp_provider.core.pipeline.enrich import enrich
    from liveramp_provider.core.pipeline.extract import extract
    from liveramp_provider.core.preview import preview_files
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace
    from liveramp_provider.report import membership_table

    audience = load_audience(file)
    _print_warnings(audience)
    with staging_in(cache_folder(), named_by="XDG_CACHE_HOME") as staging:
        workspace = Workspace(staging=Staging(staging), connect=connect, s3=s3_by_environment)
        membership = extract(audience, day, workspace=workspace)
        out.print(membership_table(membership))
        profiles = enrich(audience, day, membership, workspace=workspace)
        for destination in audience.destinations:
            shows = preview_files(
                audience,
                destination,
                day,
                profiles,
                sample_rows=rows,
                workspace=workspace,
                bases=bases_at(audience, destination, day, installation),
            )
            for shown in shows:
                _print_preview(shown, destination)
                if installation is not None:
                    _print_comparison(shown, membership, audience, day, installation, workspace)


def _installation(home: Path | None, ledger: str | None, connections: list[str]) -> Installation | None:
    """What to compare with, if there is something; if not, a line says why."""
    from liveramp_provider.core.home import Home

    staging = Home(home).staging if home else None
    if home is None and not ledger:
        why = "with --home FOLDER, what is new since the last delivery is shown too."
    elif home is not None and not ledger and not Home(home).ledger.is_file():
        why = f"no delivery to compare with: {home} has no ledger.sqlite. Correct --home, if there were deliveries."
    else:
        return ledger_at(home, ledger, connections), staging
    out.print(f"  · {why}", style="dim", markup=False, soft_wrap=True)
    return None


def _print_preview(shown: FilePreview, destination: Destination) -> None:
    from liveramp_provider.report import preview_headline, sample_tables, waterfall_table

    out.print()
    out.print(f"▸ {shown.name}", style="bold", markup=False, soft_wrap=True)
    out.print(f"  {preview_headline(shown)}", markup=False, soft_wrap=True)
    out.print(f"  to {destination.id}, {destination.path}", markup=False, soft_wrap=True)
    _print_if_too_few(shown.members, destination)
    out.print(waterfall_table(shown))
    if shown.sample:
        out.print()
    for table in sample_tables(shown, width=out.width):
        out.print(table)


def _print_comparison(
    shown: FilePreview,
    membership: Membership,
    audience: Audience,
    day: date,
    installation: Installation,
    workspace: Workspace,
) -> None:
    from liveramp_provider.core.comparison import compare
    from liveramp_provider.report import comparison_table

    ledger, staging = installation
    comparison = compare(
        shown, membership, audience=audience, day=day, ledger=ledger, staging=staging, workspace=workspace
    )
    out.print()
    out.print(comparison_table(shown, comparison))


@app.command()
def doctor(
    file: AudiencePath,
    destination: Annotated[str | None, typer.Option(metavar="ID", help="Only this one.", show_default=False)] = None,
) -> None:
    """Try what each destination lets us do: log in, write, rename and remove a file of no content. Needs Airflow."""
    with _errors_in_one_line():
        chosen = [there for there in load_audience(file).destinations if destination in (None, there.id)]
        if not chosen:
            raise ConfigError(f"{file.name} has no destination {destination}.")
        well = [_examine(there) for there in chosen]
    raise typer.Exit(0 if all(well) else 1)


def _examine(destination: Destination) -> bool:
    """Print what is found; whether the destination can be delivered to."""
    from liveramp_provider.cli_doctor import findings, keep

    out.print(f"▸ {destination.id}: {destination.path}", style="bold", markup=False, soft_wrap=True)
    found = list(findings(destination))
    for one in found:
        mark, style = ("✓", "green") if one.good else ("✗", "red")
        out.print(f"  {mark} {one.words}", style=style, markup=False, soft_wrap=True)
    if not_kept := keep([one.probe for one in found if one.probe is not None]):
        out.print(f"  ! not kept for preflight: {not_kept}", style="yellow", markup=False, soft_wrap=True)
    return all(one.good for one in found)


@app.command("deliveries")
def list_deliveries(
    home: HomeOption = None,
    ledger: LedgerOption = None,
    connection: ConnectionOption = None,
    audience: Annotated[str | None, typer.Option(help="Only those of this audience.", show_default=False)] = None,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Only those of this snapshot day.", show_default=False)
    ] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.", show_default=False)] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Instead, read every receipt and check that none was changed.")
    ] = False,
) -> None:
    """List what was delivered, is under way or is in doubt, newest day first."""
    with _errors_in_one_line():
        place = ledger_at(home, ledger, connection or [])
        if verify:
            _verify(place)
        else:
            _list(place, audience=audience, day=_day(day, "--day") if day else None, state=state)


def _list(place: LedgerAt, *, audience: str | None, day: date | None, state: State | None) -> None:
    from liveramp_provider.core.ledger import place_of, recorded
    from liveramp_provider.report import deliveries_table

    found = recorded(place, audience=audience, day=day, state=state)
    if not found:
        out.print(f"  · no such delivery is recorded in {place_of(place)}.", style="dim", markup=False, soft_wrap=True)
        return
    out.print(deliveries_table(found), soft_wrap=True)
    for grade in sorted({delivery.proof for delivery in found} & EVIDENCE.keys()):
        out.print(f"  {grade}: {EVIDENCE[grade]}", style="dim", markup=False, soft_wrap=True)
    if doubtful := sum(delivery.in_doubt for delivery in found):
        way_out = "look at the receiver's list of files, then say what you saw with liveramp resolve"
        out.print(f"  ! {doubtful} in doubt: {way_out}", style="yellow", markup=False, soft_wrap=True)


def _verify(place: LedgerAt) -> None:
    from liveramp_provider.core.ledger import verified

    chain = verified(place)
    last = f"; digest of the last: {chain.last_sha256}" if chain.receipts else ""
    words = f"✓ receipts: {chain.receipts:,}, none changed{last}"
    out.print(words, style="green", markup=False, soft_wrap=True)
    if chain.without:
        older = f"deliveries without a receipt: {chain.without:,}. Those from before there were receipts have none."
        out.print(f"  ! {older}", style="yellow", markup=False, soft_wrap=True)


@app.command("resolve")
def resolve_delivery(
    delivery: Annotated[str, typer.Argument(metavar="ID", help="Its id, or 8 or more characters from the beginning.")],
    outcome: Annotated[
        Outcome, typer.Option(help="Whether the receiver has it. If not, its deliver task may be cleared to send it.")
    ],
    why: Annotated[str, typer.Option(metavar="TEXT", help="What you saw, in one line; no person's data.")],
    home: HomeOption = None,
    ledger: LedgerOption = None,
    connection: ConnectionOption = None,
) -> None:
    """Close a delivery in doubt after looking what the receiver has. Sends nothing; who, when and why are kept."""
    from liveramp_provider.core.ledger import Ledger, recorded, resolve

    with _errors_in_one_line():
        place = ledger_at(home, ledger, connection or [])
        recorded(place, state=State.IN_DOUBT)  # a ledger that is not there would be made by opening it
        closed = resolve(Ledger.at(place), delivery, outcome, why=why, who=_who())
    follows = {
        Outcome.DELIVERED: "recorded as delivered; it is not sent again.",
        Outcome.NOT_DELIVERED: "not delivered; clear its deliver task, and it is sent.",
    }[outcome]
    out.print(f"✓ {closed.name} ({closed.short_id}): {follows}", style="green", markup=False, soft_wrap=True)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, users may have a number and no name
        return f"uid {os.getuid()}"


@app.command()
def schema() -> None:
    """Print the JSON Schema of the audience file, for editors."""
    from liveramp_provider.core.audience_file.json_schema import audience_schema

    typer.echo(audience_schema(), nl=False)


def _print_if_too_few(members: int, destination: Destination) -> None:
    if members < destination.min_members:
        few = f"{members:,} unique members, and a file needs {destination.min_members:,}"
        out.print(f"  ! {few}: it would not be sent", style="yellow", markup=False, soft_wrap=True)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except LiveRampError as error:
        _print_error(error)
        raise typer.Exit(1) from None


def _print_error(error: LiveRampError) -> None:
    errors.print(f"✗ {error}", style="red", markup=False, soft_wrap=True)


def _print_warnings(audience: Audience) -> None:
    for warning in audience.warnings:
        out.print(f"  ! {warning}", style="yellow", markup=False, soft_wrap=True)


def _day(written: str, option: str) -> date:
    try:
        return parse_day(written)
    except ValueError:
        raise SnapshotDayError(f"{option} is not a day of the form YYYY-MM-DD, such as 2026-11-20.") from None
