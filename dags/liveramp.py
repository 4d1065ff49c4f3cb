"""One Airflow DAG for every audience file in `audiences/`."""

from pathlib import Path

from liveramp_provider.dag import dags_in

globals().update(dags_in(Path(__file__).parent / "audiences"))
