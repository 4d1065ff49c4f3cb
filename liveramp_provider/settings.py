"""This installation, as Airflow's configuration describes it: where to work, with which engine, which ledger."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from liveramp_provider.core.engine import EngineSettings
from liveramp_provider.core.errors import ConnectionConfigError, SharedHomeError, StagingConfigError
from liveramp_provider.core.home import Home
from liveramp_provider.core.staging import Staging
from liveramp_provider.core.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import sqlalchemy
    from mypy_boto3_s3 import S3Client

    from liveramp_provider.core.artifacts import Base
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.ledger import Ledger, LedgerAt


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Where the stages work, with Airflow's connections; for the time of one task."""
    defaults = EngineSettings()
    with staging() as here:
        yield Workspace(
            staging=here,
            connect=_sqlalchemy_engine,
            s3=_s3_client,
            engine=EngineSettings(
                memory_limit=conf.get("liveramp", "memory_limit", fallback=defaults.memory_limit),
                threads=conf.getint("liveramp", "threads", fallback=defaults.threads),
            ),
        )


@contextmanager
def staging() -> Iterator[Staging]:
    """Where sealed artefacts lie; what is fetched of them from S3 is gone afterwards.

    :raises SharedHomeError: It is a folder of one machine, and tasks run on several.
    :raises StagingConfigError: ``[liveramp] staging`` is no address of S3.
    :raises ConnectionConfigError: There is no connection of the name in ``staging_conn_id``.
    """
    here = home().staging
    address = conf.get("liveramp", "staging", fallback="")
    if not address:
        _check_home_is_shared("the staged files")
        yield here
        return
    from liveramp_provider.core.staging.s3 import S3Store

    with here.scratch() as copies:
        store = S3Store.at(
            address,
            client=_s3_client(conf.get("liveramp", "staging_conn_id", fallback="aws_default")),
            kms_key_id=conf.get("liveramp", "staging_kms_key_id", fallback=""),
            local=copies,
        )
        yield Staging(here.root, store)


def keep() -> timedelta:
    """How long staged files are kept.

    :raises StagingConfigError: Not even for a day.
    """
    days = conf.getint("liveramp", "keep_days", fallback=30)
    if days < 1:
        raise StagingConfigError(f"[liveramp] keep_days is {days}. A run needs what is staged: keep it 1 day or more.")
    return timedelta(days=days)


def ledger() -> Ledger:
    """The ledger of this installation, ready to be written to.

    :raises SharedHomeError: It is a file of one machine, and tasks run on several.
    :raises ConnectionConfigError: There is no connection of the name in ``ledger_conn_id``, or no ledger can be there.
    :raises LedgerError: It does not answer.
    """
    from liveramp_provider.core.ledger import Ledger

    return Ledger.at(ledger_at())


def ledger_at() -> LedgerAt:
    """Where the ledger of this installation is: behind ``[liveramp] ledger_conn_id``, or else in the home folder.

    :raises SharedHomeError: It is a file of one machine, and tasks run on several.
    :raises ConnectionConfigError: There is no connection of that name, or no database behind it.
    """
    conn_id = conf.get("liveramp", "ledger_conn_id", fallback="")
    engine = _sqlalchemy_engine(conn_id) if conn_id else None
    if engine is None or engine.dialect.name == "sqlite":
        _check_home_is_shared("the ledger")
    return home().ledger if engine is None else engine


def bases(
    audience: Audience, destination: Destination, day: date, revision: int, *, staging: Staging | None
) -> dict[str, Base]:
    """What the files of `destination` build on that bring only changes, by the ledger and what is staged.

    :param staging: ``None``: none of them does.
    """
    from liveramp_provider.core.bases import bases_at

    if staging is None or not any(file.iterative for file in destination.files):
        return {}
    ledger()  # made where it is missing
    return bases_at(audience, destination, day, (ledger_at(), staging), revision=revision)


def home() -> Home:
    """The folder of this installation."""
    configured = conf.get("liveramp", "home", fallback="")
    return Home(Path(configured) if configured else Path(conf.get("core", "dags_folder")).parent / "liveramp")


def _check_home_is_shared(what: str) -> None:
    from liveramp_provider.executors import executors_of_many_machines

    if conf.getboolean("liveramp", "shared_home", fallback=False):
        return
    if executors := executors_of_many_machines():
        raise SharedHomeError(
            f"tasks may run on several machines ({', '.join(executors)}), and each would keep {what} in a folder of "
            "its own. In the section [liveramp] of Airflow's configuration, name a PostgreSQL connection in "
            f"ledger_conn_id and a bucket in staging; or, if {home().folder} is the same folder on all of them, say "
            "shared_home = True."
        )


def _sqlalchemy_engine(conn_id: str) -> sqlalchemy.Engine:
    connection = _connection(conn_id)
    hook = connection.get_hook()
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConnectionConfigError(f"connection {conn_id} is no database that SQLAlchemy reaches.")
    # PostgreSQL's hook leaves the extras out of its engine, and with them sslmode: it would connect without TLS.
    ignored = getattr(hook, "ignored_extra_options", None)
    extras = {} if ignored is None else connection.extra_dejson
    arguments = {name: value for name, value in extras.items() if name not in (ignored or ())}
    engine: sqlalchemy.Engine = hook.get_sqlalchemy_engine({"connect_args": arguments} if arguments else None)
    return engine


def _s3_client(conn_id: str) -> S3Client:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    # The hook goes on without a connection that is missing, with whatever the machine may do.
    _connection(conn_id)
    client: S3Client = S3Hook(aws_conn_id=conn_id).get_conn()
    return client


def _connection(conn_id: str) -> Any:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConnectionConfigError(f"there is no connection {conn_id}. Add it under Admin → Connections.") from None
