"""The S3 transport against a fake that holds to S3's rules: every fault ends with one whole file, or says why not."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from botocore.retries.standard import ExponentialBackoff
from moto.server import ThreadedMotoServer

from liveramp_provider.core.errors import (
    CredentialsError,
    DeliveryInDoubtError,
    LiveRampError,
    RemoteFolderError,
    SealBrokenError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports import s3 as transport_module
from liveramp_provider.core.transports import s3_wire
from liveramp_provider.core.transports.s3 import S3Transport
from liveramp_provider.testing import FakeS3, Fault
from tests.deliveries import NAME, Delivering, s3_client, sealed_file, way_to_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.testing.s3.faults import Call

KEY = f"drop/{NAME}"
CONTENT = random.Random(7).randbytes(300_000)
PARTS: dict[Call, int] = {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    pauses = {code: (0,) * len(seconds) for code, seconds in transport_module._PAUSES_S.items()}
    monkeypatch.setattr(transport_module, "_PAUSES_S", pauses)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is larger than one request takes, and goes in three parts."""
    monkeypatch.setattr(transport_module, "MAX_PUT_BYTES", len(CONTENT) - 1)
    monkeypatch.setattr(transport_module, "PART_BYTES", 140_000)


@pytest.fixture(params=["at once", "in parts"])
def either_way(request: pytest.FixtureRequest) -> str:
    """The file goes by one request, or in three parts."""
    if request.param == "in parts":
        request.getfixturevalue("in_parts")
    return str(request.param)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[FakeS3]:
    with FakeS3(tmp_path / "s3", smallest_part_bytes=1) as running:
        yield running


@pytest.fixture
def delivering(s3: FakeS3, tmp_path: Path) -> Delivering:
    """A sealed file that is to come into the bucket."""
    return to(s3, tmp_path)


def to(s3: FakeS3, tmp_path: Path, content: bytes = CONTENT) -> Delivering:
    file = sealed_file(tmp_path / "sealed", content)
    return Delivering(file, tmp_path / "ledger" / "ledger.sqlite", f"s3://{s3.bucket_name}/drop", way_to_s3(s3))


def creating(way: str) -> Call:
    """The call that makes the object appear."""
    return "PutObject" if way == "at once" else "CompleteMultipartUpload"


def put_as_somebody_else(s3: FakeS3) -> None:
    s3_client(
        endpoint_url=s3.endpoint_url, aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key
    ).put_object(Bucket=s3.bucket_name, Key=KEY, Body=b"somebody's")


# All is well.


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 20_000_000])
def test_one_request(size: int, s3: FakeS3, tmp_path: Path) -> None:
    """Whatever its size, the file arrives whole by one request and no other, and S3 has checked its SHA-256 (E1)."""
    content = random.Random(size).randbytes(size)
    receipt = to(s3, tmp_path, content).deliver()
    assert s3.objects() == {KEY: content}
    assert (receipt.evidence, s3.calls) == ("E1", {"PutObject": 1})
    assert list(s3.versions(KEY)[0].checksums) == ["x-amz-checksum-sha256"]


def test_a_prefix_of_several_folders(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """All that follows the bucket is the prefix."""
    assert delivering.deliver(folder=f"{delivering.path}/us/vip").sent_now
    assert s3.objects() == {f"drop/us/vip/{NAME}": CONTENT}


@pytest.mark.usefixtures("in_parts")
def test_parts(delivering: Delivering, s3: FakeS3) -> None:
    """What one request does not take goes in parts, and nothing else is asked or left behind."""
    receipt = delivering.deliver()
    assert (s3.objects(), s3.unfinished) == ({KEY: CONTENT}, ())
    assert (receipt.evidence, s3.calls) == ("E1", PARTS)


def test_key_of_kms(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """The key of the audience file encrypts the object."""
    delivering.transport = way_to_s3(s3, kms_key_id="alias/drop")
    delivering.deliver()
    assert s3.versions(KEY)[0].encryption == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/drop",
    }


def test_the_bucket_decides_on_encryption(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """Without a key in the audience file, nothing is said of encryption."""
    delivering.deliver()
    assert s3.versions(KEY)[0].encryption == {}


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Delivering]:
    """A sealed file of 11 MiB that is to come into a bucket of moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    connect = partial(
        s3_client,
        endpoint_url="http://{}:{}".format(*server.get_host_and_port()),
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    bucket = tmp_path.name.replace("_", "-")  # all of moto's servers share their buckets
    connect().create_bucket(Bucket=bucket)
    file = sealed_file(tmp_path / "sealed", random.Random(3).randbytes(11 * MIB))
    yield Delivering(file, tmp_path / "ledger.sqlite", f"s3://{bucket}/in", S3Transport(connect=connect))
    server.stop()


def stored(moto: Delivering) -> bytes:
    assert isinstance(moto.transport, S3Transport)
    bucket = moto.path.split("/")[2]
    return bytes(moto.transport.connect().get_object(Bucket=bucket, Key=f"in/{NAME}")["Body"].read())


def test_moto_agrees(moto: Delivering) -> None:
    """An S3 that is not ours takes the file as well, once."""
    assert moto.deliver().evidence == "E1"
    assert stored(moto) == moto.file.path.read_bytes()
    moto.ledger_file.unlink()
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        moto.deliver()


def test_moto_agrees_on_parts(moto: Delivering, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes the same bytes of the parts. That it tells a digest of the parts' digests instead is no proof for us."""
    monkeypatch.setattr(transport_module, "MAX_PUT_BYTES", 10 * MIB)
    monkeypatch.setattr(transport_module, "PART_BYTES", 5 * MIB)
    with pytest.raises(DeliveryInDoubtError, match="without confirming its digest"):
        moto.deliver()
    assert stored(moto) == moto.file.path.read_bytes()


# What goes wrong on the way.


@pytest.mark.parametrize(
    ("fault", "times", "evidence"),
    [
        (Fault.CUT_BODY, 2, "E1"),
        (Fault.FLIPPED_BIT, 2, "E1"),
        (Fault.INTERNAL_ERROR, 2, "E1"),
        (Fault.SLOW_DOWN, 2, "E1"),
        (Fault.CONFLICT, 4, "E1"),
        (Fault.STALL, 1, "E1"),
        (Fault.LOST_ANSWER, 1, "C"),
        (Fault.LOST_ANSWER, 2, "C"),
        (Fault.LATE_ERROR, 1, "C"),
    ],
)
def test_what_passes_is_repeated(
    fault: Fault, times: int, evidence: str, either_way: str, delivering: Delivering, s3: FakeS3
) -> None:
    """One try gets over it, one object arrives once, and the receipt says how that is known."""
    s3.misbehave(fault, times, call=creating(either_way))
    receipt = delivering.deliver()
    assert s3.objects() == {KEY: CONTENT}
    assert len(s3.versions(KEY)) == 1
    # The request that completes parts has no digest of its own.
    assert receipt.evidence == ("E1" if fault is Fault.FLIPPED_BIT else evidence)


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart"])
@pytest.mark.parametrize("fault", [Fault.CUT_BODY, Fault.FLIPPED_BIT, Fault.SLOW_DOWN, Fault.LOST_ANSWER, Fault.STALL])
@pytest.mark.usefixtures("in_parts")
def test_a_part_is_repeated(fault: Fault, call: Call, delivering: Delivering, s3: FakeS3) -> None:
    """A fault before the parts are completed costs a request, and no more."""
    s3.misbehave(fault, call=call)
    assert delivering.deliver().evidence == "E1"
    assert s3.objects() == {KEY: CONTENT}
    assert s3.calls["CompleteMultipartUpload"] == 1


@pytest.mark.parametrize(
    ("fault", "times"),
    [(Fault.FLIPPED_BIT, 3), (Fault.SLOW_DOWN, 3), (Fault.CONFLICT, 5), (Fault.EXPIRED_TOKEN, 1)],
)
def test_what_does_not_pass(fault: Fault, times: int, delivering: Delivering, s3: FakeS3) -> None:
    """When it goes on, the try fails with nothing there; the next one delivers."""
    s3.misbehave(fault, times)
    with pytest.raises(TransportError):
        delivering.deliver()
    assert (s3.objects(), delivering.recorded().state) == ({}, State.SEALED)
    assert delivering.deliver(holder="run 2").evidence == "E1"
    assert s3.objects() == {KEY: CONTENT}


@pytest.mark.parametrize(
    ("fault", "evidence"),
    [(Fault.LOST_ANSWER, "C"), (Fault.LATE_ERROR, "C"), (Fault.STALL, "E1"), (Fault.INTERNAL_ERROR, "E1")],
)
def test_nothing_heard_of_a_whole_try(
    fault: Fault, evidence: str, either_way: str, delivering: Delivering, s3: FakeS3
) -> None:
    """What the next try finds tells what became of one that heard nothing; never are there two versions."""
    s3.misbehave(fault, 20, call=creating(either_way))
    with pytest.raises(TransportError):
        delivering.deliver()
    assert delivering.recorded().state is State.INTENT
    s3.faults = type(s3.faults)()
    assert delivering.deliver(holder="run 2").evidence == evidence
    assert s3.objects() == {KEY: CONTENT}
    assert len(s3.versions(KEY)) == 1


@pytest.mark.parametrize("fault", [Fault.CUT_BODY, Fault.FLIPPED_BIT, Fault.SLOW_DOWN, Fault.CONFLICT])
def test_a_refused_request_makes_nothing_ours(fault: Fault, s3: FakeS3, tmp_path: Path) -> None:
    """Where the requests before cannot have come through, an object of that name is somebody else's."""
    s3.misbehave(fault)
    _put_while_it_is_repeated(s3)
    # Of a small file nobody can tell which bytes left this machine.
    delivering = to(s3, tmp_path, random.Random(5).randbytes(30 * MIB))
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        delivering.deliver()
    assert s3.objects() == {KEY: b"somebody's"}
    assert delivering.recorded().state is State.IN_DOUBT


def _put_while_it_is_repeated(s3: FakeS3) -> None:
    """Put somebody else's object behind the fake's own back, as soon as its next fault has struck."""
    planned = s3.faults.next

    def then_put(call: Call) -> Fault | None:
        fault = planned(call)
        if fault is None and not s3.objects():
            s3.faults.next = planned  # type: ignore[method-assign]
            put_as_somebody_else(s3)
        return fault

    s3.faults.next = then_put  # type: ignore[method-assign]


def test_a_lost_ledger(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """Without its ledger a delivery does not know its own object, and says so instead of sending it again."""
    delivering.deliver()
    delivering.ledger_file.unlink()
    with pytest.raises(DeliveryInDoubtError, match="there is another file"):
        delivering.deliver()
    assert len(s3.versions(KEY)) == 1


def test_digest_not_confirmed(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """An S3 that does not say which digest it checked has proven nothing: a person has to look."""
    s3.misbehave(Fault.NO_CHECKSUM, call=creating(either_way))
    with pytest.raises(DeliveryInDoubtError, match="without confirming its digest"):
        delivering.deliver()
    assert delivering.recorded().state is State.IN_DOUBT


@dataclass
class Wrong:
    """Something that a person has to correct."""

    fault: Fault | None
    client: dict[str, str | None]
    expected: type[LiveRampError]
    told: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(Fault.DENIED, {}, RemoteFolderError, "does not let us put objects into s3://"),
        Wrong(None, {"aws_access_key_id": "AKIASTRANGER"}, CredentialsError, "InvalidAccessKeyId"),
        Wrong(None, {"aws_secret_access_key": "wrong"}, CredentialsError, "SignatureDoesNotMatch"),
        Wrong(Fault.EXPIRED_TOKEN, {}, TransportError, "the credentials have expired"),
        Wrong(Fault.SKEWED_CLOCK, {}, TransportError, "this worker's clock is wrong"),
    ],
    ids=lambda wrong: wrong.told,
)
def test_refusals_are_told(wrong: Wrong, delivering: Delivering, s3: FakeS3) -> None:
    """What S3 refuses is an error that says what to correct; nothing is there, and the delivery stands as before."""
    if wrong.fault:
        s3.misbehave(wrong.fault)
    delivering.transport = way_to_s3(s3, **wrong.client)
    with pytest.raises(wrong.expected, match=wrong.told):
        delivering.deliver()
    assert (s3.objects(), delivering.recorded().state) == ({}, State.SEALED)


@pytest.mark.parametrize(("call", "state"), [("CreateMultipartUpload", State.SEALED), ("UploadPart", State.UPLOADING)])
@pytest.mark.usefixtures("in_parts")
def test_refusals_before_an_object_can_be_there(call: Call, state: State, delivering: Delivering, s3: FakeS3) -> None:
    """What S3 refuses before the parts become an object is no doubt, and the next try sends anew."""
    s3.misbehave(Fault.DENIED, call=call)
    with pytest.raises(RemoteFolderError, match="does not let us put objects"):
        delivering.deliver()
    assert (s3.objects(), delivering.recorded().state) == ({}, state)
    assert delivering.deliver().sent_now
    assert s3.objects() == {KEY: CONTENT}


def test_bucket_that_does_not_exist(delivering: Delivering, s3: FakeS3) -> None:
    """A bucket that is not there is a fault of the audience file."""
    with pytest.raises(RemoteFolderError, match="the bucket of s3://elsewhere/drop does not exist"):
        delivering.deliver(folder="s3://elsewhere/drop")


def test_check_asks_nothing(s3: FakeS3, caplog: pytest.LogCaptureFixture) -> None:
    """Before the upload it is only known that there are credentials, and that is what is said."""
    caplog.set_level("INFO")
    way_to_s3(s3).check(f"s3://{s3.bucket_name}/drop")
    assert s3.calls == {}
    assert "only the upload can tell" in caplog.text


def test_no_credentials(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any credentials the check fails, before anything is read."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    import boto3

    bare = S3Transport(connect=lambda: boto3.session.Session().client("s3", endpoint_url=s3.endpoint_url))
    with pytest.raises(CredentialsError, match=f"^s3://{s3.bucket_name}/drop: no credentials"):
        bare.check(f"s3://{s3.bucket_name}/drop")


# The file itself.


def test_file_rebuilt_before_anything_was_sent(delivering: Delivering, s3: FakeS3) -> None:
    """As long as nothing can be there, the newest file counts."""
    s3.misbehave(Fault.DENIED)
    with pytest.raises(RemoteFolderError):
        delivering.deliver()
    rebuilt = sealed_file(delivering.file.path.with_name("rebuilt"), b"rebuilt", rows=40, members=40)
    assert delivering.deliver(rebuilt).rows == 40
    assert s3.objects() == {KEY: b"rebuilt"}


def test_file_rebuilt_after_something_may_have_arrived(delivering: Delivering, s3: FakeS3) -> None:
    """Other bytes are never sent for a delivery whose first bytes may be there."""
    s3.misbehave(Fault.LOST_ANSWER, 3)
    with pytest.raises(TransportError):
        delivering.deliver()
    calls = s3.calls
    with pytest.raises(
        DeliveryInDoubtError, match=r"^s3:.* try had begun, and nobody can know whether LiveRamp has this"
    ):
        delivering.deliver(sealed_file(delivering.file.path.with_name("rebuilt"), b"rebuilt"))
    assert (s3.objects(), s3.calls) == ({KEY: CONTENT}, calls)


def test_bytes_that_change_while_they_are_sent(either_way: str, delivering: Delivering, s3: FakeS3) -> None:
    """Other bytes than those that were sealed never become an object."""
    claim = delivering.claim()
    delivering.file.path.write_bytes(CONTENT[::-1])
    with pytest.raises(TransportError if either_way == "at once" else SealBrokenError):
        delivering.transport.send(delivering.file.path, claim)
    assert s3.objects() == {}


def test_a_long_upload_keeps_its_lease(delivering: Delivering, monkeypatch: pytest.MonkeyPatch) -> None:
    """While bytes flow, the ledger is told that the work goes on."""
    monkeypatch.setattr(s3_wire, "_RENEW_EVERY_S", -1)
    claim, leases = delivering.claim(), []
    monkeypatch.setattr(type(claim), "renew", lambda self: leases.append(self.delivery.state))
    delivering.transport.send(delivering.file.path, claim)
    assert set(leases) == {State.INTENT}
