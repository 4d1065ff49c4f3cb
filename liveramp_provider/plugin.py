"""What Airflow has to be told of this package beyond the provider's own description."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin

from liveramp_provider.deadlines import ScheduledMoment


class LiveRampPlugin(AirflowPlugin):
    """Registers the deadline reference, without which Airflow reads no DAG that uses it."""

    name = "liveramp"
    deadline_references = [ScheduledMoment]  # noqa: RUF012 - Airflow reads the class attribute
