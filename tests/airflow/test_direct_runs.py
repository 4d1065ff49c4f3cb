"""The real DAG through Airflow, to a receiver that is written to directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.conftest import FOLDER
from tests.airflow.test_runs import DEVICE, PII, returned_by

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox
    from tests.airflow.conftest import Installation


def test_written_directly(installation: Installation, box: LiveRampBox) -> None:
    """Where the audience file says so, both files arrive without a rename, and the receipts say it."""
    installation.edit(f"path: {FOLDER}", f"path: {FOLDER}\n    upload: direct")
    outcome = installation.run()

    assert set(outcome.tasks.values()) == {"success"}
    assert [returned_by(f"liveramp.deliver_{slot}")["evidence"] for slot in ("PII", "D")] == ["E5", "E5"]
    assert {(file.name, file.status) for file in box.files()} == {(PII, "ingested"), (DEVICE, "ingested")}
    assert installation.leaks() == []
