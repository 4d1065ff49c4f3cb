"""This installation, as Airflow's configuration describes it: where to work, with which engine, which ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from liveramp_provider.core.engine import EngineSettings
from liveramp_provider.core.errors import ConnectionConfigError
from liveramp_provider.core.home import Home
from liveramp_provider.core.workspace import Workspace

if TYPE_CHECKING:
    import sqlalchemy

    from liveramp_provider.core.ledger import Ledger


def workspace() -> Workspace:
    """Where the stages work, with Airflow's connections."""
    defaults = EngineSettings()
    return Workspace(
        staging=_home().staging,
        connect=_sqlalchemy_engine,
        engine=EngineSettings(
            memory_limit=conf.get("liveramp", "memory_limit", fallback=defaults.memory_limit),
            threads=conf.getint("liveramp", "threads", fallback=defaults.threads),
        ),
    )


def ledger() -> Ledger:
    """The ledger of this installation."""
    from liveramp_provider.core.ledger import Ledger

    return Ledger.in_file(_home().ledger)


def _home() -> Home:
    configured = conf.get("liveramp", "home", fallback="")
    return Home(Path(configured) if configured else Path(conf.get("core", "dags_folder")).parent / "liveramp")


def _sqlalchemy_engine(conn_id: str) -> sqlalchemy.Engine:
    try:
        hook = BaseHook.get_connection(conn_id).get_hook()  # type: ignore[no-untyped-call]  # Airflow's
    except AirflowNotFoundException:
        raise ConnectionConfigError(f"there is no connection {conn_id}. Add it under Admin → Connections.") from None
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConnectionConfigError(f"connection {conn_id} is no database that SQLAlchemy reaches.")
    engine: sqlalchemy.Engine = hook.get_sqlalchemy_engine()
    return engine
