"""What the example of an own source and an own score brings along; lies beside the DAGs, where Airflow imports it."""
