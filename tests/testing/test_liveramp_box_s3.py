"""What arrives in the bucket of LiveRamp in a box is picked up once for every time it is written."""

import boto3

from liveramp_provider.testing import LiveRampBox
from tests.testing.box_client import PII, csv_of, people, pii_name
from tests.testing.conftest import NewBox

PREFIX = PII.folder.lstrip("/")


def put(box: LiveRampBox, name: str, content: bytes) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=box.s3.endpoint_url,
        aws_access_key_id=box.s3.access_key,
        aws_secret_access_key=box.s3.secret_key,
        region_name="us-east-1",
    )
    client.put_object(Bucket=box.s3.bucket_name, Key=f"{PREFIX}/{name}", Body=content)


def test_an_object_is_ingested_when_it_is_put(box: LiveRampBox) -> None:
    """It is read and decided when the client has its answer, by the rules of the folder, and stays in the bucket."""
    content = csv_of(people())
    put(box, pii_name(1), content)
    (file,) = box.files()
    assert (file.status, file.problems, file.rows) == ("ingested", (), 30)
    assert (file.name, file.folder, file.audience) == (pii_name(1), PII.folder, PII.name)
    assert box.s3.objects() == {f"{PREFIX}/{pii_name(1)}": content}
    assert len(box.members(PII.name)) == 30


def test_every_write_is_picked_up(box: LiveRampBox) -> None:
    """Overwriting a key ingests it again: LiveRamp goes by name and time."""
    for _ in range(2):
        put(box, pii_name(1), csv_of(people()))
    assert [file.status for file in box.files()] == ["ingested", "ingested"]


def test_every_object_is_picked_up(box: LiveRampBox) -> None:
    """Markers, manifests and temporary names are files, too, under a prefix."""
    put(box, ".marker", b"")
    put(box, "_SUCCESS", b"")
    assert len(box.files()) == 2
    assert box.members(PII.name) == frozenset()


def test_objects_are_not_read_again_after_a_restart(new_box: NewBox) -> None:
    """What was picked up stays picked up."""
    put(new_box(), pii_name(1), csv_of(people()))
    box = new_box()
    assert len(box.files()) == 1
    assert list(box.s3.objects()) == [f"{PREFIX}/{pii_name(1)}"]
