"""The real DAG through Airflow, into the bucket of LiveRamp in a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liveramp_provider.testing import Fault
from tests.airflow.conftest import CANARY, FOLDER
from tests.airflow.test_runs import DEVICE, PII, returned_by

if TYPE_CHECKING:
    from liveramp_provider.testing import LiveRampBox
    from tests.airflow.conftest import Installation


@pytest.fixture
def by_s3(installation: Installation, box: LiveRampBox) -> None:
    """The audience file and a connection that lead to the box's bucket."""
    installation.edit(f"path: {FOLDER}", f"path: s3://{box.s3.bucket_name}{FOLDER}\n    kms_key_id: alias/drop")
    installation.edit("conn_id: liveramp_default", "conn_id: aws_liveramp")
    installation.connect("aws_liveramp", box.s3.connection_json())


@pytest.mark.usefixtures("by_s3")
def test_delivers_once_whatever_becomes_of_the_answers(installation: Installation, box: LiveRampBox) -> None:
    """Both files are ingested, once, by two requests and the one whose answer was lost; a rerun asks for nothing."""
    box.s3.misbehave(Fault.LOST_ANSWER)
    first = installation.run()
    calls, versions = box.s3.calls, [box.s3.versions(f"{FOLDER[1:]}/{name}") for name in (PII, DEVICE)]
    second = installation.run()

    assert set(first.tasks.values()) == set(second.tasks.values()) == {"success"}
    assert {(file.name, file.status, file.problems) for file in box.files()} == {
        (PII, "ingested", ()),
        (DEVICE, "ingested", ()),
    }
    assert (calls, box.s3.calls) == ({"PutObject": 3}, {"PutObject": 3})
    assert [len(written) for written in versions] == [1, 1]
    assert versions[0][0].encryption["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/drop"
    assert sorted(returned_by(f"liveramp.deliver_{slot}")["evidence"] for slot in ("PII", "D")) == ["C", "E1"]
    assert CANARY["customer_id"] in box.members("PII")
    assert installation.leaks() == []
    assert installation.left_over() == []
