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

By S3: deliver to ``s3://<box.s3.bucket_name>/uploads/…`` through ``box.s3.connection_json()``; `Fault` is what the S3
server can be told to do wrong.

The box is an independent check: it shares no code with the rest of the provider. It is strict on purpose. Where the
real LiveRamp would take a file and silently match nobody, the box rejects the file and says why.
"""

from liveramp_provider.testing.box import LiveRampBox
from liveramp_provider.testing.events import EventsFault, FakeEventsEndpoint
from liveramp_provider.testing.liveintent import FakeLiveIntent, LiveIntentFault
from liveramp_provider.testing.s3 import FakeS3, Fault
from liveramp_provider.testing.values import LiveRampAudience, ReceivedFile

__all__ = [
    "EventsFault",
    "FakeEventsEndpoint",
    "FakeLiveIntent",
    "FakeS3",
    "Fault",
    "LiveIntentFault",
    "LiveRampAudience",
    "LiveRampBox",
    "ReceivedFile",
]
