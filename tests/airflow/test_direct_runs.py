"""The real DAG through Airflow, to a receiver that is written to directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airflow.conftest import FOLDER
from tests.airflow.test_runs import DEVICE, PII, returned_by

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox
    from tests.airflow.conftest import Installation


def test_what_may_have_arrived_in_part_waits_for_a_person(installation: Installation, box: LiveRampBox) -> None:
    """A line that breaks costs one file a doubt and the other one nothing; nothing is sent twice, nor by a rerun."""
    installation.edit(f"path: {FOLDER}", f"path: {FOLDER}\n    upload: direct")
    box.cut_uploads(1)
    first = installation.run()
    second = installation.run()

    done = [slot for slot in ("PII", "D") if first.tasks[f"liveramp.deliver_{slot}"] == "success"]
    assert [returned_by(f"liveramp.deliver_{slot}")["evidence"] for slot in done] == ["E5"]
    assert first.tasks == second.tasks
    assert sorted(file.status for file in box.files()) == ["ingested", "rejected"]
    assert {file.name for file in box.files()} == {PII, DEVICE}
    assert installation.leaks() == []
