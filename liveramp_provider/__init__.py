"""Airflow provider that delivers audiences to LiveRamp: extract, enrich, build, deliver."""

__version__ = "0.1.0"
