"""Where the command line finds the ledger: in an installation's folder, or behind a connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liveramp_provider.cli_connections import connect_by
from liveramp_provider.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liveramp_provider.core.ledger import LedgerAt

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        envvar="AIRFLOW__LIVERAMP__HOME",
        help="Folder of the Airflow installation (its setting home), where the ledger and staged files lie.",
        show_default=False,
    ),
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="ID",
        envvar="AIRFLOW__LIVERAMP__LEDGER_CONN_ID",
        help="Connection of the ledger (the setting ledger_conn_id), where it does not lie in the folder.",
        show_default=False,
    ),
]


def ledger_at(home: Path | None, ledger: str | None, connections: Sequence[str]) -> LedgerAt:
    """Where the ledger is; as in Airflow, the connection counts more than the folder.

    :param connections: The URLs of connections, as :func:`liveramp_provider.cli_connections.connect_by` takes them.
    :raises ConfigError: The folder has no ledger, or nothing says where the connection leads.
    """
    if ledger:
        return connect_by(connections)(ledger)
    if home is None:
        raise typer.BadParameter(
            "Name the installation's folder, or the ledger's connection with --ledger.", param_hint="--home"
        )
    from liveramp_provider.core.home import Home

    path = Home(home).ledger
    if not path.is_file():
        raise ConfigError(f"{home} has no ledger.sqlite. Correct --home, or nothing was ever delivered from there.")
    return path
