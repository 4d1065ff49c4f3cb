"""The factory's Airflow DAG with a task of your own before build: a shrunken audience is held back."""

from pathlib import Path
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowFailException

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.dag import audience_dag

AUDIENCES = Path(__file__).parents[1] / "dags" / "audiences"
FEWEST_MEMBERS = 500

dag = audience_dag(load_audience(AUDIENCES / "high_value_customers.yaml"), dag_id="high_value_customers_checked")

with dag:

    @task(retries=0)
    def check_size(profiles: dict[str, Any]) -> None:
        """Stop where the audience is so small that something must be wrong with its source."""
        if profiles["members"] < FEWEST_MEMBERS:
            raise AirflowFailException(f"{profiles['members']:,} members, and at least {FEWEST_MEMBERS:,} are expected")

    # Airflow passes what the output will hold.
    check_size(dag.get_task("enrich").output) >> dag.get_task("liveramp.build")  # type: ignore[arg-type]
