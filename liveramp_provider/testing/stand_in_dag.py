"""One audience file as an Airflow DAG, encrypted to the keys of those who stand in for its receivers.

An :class:`~liveramp_provider.testing.installation.Installation` copies this file into its DAGs folder in the place of
``liveramp.py``, and writes beside it which audience file, and whose keys.
"""

import json
from dataclasses import replace
from pathlib import Path

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.dag import audience_dag

_pinned = json.loads(Path(__file__).with_name("pinned.json").read_text())
_audience = load_audience(_pinned["audience"])
_destinations = tuple(
    replace(
        there,
        encryption=replace(
            there.encryption,
            recipients=(_pinned["recipients"][there.id],),
            public_key=Path(__file__).parent / "keys" / f"{there.id}.asc",
        ),
    )
    if there.encryption
    else there
    for there in _audience.destinations
)
dag = audience_dag(replace(_audience, destinations=_destinations))
