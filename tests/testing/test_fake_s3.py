"""The fake S3 by itself, with boto3: it holds to S3's rules, and misbehaves only as it was told."""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ReadTimeoutError

from liveramp_provider.testing import FakeS3, Fault
from liveramp_provider.testing.s3 import PUT_OBJECT

KEY = "drop/people.csv"
CONTENT = bytes(range(256)) * 1_000
ONCE = {"total_max_attempts": 1}
SESSION = boto3.session.Session()  # reads the models of S3 once


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def client(s3: FakeS3, **changes: Any) -> Any:
    """A boto3 client of `s3` that tries once and waits for a second at most."""
    options = {
        "endpoint_url": s3.endpoint_url,
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "region_name": "us-east-1",
        "config": Config(retries=ONCE, read_timeout=1, connect_timeout=1),
    }
    return SESSION.client("s3", **options | changes)


def put(s3: FakeS3, content: bytes = CONTENT, key: str = KEY, **options: Any) -> dict[str, Any]:
    return client(s3).put_object(Bucket=s3.bucket_name, Key=key, Body=content, **options)


def put_new(s3: FakeS3, content: bytes = CONTENT, **options: Any) -> dict[str, Any]:
    return put(s3, content, IfNoneMatch="*", ChecksumSHA256=sha256(content), **options)


def told(error: ClientError) -> tuple[int, str]:
    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[FakeS3]:
    with FakeS3(tmp_path / "s3", smallest_part_bytes=1000) as running:
        yield running


def test_object_is_stored_and_its_digest_said(s3: FakeS3) -> None:
    """What is put is there, and the answer repeats the digest that was checked."""
    answer = put_new(s3)
    assert s3.objects() == {KEY: CONTENT}
    assert answer["ChecksumSHA256"] == sha256(CONTENT)
    assert s3.calls == {"PutObject": 1}


def test_objects_survive_a_restart(s3: FakeS3, tmp_path: Path) -> None:
    """A stopped fake that starts again still has its objects, and still refuses a second one of the name."""
    put_new(s3)
    with FakeS3(tmp_path / "s3") as again:
        assert again.objects() == {KEY: CONTENT}
        with pytest.raises(ClientError, match="PreconditionFailed"):
            put_new(again)


def test_every_version_is_kept(s3: FakeS3) -> None:
    """A client that overwrites is seen."""
    put(s3, b"first")
    put(s3, b"second")
    assert [(version.number, version.size_bytes) for version in s3.versions(KEY)] == [(1, 5), (2, 6)]


def test_a_condition_is_kept(s3: FakeS3) -> None:
    """If-None-Match makes a second write a 412, and nothing changes."""
    put_new(s3)
    with pytest.raises(ClientError) as caught:
        put_new(s3, b"other")
    assert told(caught.value) == (412, "PreconditionFailed")
    assert s3.objects() == {KEY: CONTENT}


@pytest.mark.parametrize(
    "wrong", [{"ChecksumSHA256": sha256(b"x")}, {"ChecksumCRC32": crc32(b"x")}, {"ContentMD5": "A" * 22 + "=="}]
)
def test_a_wrong_digest_is_refused(s3: FakeS3, wrong: dict[str, str]) -> None:
    """Bytes that are not those of the digest are not stored."""
    with pytest.raises(ClientError) as caught:
        put(s3, **wrong)
    assert told(caught.value) == (400, "BadDigest")
    assert s3.objects() == {}


def test_boto3s_own_digest_is_checked(s3: FakeS3) -> None:
    """Without a digest of the caller's, boto3 sends a CRC32, which counts."""
    assert put(s3)["ChecksumCRC32"] == crc32(CONTENT)


def test_encryption_is_recorded(s3: FakeS3) -> None:
    """The key that a client asked for stands in the version."""
    put(s3, ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/drop")
    (version,) = s3.versions(KEY)
    assert version.encryption == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/drop",
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aws_access_key_id": "AKIASTRANGER"}, "InvalidAccessKeyId"),
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_strangers_are_refused(s3: FakeS3, change: dict[str, str], code: str) -> None:
    """Who has not the keys stores nothing."""
    with pytest.raises(ClientError) as caught:
        client(s3, **change).put_object(Bucket=s3.bucket_name, Key=KEY, Body=CONTENT)
    assert told(caught.value) == (403, code)
    assert s3.objects() == {}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("head_object", {"Key": KEY}),
        ("get_object", {"Key": KEY}),
        ("delete_object", {"Key": KEY}),
        ("head_bucket", {}),
        ("list_objects_v2", {}),
        ("abort_multipart_upload", {"Key": KEY, "UploadId": "x"}),
        ("list_parts", {"Key": KEY, "UploadId": "x"}),
    ],
)
def test_only_writing_is_allowed(s3: FakeS3, call: str, arguments: dict[str, str]) -> None:
    """Credentials that may put objects may not look, list, remove or abort; the call is counted all the same."""
    with pytest.raises(ClientError) as caught:
        getattr(client(s3), call)(Bucket=s3.bucket_name, **arguments)
    assert told(caught.value)[0] == 403
    assert sum(s3.calls.values()) == 1


def test_other_buckets_and_prefixes(tmp_path: Path) -> None:
    """Another bucket is not there, and outside the prefix nothing may be put."""
    with FakeS3(tmp_path / "s3", prefix="drop/") as s3:
        with pytest.raises(ClientError, match="AccessDenied"):
            put(s3, key="elsewhere/people.csv")
        with pytest.raises(ClientError, match="NoSuchBucket"):
            client(s3).put_object(Bucket="another", Key=KEY, Body=CONTENT)
        assert s3.objects() == {}


# In parts.


def parts_of(content: bytes, size: int = 100_000) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def upload(s3: FakeS3, parts: list[bytes]) -> tuple[str, list[dict[str, Any]]]:
    """The id of an upload of these parts, and what completes it."""
    there = {"Bucket": s3.bucket_name, "Key": KEY}
    made = client(s3).create_multipart_upload(**there, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    order = []
    for number, part in enumerate(parts, 1):
        there_part = there | {"UploadId": made["UploadId"], "PartNumber": number}
        answer = client(s3).upload_part(**there_part, Body=part, ChecksumCRC32=crc32(part))
        order.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
    return made["UploadId"], order


def complete(s3: FakeS3, upload_id: str, order: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    there = {"Bucket": s3.bucket_name, "Key": KEY, "UploadId": upload_id}
    return client(s3).complete_multipart_upload(**there, MultipartUpload={"Parts": order}, **options)


def test_upload_in_parts(s3: FakeS3) -> None:
    """Parts are no object; completed, they are one, and the digest of the whole is said."""
    upload_id, order = upload(s3, parts_of(CONTENT))
    assert (s3.objects(), s3.unfinished) == ({}, (upload_id,))
    answer = complete(s3, upload_id, order, IfNoneMatch="*", ChecksumCRC32=crc32(CONTENT), ChecksumType="FULL_OBJECT")
    assert (s3.objects(), s3.unfinished) == ({KEY: CONTENT}, ())
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (crc32(CONTENT), "FULL_OBJECT")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ChecksumCRC32": crc32(b"x"), "ChecksumType": "FULL_OBJECT"}, (400, "BadDigest")),
        ({"MpuObjectSize": 7}, (400, "InvalidRequest")),
        ({"upload_id": "unheard-of"}, (404, "NoSuchUpload")),
        ({"order": "backwards"}, (400, "InvalidPartOrder")),
        ({"order": "another part"}, (400, "InvalidPart")),
        ({"parts": parts_of(CONTENT[:10], size=5)}, (400, "EntityTooSmall")),
    ],
    ids=str,
)
def test_wrong_completions(s3: FakeS3, change: dict[str, Any], expected: tuple[int, str]) -> None:
    """Parts that are not what was announced become no object."""
    upload_id, order = upload(s3, change.pop("parts", parts_of(CONTENT)))
    twisted = {"backwards": order[::-1], "another part": [order[0] | {"ETag": '"x"'}]}
    order = twisted.get(change.pop("order", ""), order)
    with pytest.raises(ClientError) as caught:
        complete(s3, change.pop("upload_id", upload_id), order, **change)
    assert told(caught.value) == expected
    assert s3.objects() == {}


def test_a_completion_keeps_the_condition(s3: FakeS3) -> None:
    """An object that came meanwhile is not replaced."""
    upload_id, order = upload(s3, parts_of(CONTENT))
    put(s3, b"somebody's")
    with pytest.raises(ClientError) as caught:
        complete(s3, upload_id, order, IfNoneMatch="*")
    assert told(caught.value) == (412, "PreconditionFailed")
    assert s3.objects() == {KEY: b"somebody's"}


def test_abort_where_it_is_allowed(tmp_path: Path) -> None:
    """Credentials that may abort leave nothing behind."""
    with FakeS3(tmp_path / "s3", allowed=PUT_OBJECT | {"AbortMultipartUpload"}) as s3:
        upload_id, _ = upload(s3, [CONTENT])
        client(s3).abort_multipart_upload(Bucket=s3.bucket_name, Key=KEY, UploadId=upload_id)
        assert s3.unfinished == ()


# What it can be told to do wrong.


@pytest.mark.parametrize(
    "fault",
    [
        Fault.INTERNAL_ERROR,
        Fault.SLOW_DOWN,
        Fault.CONFLICT,
        Fault.DENIED,
        Fault.EXPIRED_TOKEN,
        Fault.SKEWED_CLOCK,
    ],
)
def test_refusals(s3: FakeS3, fault: Fault) -> None:
    """As often as it was told, it says no in S3's words and stores nothing; then it works."""
    s3.misbehave(fault, times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            put_new(s3)
        assert "{} {}".format(*told(caught.value)) == fault
        assert s3.objects() == {}
    put_new(s3)
    assert s3.objects() == {KEY: CONTENT}


def test_cut_body(s3: FakeS3) -> None:
    """The line is dead half-way, and nothing is stored."""
    s3.misbehave(Fault.CUT_BODY)
    with pytest.raises(HTTPClientError):
        put_new(s3)
    assert s3.objects() == {}


def test_flipped_bit(s3: FakeS3) -> None:
    """A bit that changes on its way is found by the digest."""
    s3.misbehave(Fault.FLIPPED_BIT)
    with pytest.raises(ClientError, match="BadDigest"):
        put_new(s3)
    assert s3.objects() == {}


@pytest.mark.parametrize(("fault", "error"), [(Fault.LOST_ANSWER, BotoCoreError), (Fault.LATE_ERROR, ClientError)])
def test_stored_but_not_told(s3: FakeS3, fault: Fault, error: type[Exception]) -> None:
    """The object is there although the client was told nothing, or an error."""
    s3.misbehave(fault)
    with pytest.raises(error):
        put_new(s3)
    assert s3.objects() == {KEY: CONTENT}


def test_stall(s3: FakeS3) -> None:
    """It says nothing until the client gives up, and has stored nothing."""
    s3.misbehave(Fault.STALL)
    with pytest.raises(ReadTimeoutError):
        put_new(s3)
    assert s3.objects() == {}


def test_condition_forgotten(s3: FakeS3) -> None:
    """A server that does not know If-None-Match overwrites."""
    put_new(s3, b"somebody's")
    s3.misbehave(Fault.NO_CONDITION)
    put_new(s3)
    assert [version.number for version in s3.versions(KEY)] == [1, 2]


def test_digest_not_said(s3: FakeS3) -> None:
    """A server that does not know digests says none."""
    s3.misbehave(Fault.NO_CHECKSUM)
    assert "ChecksumSHA256" not in put_new(s3)


def test_held_write_makes_others_wait(s3: FakeS3) -> None:
    """While one conditional write is under way, another one is told to come back."""
    s3.misbehave(Fault.HOLD)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(put_new, s3)
        assert s3.held.wait(10)
        with pytest.raises(ClientError) as caught:
            put_new(s3, b"other")
        s3.go_on.set()
        held.result()
    assert told(caught.value) == (409, "ConditionalRequestConflict")
    assert s3.objects() == {KEY: CONTENT}


def test_stopping_cuts_those_who_wait(tmp_path: Path) -> None:
    """A client whose answer never comes is set free when the server stops."""
    with ThreadPoolExecutor() as pool:
        with FakeS3(tmp_path / "s3") as s3:
            s3.misbehave(Fault.STALL)
            patient = client(s3, config=Config(retries=ONCE, read_timeout=60))
            stuck = pool.submit(patient.put_object, Bucket=s3.bucket_name, Key=KEY, Body=CONTENT)
            while not s3.calls:
                time.sleep(0.01)
        with pytest.raises(HTTPClientError):
            stuck.result(timeout=10)
