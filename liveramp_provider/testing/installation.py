"""One folder with all that Airflow needs to deliver an audience of sample customers to receivers on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.audience import SqlSource, TraitSource
from liveramp_provider.testing.private_files import private_folder
from liveramp_provider.testing.stand_ins import StandIns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.audience import Audience

#: The audience file of the demo where nobody names another.
DEFAULT = Path("dags/audiences/high_value_customers.yaml")


class InstallationInUseError(Exception):
    """Somebody runs in that folder already."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder, and what lies where in it. What one run leaves there, the next one finds.

    :param home: The folder, which is this audience's alone; absolute.
    :param audience: What is delivered. Its file stays as it is.
    :param dags: The other DAGs to install; absolute. They stay as they are.
    """

    home: Path
    audience: Audience
    dags: Path

    @property
    def warehouse(self) -> Path:
        """The sample warehouse, SQLite."""
        return self.home / "warehouse.db"

    @property
    def airflow(self) -> Path:
        """Airflow's home."""
        return self.home / "airflow"

    @property
    def log(self) -> Path:
        """All that Airflow printed in the last run."""
        return self.home / "airflow.log"

    @property
    def own_dags(self) -> Path:
        """A copy of the DAGs; the audience's own pins the keys of the stand-ins, as yours pins LiveRamp's."""
        return self.home / "dags"

    @property
    def warehouse_connections(self) -> tuple[str, ...]:
        """The connections that the audience reads SQL through: each is to the sample warehouse."""
        sources = [self.audience.membership.source]
        sources += [step.source for step in self.audience.traits if isinstance(step, TraitSource)]
        sources += [self.audience.suppression.source] if self.audience.suppression else []
        return tuple(dict.fromkeys(source.conn_id for source in sources if isinstance(source, SqlSource)))

    @contextmanager
    def receivers(self) -> Iterator[StandIns]:
        """Those who stand in for the audience's receivers, and whose keys the copy of the DAGs pins.

        :raises InstallationInUseError: Another `make demo` or `make up` has not ended yet.
        :raises NobodyStandsInError: There is a receiver that this machine cannot play.
        """
        private_folder(self.home)
        with (self.home / "in-use").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InstallationInUseError(
                    f"{self.home} is in use. Stop the other `make up` or `make demo` first."
                ) from None
            with StandIns(self.home / "receivers", self.audience) as stand_ins:
                self._install_dags(stand_ins)
                yield stand_ins

    def environment(self, receivers: StandIns) -> dict[str, str]:
        """Airflow with a metadata database of its own, and the connections the audience file names.

        Nothing of another Airflow that the caller's environment may be set up for.
        """
        warehouse = json.dumps({"conn_type": "sqlite", "host": str(self.warehouse)})
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.own_dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LIVERAMP__HOME": str(self.home / "liveramp"),
            **{f"AIRFLOW_CONN_{conn_id.upper()}": warehouse for conn_id in self.warehouse_connections},
            **receivers.environment(),
        }

    def _install_dags(self, receivers: StandIns) -> None:
        shutil.rmtree(self.own_dags, ignore_errors=True)
        shutil.copytree(self.dags, self.own_dags, ignore=shutil.ignore_patterns("__pycache__", "audiences"))
        recipients = {}
        for there in self.audience.destinations:
            if keys := receivers.of(there).keys:
                recipients[there.id] = keys.fingerprint
                public_key = private_folder(self.own_dags / "keys") / f"{there.id}.asc"
                public_key.write_text(keys.public)
        shutil.copy(Path(__file__).with_name("stand_in_dag.py"), self.own_dags / "liveramp.py")
        pinned = {"audience": str(self.audience.path), "recipients": recipients}
        (self.own_dags / "pinned.json").write_text(json.dumps(pinned))
