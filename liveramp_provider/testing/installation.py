"""One folder with all that Airflow needs to deliver sample customers to LiveRamp in a box."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.testing.box import LiveRampBox
from liveramp_provider.testing.values import LiveRampAudience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liveramp_provider.core.audience import Audience

DAG_ID = "high_value_customers"


class InstallationInUseError(Exception):
    """Somebody runs in that folder already."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder, and what lies where in it. What one run leaves there, the next one finds.

    :param home: The folder; absolute.
    :param dags: The DAGs to install; absolute. They stay as they are.
    """

    home: Path
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
        """A copy of the DAGs whose audience file pins the box's key, as yours will pin LiveRamp's."""
        return self.home / "dags"

    def audience(self) -> Audience:
        """The audience of the copy."""
        return load_audience(self.own_dags / "audiences" / f"{DAG_ID}.yaml")

    @contextmanager
    def receiver(self) -> Iterator[LiveRampBox]:
        """LiveRamp in a box, which knows the audience and whose key the copy of the DAGs pins.

        :raises InstallationInUseError: Another `make demo` or `make up` has not ended yet.
        """
        self.home.mkdir(mode=0o700, exist_ok=True)
        with (self.home / "in-use").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InstallationInUseError(
                    f"{self.home} is in use. Stop the other `make up` or `make demo` first."
                ) from None
            audience = load_audience(self.dags / "audiences" / f"{DAG_ID}.yaml")
            with LiveRampBox(self.home / "box", audiences=_liveramp_audiences(audience)) as box:
                self._pin(box)
                yield box

    def environment(self, box: LiveRampBox) -> dict[str, str]:
        """Airflow with a metadata database of its own, and the two connections the audience file names.

        Nothing of another Airflow that the caller's environment may be set up for.
        """
        return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.own_dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LIVERAMP__HOME": str(self.home / "liveramp"),
            "AIRFLOW_CONN_WAREHOUSE": f'{{"conn_type": "sqlite", "host": "{self.warehouse}"}}',
            "AIRFLOW_CONN_LIVERAMP_DEFAULT": box.connection_json(),
        }

    def _pin(self, box: LiveRampBox) -> None:
        shutil.rmtree(self.own_dags, ignore_errors=True)
        shutil.copytree(self.dags, self.own_dags, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (self.own_dags / "audiences").glob("*.yaml"):
            file.write_text(re.sub(r"recipient: [0-9A-F]{40}", f"recipient: {box.pgp_fingerprint}", file.read_text()))
        (self.own_dags / "audiences" / "keys" / "liveramp.asc").write_text(box.pgp_public_key)


def _liveramp_audiences(audience: Audience) -> list[LiveRampAudience]:
    """What LiveRamp's support would have set up for `audience`."""
    return [
        LiveRampAudience(
            name=f"{audience.name}-{file.slot}",
            folder=destination.path,
            filename=rf"{destination.org}_{audience.id}-{file.slot}_\d{{4}}-\d\d-\d\d\.csv.*",
            kind="known" if file.slot == "PII" else "pseudonymous",
            update_method=destination.update_method,
        )
        for destination in audience.destinations
        for file in destination.files
    ]
