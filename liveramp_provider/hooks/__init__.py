"""Hooks: Airflow connections, resolved."""
