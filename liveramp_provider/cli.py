"""The ``liveramp`` command: check an audience file, or build its files without Airflow."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.core.errors import AudienceFileError, ConnectionConfigError, LiveRampError

if TYPE_CHECKING:
    import sqlalchemy

    from liveramp_provider.core.sources import Connect

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@app.callback()
def main() -> None:
    """Deliver audiences to LiveRamp."""


@app.command()
def validate(files: Annotated[list[Path], typer.Argument(help="Audience files.")]) -> None:
    """Check audience files and report every fault at once; exits 1 if there is one."""
    broken = 0
    for file in files:
        try:
            audience = load_audience(file)
        except AudienceFileError as error:
            broken += 1
            errors.print(f"✗ {error}", style="red", markup=False, soft_wrap=True)
            continue
        sent = ", ".join(f"{d.id} ({', '.join(file.slot for file in d.files)})" for d in audience.destinations)
        out.print(f"✓ {file.name}: {audience.id} → {sent}", style="green", markup=False, soft_wrap=True)
        for warning in audience.warnings:
            out.print(f"  ! {warning}", style="yellow", markup=False, soft_wrap=True)
    raise typer.Exit(1 if broken else 0)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Audience file.")],
    date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Snapshot day.")],
    to: Annotated[Path, typer.Option(help="Folder for the delivery files; made when missing.")],
    connection: Annotated[
        list[str] | None,
        typer.Option(
            help="ID=URL of a warehouse, as SQLAlchemy writes it; repeatable. "
            "URLs with passwords belong in the environment instead, as LIVERAMP_CONN_<ID>."
        ),
    ] = None,
) -> None:
    """Extract, enrich and build one day without Airflow, and put the delivery files into a folder. Sends nothing."""
    try:
        _run(file, day=date, to=to, connect=_connect(connection or []))
    except LiveRampError as error:
        errors.print(f"✗ {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _run(file: Path, *, day: datetime, to: Path, connect: Connect) -> None:
    from liveramp_provider.core.pipeline.build import build
    from liveramp_provider.core.pipeline.enrich import enrich
    from liveramp_provider.core.pipeline.extract import extract
    from liveramp_provider.core.staging import Staging
    from liveramp_provider.core.workspace import Workspace
    from liveramp_provider.report import files_table, waterfall_table

    audience = load_audience(file)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to, prefix=".liveramp-") as staging:
        workspace = Workspace(staging=Staging(Path(staging)), connect=connect)
        membership = extract(audience, day.date(), workspace=workspace)
        profiles = enrich(audience, day.date(), membership, workspace=workspace)
        for destination in audience.destinations:
            sealed = build(audience, destination, day.date(), profiles, workspace=workspace)
            for result in sealed:
                result.path.replace(to / result.name)
            out.print(files_table(sealed))
            for result in sealed:
                out.print()
                out.print(waterfall_table(result))


def _connect(options: list[str]) -> Connect:
    urls = dict(option.partition("=")[::2] for option in options)

    def connect(conn_id: str) -> sqlalchemy.Engine:
        import sqlalchemy

        variable = f"LIVERAMP_CONN_{conn_id.upper()}"
        url = urls.get(conn_id) or os.environ.get(variable)
        if not url:
            raise ConnectionConfigError(
                f"nothing says where {conn_id} is. Add --connection {conn_id}=URL, or set {variable}; "
                "a URL looks like postgresql://user@host/database."
            )
        try:
            return sqlalchemy.create_engine(url)
        except (sqlalchemy.exc.ArgumentError, ImportError):
            raise ConnectionConfigError(
                f"the URL of {conn_id} cannot be used. It must be one of SQLAlchemy's, with its driver installed."
            ) from None

    return connect
