"""The work itself. Nothing below here imports Airflow."""
