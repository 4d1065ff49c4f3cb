"""The way to S3, request by request: what is asked of S3, and what becomes of every answer."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions as boto
from botocore.hooks import HierarchicalEmitter

from liveramp_provider.core.errors import (
    DeliveryInDoubtError,
    RemoteFolderError,
    SealBrokenError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports import s3 as transport_module
from liveramp_provider.core.transports.s3 import S3Transport
from tests.deliveries import NAME, Delivering, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

CONTENT = b"sealed bytes"
SHA256 = b64encode(hashlib.sha256(CONTENT).digest()).decode()
TARGET = {"Bucket": "drop", "Key": f"us/vip/{NAME}"}


def no(code: str, status: int = 400) -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Asked")


LOST = boto.ReadTimeoutError(endpoint_url="https://s3.example")
DENIED, THERE = no("AccessDenied", 403), no("PreconditionFailed", 412)
CONFLICT, FAILED = no("ConditionalRequestConflict", 409), no("InternalError", 500)
OK = None


def crc32(content: bytes) -> str:
    return b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


@dataclass
class Client:
    """A client of boto3 that keeps what it is asked; `answers` are the next ones to a call, and then all is well."""

    answers: dict[str, list[Exception | None]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    confirms: bool = True
    meta: Any = field(default_factory=lambda: SimpleNamespace(events=HierarchicalEmitter()))

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [wanted for call, wanted in self.asked if call == name]

    def put_object(self, *, Body: Any, **wanted: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self._create("PutObject", Body, {**wanted, "Body": Body.read()})
        return {"ChecksumSHA256": wanted["ChecksumSHA256"]} if self.confirms else {}

    def create_multipart_upload(self, **wanted: Any) -> dict[str, Any]:
        self._asked("CreateMultipartUpload", wanted)
        return {"UploadId": f"upload {len(self.calls('CreateMultipartUpload'))}"}

    def upload_part(self, *, Body: Any, **wanted: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self._asked("UploadPart", {**wanted, "Body": Body.read()})
        return {"ETag": f"tag {wanted['PartNumber']}"}

    def complete_multipart_upload(self, **wanted: Any) -> dict[str, Any]:
        self._create("CompleteMultipartUpload", b"<parts/>", wanted)
        return {"ChecksumCRC32": wanted["ChecksumCRC32"]} if self.confirms else {}

    def abort_multipart_upload(self, **wanted: Any) -> None:
        self._asked("AbortMultipartUpload", wanted)

    def generate_presigned_url(self, *what: Any, **wanted: Any) -> None:
        self._asked("sign", {"what": what, **wanted})

    def _asked(self, call: str, wanted: dict[str, Any]) -> None:
        self.asked.append((call, wanted))
        told = self.answers[call].pop(0) if self.answers.get(call) else None
        if told is not None:
            raise told

    def _create(self, call: str, body: Any, wanted: dict[str, Any]) -> None:
        events, told = self.meta.events, {"ResponseMetadata": {"HTTPStatusCode": 200}}
        events.emit(f"before-send.s3.{call}", request=SimpleNamespace(body=body))
        try:
            self._asked(call, wanted)
        except boto.ClientError as error:
            told = error.response
            raise
        except boto.BotoCoreError:
            told = None
            raise
        finally:
            events.emit(f"response-received.s3.{call}", parsed_response=told)


@dataclass
class Sending:
    """A delivery that is on its way to S3."""

    delivering: Delivering
    client: Client
    slept: list[float]
    kms_key_id: str = ""

    def claim(self, *way: State) -> Claim:
        claim = self.delivering.claim()
        for state in way:
            claim.advance(state)
        return claim

    def send(self, claim: Claim) -> None:
        client: Any = self.client
        S3Transport(connect=lambda: client, kms_key_id=self.kms_key_id).send(self.delivering.file.path, claim)


@pytest.fixture
def sending(tmp_path: Path, ledger_file: Path, monkeypatch: pytest.MonkeyPatch) -> Sending:
    slept: list[float] = []
    nothing: Any = None
    monkeypatch.setattr(transport_module, "sleep", slept.append)
    file = sealed_file(tmp_path / "sealed", CONTENT)
    return Sending(Delivering(file, ledger_file, "s3://drop/us/vip", nothing), Client(), slept)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve bytes are three parts, each read in two pieces or three."""
    monkeypatch.setattr(transport_module, "MAX_PUT_BYTES", 11)
    monkeypatch.setattr(transport_module, "PART_BYTES", 5)
    monkeypatch.setattr(transport_module, "_READ_BYTES", 2)


@pytest.fixture(params=["PutObject", "CompleteMultipartUpload"])
def creates(request: pytest.FixtureRequest) -> str:
    """The request that makes the object appear, of either way."""
    if request.param != "PutObject":
        request.getfixturevalue("in_parts")
    return str(request.param)


@pytest.mark.parametrize(
    ("kms_key_id", "encryption"),
    [("", {}), ("alias/drop", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/drop"})],
)
def test_at_once(
    kms_key_id: str, encryption: dict[str, str], sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request has all the bytes, their digest, and that it may replace nothing; the largest file goes so, too."""
    monkeypatch.setattr(transport_module, "MAX_PUT_BYTES", len(CONTENT))
    sending.kms_key_id = kms_key_id
    claim, before = sending.claim(), datetime.now(UTC)
    sending.send(claim)
    facts = {"ContentLength": 12, "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": SHA256, "IfNoneMatch": "*"}
    assert sending.client.asked == [("PutObject", {**TARGET, **encryption, **facts, "Body": CONTENT})]
    done = claim.delivery
    assert (done.state, done.evidence) == (State.COMMITTED, "E1")
    assert done.committed_at is not None
    assert before <= done.committed_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("kms_key_id", "encryption"),
    [("", {}), ("alias/drop", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/drop"})],
)
@pytest.mark.usefixtures("in_parts")
def test_in_parts(kms_key_id: str, encryption: dict[str, str], sending: Sending) -> None:
    """Every part has its digest, the whole has one, and only the last request may make the object appear."""
    sending.kms_key_id = kms_key_id
    claim = sending.claim()
    sending.send(claim)
    kind = {"ChecksumType": "FULL_OBJECT"}
    parts = [(1, CONTENT[:5]), (2, CONTENT[5:10]), (3, CONTENT[10:])]
    named = [{"PartNumber": n, "ETag": f"tag {n}", "ChecksumCRC32": crc32(part)} for n, part in parts]
    assert sending.client.asked == [
        ("CreateMultipartUpload", {**TARGET, **encryption, **kind, "ChecksumAlgorithm": "CRC32"}),
        *(
            (
                "UploadPart",
                {**TARGET, "UploadId": "upload 1", "PartNumber": n, "ChecksumCRC32": crc32(part), "Body": part},
            )
            for n, part in parts
        ),
        (
            "CompleteMultipartUpload",
            {
                **TARGET,
                **kind,
                "UploadId": "upload 1",
                "MultipartUpload": {"Parts": named},
                "ChecksumCRC32": crc32(CONTENT),
                "MpuObjectSize": 12,
                "IfNoneMatch": "*",
            },
        ),
    ]
    done = claim.delivery
    assert (done.state, done.evidence, done.temp_path) == (State.COMMITTED, "E1", "upload 1")


ANOTHER = ": there is another file of that name, and nobody can know"
INTENT = (State.INTENT,)


@pytest.mark.parametrize(
    ("way", "answers", "error", "state"),
    [
        ((), [THERE], DeliveryInDoubtError, State.IN_DOUBT),
        ((), [LOST], TransportError, State.INTENT),
        ((), [FAILED], TransportError, State.INTENT),
        ((), [DENIED], RemoteFolderError, State.SEALED),
        ((), [CONFLICT, THERE], DeliveryInDoubtError, State.IN_DOUBT),
        (INTENT, [DENIED], RemoteFolderError, State.INTENT),
        (INTENT, [LOST], TransportError, State.INTENT),
        (INTENT, [THERE], None, State.COMMITTED),
    ],
)
def test_every_answer(
    way: tuple[State, ...],
    answers: list[Exception | None],
    error: type[Exception] | None,
    state: State,
    creates: str,
    sending: Sending,
) -> None:
    """What is there may be ours only if some try may have come through; a plain no is none."""
    claim = sending.claim(*way)
    sending.client.answers[creates] = list(answers)
    if error is None:
        sending.send(claim)
        assert claim.delivery.evidence == "C"
        assert claim.delivery.committed_at is not None
    else:
        with pytest.raises(error) as met:
            sending.send(claim)
        assert error is not DeliveryInDoubtError or ANOTHER in str(met.value)
    assert claim.delivery.state is state


@pytest.mark.parametrize(
    ("code", "pauses"),
    [
        ("ConditionalRequestConflict", [1, 2, 4, 8]),
        ("OperationAborted", [1, 2, 4, 8]),
        ("NoSuchUpload", [0]),
        ("BadDigest", [0, 0]),
        ("XAmzContentSHA256Mismatch", [0, 0]),
    ],
)
def test_what_is_repeated(code: str, pauses: list[float], creates: str, sending: Sending) -> None:
    """What passes is asked again, as often as is good for it, and then it is an error and nothing is ours."""
    sending.client.answers[creates] = [no(code)] * (len(pauses) + 1)
    claim = sending.claim()
    with pytest.raises(Exception, match=code):
        sending.send(claim)
    assert (sending.slept, claim.delivery.state) == (pauses, State.SEALED)
    sending.slept.clear()
    sending.client.answers[creates] = [no(code)] * len(pauses)
    sending.send(claim)
    assert (sending.slept, claim.delivery.evidence) == (pauses, "E1")


def test_not_confirmed(creates: str, sending: Sending) -> None:
    """An S3 that does not say which digest it checked has proven nothing."""
    sending.client.confirms = False
    with pytest.raises(DeliveryInDoubtError, match=": S3 stored something without confirming its digest, and nobody "):
        sending.send(sending.claim())


def test_other_bytes_than_those_that_may_be_there(creates: str, sending: Sending) -> None:
    """They are not sent, and nothing is asked."""
    claim = sending.claim(State.INTENT)
    sending.delivering.file.path.write_bytes(b"other bytes!")
    with pytest.raises(DeliveryInDoubtError, match=": the file was built anew after an earlier try had begun, and nob"):
        sending.send(claim)
    assert sending.client.asked == []


@pytest.mark.usefixtures("in_parts")
def test_bytes_that_changed(sending: Sending) -> None:
    """Parts of other bytes than those that were sealed never become an object, and are removed."""
    claim = sending.claim()
    sending.delivering.file.path.write_bytes(b"other bytes!")
    with pytest.raises(SealBrokenError) as broken:
        sending.send(claim)
    assert str(broken.value) == "sealed: the staged bytes changed while they were sent; nothing arrived."
    assert [call for call, _ in sending.client.asked][-1] == "AbortMultipartUpload"
    assert claim.delivery.state is State.UPLOADING


@pytest.mark.parametrize(
    ("call", "answer", "aborted"),
    [
        ("UploadPart", DENIED, True),
        ("UploadPart", LOST, True),
        ("CompleteMultipartUpload", DENIED, True),
        ("CompleteMultipartUpload", LOST, False),
        ("CompleteMultipartUpload", FAILED, False),
    ],
)
@pytest.mark.usefixtures("in_parts")
def test_what_becomes_of_the_parts(call: str, answer: Exception, aborted: bool, sending: Sending) -> None:
    """They are removed, unless they may have become the object; the next try removes those of this one first."""
    sending.client.answers[call] = [answer]
    claim = sending.claim()
    with pytest.raises((RemoteFolderError, TransportError)):
        sending.send(claim)
    removed = {**TARGET, "UploadId": "upload 1"}
    assert sending.client.calls("AbortMultipartUpload") == [removed] * aborted
    sending.client.asked.clear()
    sending.send(claim)
    assert sending.client.asked[0] == ("AbortMultipartUpload", removed)
    assert claim.delivery.state is State.COMMITTED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(DENIED, "AccessDenied"), (LOST, "ReadTimeoutError"), (no("NoSuchUpload", 404), ""), (OK, "")],
)
@pytest.mark.usefixtures("in_parts")
def test_parts_that_stay(
    answer: Exception | None, reason: str, sending: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    """Where they may not be removed, the log names them; where they are gone already, nothing is said."""
    sending.client.answers |= {"UploadPart": [DENIED], "AbortMultipartUpload": [answer]}
    with pytest.raises(RemoteFolderError):
        sending.send(sending.claim())
    said = (
        "deliver: the parts of upload upload 1 stay at s3://drop/us/vip until the bucket's lifecycle rule removes "
        f"them: {reason}"
    )
    assert [line for line in caplog.messages if "parts" in line] == ([said] if reason else [])


def test_check(caplog: pytest.LogCaptureFixture) -> None:
    """A signature is asked for, which nobody is sent, and what is not known is said."""
    caplog.set_level("INFO")
    client: Any = Client()
    S3Transport(connect=lambda: client).check("s3://drop/us/vip")
    assert client.asked == [
        ("sign", {"what": ("put_object",), "Params": {"Bucket": "drop", "Key": "us/vip/"}}),
    ]
    assert caplog.messages == [
        "preflight: s3://drop/us/vip: there are credentials; whether they may write there, only the upload can tell"
    ]
    client.answers["sign"] = [boto.NoCredentialsError()]
    with pytest.raises(Exception, match=r"^s3://drop/us/vip: no credentials"):
        S3Transport(connect=lambda: client).check("s3://drop/us/vip")
