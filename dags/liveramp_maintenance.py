"""Once a day: remove what is staged longer than `[liveramp] keep_days`, and what killed workers left."""

import pendulum
from airflow.sdk import DAG

from liveramp_provider.operators.retention import LiveRampRetentionOperator

with DAG(
    dag_id="liveramp_maintenance",
    dag_display_name="LiveRamp: remove what is staged too long",
    schedule="30 4 * * *",
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["liveramp"],
    doc_md=__doc__,
) as dag:
    LiveRampRetentionOperator(task_id="remove_old")
