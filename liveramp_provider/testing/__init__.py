"""LiveRamp in a box: a receiver for demos, tests and your own CI.

.. code-block:: python

    audience = LiveRampAudience(
        name="High-value customers-PII",
        folder="/uploads/high_value_customers",
        filename=r"3242_high_value_customers-PII_.*",
        kind="known",
    )
    with LiveRampBox(tmp_path / "liveramp", audiences=[audience]) as box:
        monkeypatch.setenv("AIRFLOW_CONN_LIVERAMP_DEFAULT", box.connection_json())
        ...  # run your DAG
        assert [file.status for file in box.files()] == ["ingested"]

The box is an independent check: it shares no code with the rest of the provider. It is strict on purpose. Where the
real LiveRamp would take a file and silently match nobody, the box rejects the file and says why.
"""

from liveramp_provider.testing.box import LiveRampBox
from liveramp_provider.testing.values import LiveRampAudience, ReceivedFile

__all__ = ["LiveRampAudience", "LiveRampBox", "ReceivedFile"]
