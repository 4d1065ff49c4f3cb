"""What ``liveramp doctor`` does, with Airflow's connections and the installation's ledger."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import LiveRampError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.doctor import Finding
    from liveramp_provider.core.ledger import Probe


def findings(destination: Destination) -> Iterator[Finding]:
    """Everything that can be found out of `destination`."""
    # Airflow gives a process that is no task its stored connections only when it says that it may read the database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")

    from liveramp_provider.core.doctor import examine
    from liveramp_provider.hooks.transports import transport_to

    yield from examine(destination, transport_to)


def keep(probes: Sequence[Probe]) -> str:
    """Keep what was found for preflight.

    :returns: Why it could not be kept; empty where it was.
    """
    from liveramp_provider import settings
    from liveramp_provider.core.ledger import note_probe

    try:
        ledger = settings.ledger()
        for probe in probes:
            note_probe(ledger, probe)
    except LiveRampError as error:
        return str(error)
    return ""
