"""A hand-written Airflow DAG of the operators: the day is its partition key, the columns are the audience file's."""

from pathlib import Path

import pendulum
from airflow.sdk import DAG, CronPartitionTimetable

from liveramp_provider.core.audience_file import load_audience
from liveramp_provider.operators.build import LiveRampBuildOperator
from liveramp_provider.operators.deliver import LiveRampDeliverOperator
from liveramp_provider.operators.enrich import LiveRampEnrichOperator
from liveramp_provider.operators.extract import LiveRampExtractOperator
from liveramp_provider.operators.preflight import LiveRampPreflightOperator

AUDIENCES = Path(__file__).parents[1] / "dags" / "audiences"
audience = load_audience(AUDIENCES / "high_value_customers.yaml")

with DAG(
    dag_id="high_value_customers_by_hand",
    # The run after midnight delivers the day before.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="America/New_York", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"),
    catchup=False,
    max_active_runs=1,
    params={"snapshot_date": None},
    default_args={"retries": 3},
) as dag:
    preflight = LiveRampPreflightOperator(task_id="preflight", audience=audience)
    extract = LiveRampExtractOperator(task_id="extract", audience=audience)
    enrich = LiveRampEnrichOperator(task_id="enrich", audience=audience, membership=extract.output)
    build = LiveRampBuildOperator(task_id="build", audience=audience, destination="liveramp", profiles=enrich.output)
    # The PII file only; without a task, the Device file is built and stays.
    deliver = LiveRampDeliverOperator(
        task_id="deliver", audience=audience, destination="liveramp", slot="PII", files=build.output
    )
    preflight >> extract
