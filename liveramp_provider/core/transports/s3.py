"""Deliver to S3 by writing only: a request creates the object from all of its bytes, or does nothing.

The credentials may put objects and nothing else, so nothing is ever looked up, and whatever lies under the prefix is
taken by the receiver, so nothing but the file is put there. Every request says that it may not replace an object: a
lost answer is settled by asking again, and nobody's file is overwritten.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from botocore import exceptions as boto
from botocore.config import Config

from liveramp_provider.core.errors import SealBrokenError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.progress import step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.transports import freed_on_failure
from liveramp_provider.core.transports.s3_errors import code_of, translated
from liveramp_provider.core.transports.s3_wire import Body, Stretch, Tries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import UploadPartOutputTypeDef

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.progress import Progress

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

#: How long a dead peer is waited for, and how often botocore tries by itself.
CONFIG = Config(connect_timeout=30, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})

#: The largest file that one request takes.
MAX_PUT_BYTES = 5 * 1024**3
#: S3 takes 10,000 parts: more than LiveRamp takes of a file.
PART_BYTES = 128 * 1024**2

_READ_BYTES = 1024**2

# What botocore does not repeat by itself: for each word of S3, the seconds to wait before each further try.
_PAUSES_S = {
    "ConditionalRequestConflict": (1, 2, 4, 8),
    "OperationAborted": (1, 2, 4, 8),
    "NoSuchUpload": (0,),
    "BadDigest": (0, 0),
    "XAmzContentSHA256Mismatch": (0, 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Transport:
    """Writes into buckets.

    :param connect: A client with fresh credentials, best made with :data:`CONFIG`. Its endpoint must keep
        ``If-None-Match``: one that ignores it would overwrite.
    :param kms_key_id: The key that is to encrypt; empty: what the bucket says.
    """

    connect: Callable[[], S3Client] = field(repr=False)
    kms_key_id: str = ""

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`; here only whether there are credentials.

        Who may only put objects cannot look whether they may.
        """
        bucket, _, prefix = _parts(folder)
        with translated(folder):
            # Signing needs credentials and sends nothing.
            target = {"Bucket": bucket, "Key": f"{prefix}/"}
            self.connect().generate_presigned_url("put_object", Params=target)
        log.info(f"preflight: {folder}: there are credentials; whether they may write there, only the upload can tell")

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        folder = claim.delivery.folder
        if claim.delivery.state is State.INTENT and digest_of(file) != claim.delivery.sha256:
            raise claim.doubt("the file was built anew after an earlier try had begun, and nobody can know")
        with freed_on_failure(claim), translated(folder):
            client = self.connect()
            with step(f"deliver: uploading {claim.delivery.name}", unit="bytes", total=claim.delivery.size_bytes) as on:
                _Sending(client=client, file=file, claim=claim, progress=on, kms_key_id=self.kms_key_id).send()


@dataclass(slots=True, kw_only=True)
class _Sending:
    """One try to create one object."""

    client: S3Client
    file: Path
    claim: Claim
    progress: Progress
    kms_key_id: str
    tries: Tries = field(default_factory=Tries)

    def send(self) -> None:
        """Bring the claim to COMMITTED."""
        create = self._at_once
        if self.claim.delivery.size_bytes > MAX_PUT_BYTES:
            create = self._in_parts
            self._abort(self.claim.delivery.temp_path)
        earlier_try_may_have = self.claim.delivery.state is State.INTENT
        try:
            with self.tries.watched(self.client):
                confirmed = _repeated(create)
        except (boto.BotoCoreError, boto.ClientError) as error:
            is_there = isinstance(error, boto.ClientError) and code_of(error) == "PreconditionFailed"
            if earlier_try_may_have or self.tries.unanswered:
                if not is_there:
                    raise
                self._commit("C")
                return
            if is_there:
                raise self.claim.doubt("there is another file of that name, and nobody can know") from None
            # A plain no: what comes to be there from now on was not put by us.
            if self.claim.delivery.state is State.INTENT:
                self.claim.advance(State.SEALED)
            raise
        if not confirmed:
            raise self.claim.doubt("S3 stored something without confirming its digest, and nobody can know")
        self._commit("E1")

    def _commit(self, evidence: str) -> None:
        self.claim.advance(State.COMMITTED, evidence=evidence, committed_at=datetime.now(UTC))

    def _at_once(self) -> bool:
        """Create the object by one request; returns whether S3 confirmed its SHA-256."""
        delivery = self.claim.delivery
        due = b64encode(bytes.fromhex(delivery.sha256)).decode("ascii")
        with self._body(0, delivery.size_bytes) as body:
            self.claim.advance(State.INTENT)
            answer = self.client.put_object(
                **self._target,
                **self._encryption,
                Body=body,
                ContentLength=delivery.size_bytes,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=due,
                IfNoneMatch="*",
            )
        return answer.get("ChecksumSHA256") == due

    def _in_parts(self) -> bool:
        """Create the object from parts; returns whether S3 confirmed the CRC-32 of the whole.

        SHA-256 is not among the digests that S3 works out over parts. What is read is held against the seal instead.
        """
        opened = self.client.create_multipart_upload(
            **self._target, **self._encryption, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        upload = opened["UploadId"]
        state = self.claim.delivery.state
        self.claim.advance(State.UPLOADING if state is State.SEALED else state, temp_path=upload)
        try:
            parts, due = self._upload_parts(upload)
            self.claim.advance(State.INTENT)
            answer = self.client.complete_multipart_upload(
                **self._target,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                ChecksumCRC32=due,
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=self.claim.delivery.size_bytes,
                IfNoneMatch="*",
            )
        except BaseException:
            # While nobody knows whether it was completed, it is left to itself.
            if not self.tries.unanswered:
                self._abort(upload)
            raise
        return answer.get("ChecksumCRC32") == due

    def _upload_parts(self, upload: str) -> tuple[list[Any], str]:
        """Send all parts; returns what names them, and the CRC-32 of the whole.

        :raises SealBrokenError: The bytes were not those that were sealed.
        """
        sha256, whole, parts = hashlib.sha256(), 0, []
        for number, start in enumerate(range(0, self.claim.delivery.size_bytes, PART_BYTES), 1):
            crc32, size_bytes = 0, 0
            with self.file.open("rb") as file:
                file.seek(start)
                while size_bytes < PART_BYTES and (content := file.read(min(_READ_BYTES, PART_BYTES - size_bytes))):
                    sha256.update(content)
                    crc32, whole = zlib.crc32(content, crc32), zlib.crc32(content, whole)
                    size_bytes += len(content)
            with self._body(start, size_bytes) as body:
                parts.append(self._upload_part(upload, number, body, _base64(crc32)))
        if sha256.hexdigest() != self.claim.delivery.sha256:
            raise SealBrokenError(f"{self.file.name}: the staged bytes changed while they were sent; nothing arrived.")
        return parts, _base64(whole)

    def _upload_part(self, upload: str, number: int, body: Body, crc32: str) -> dict[str, Any]:
        part: dict[str, Any] = {"UploadId": upload, "PartNumber": number, "ChecksumCRC32": crc32}

        def send() -> UploadPartOutputTypeDef:
            body.seek(0)
            return self.client.upload_part(**self._target, **part, Body=body)

        return {"PartNumber": number, "ETag": _repeated(send)["ETag"], "ChecksumCRC32": crc32}

    def _abort(self, upload: str) -> None:
        """Remove parts that are no object; where that is not allowed they stay, and the log names them."""
        if not upload:
            return
        try:
            self.client.abort_multipart_upload(**self._target, UploadId=upload)
        except (boto.BotoCoreError, boto.ClientError) as error:
            reason = code_of(error) if isinstance(error, boto.ClientError) else type(error).__name__
            if reason != "NoSuchUpload":
                log.warning(
                    "deliver: the parts of upload %s stay at %s until the bucket's lifecycle rule removes them: %s",
                    *(upload, self.claim.delivery.folder, reason),
                )

    def _body(self, start: int, size_bytes: int) -> Body:
        return Body(Stretch(self.file, start, size_bytes, claim=self.claim, progress=self.progress))

    @property
    def _target(self) -> dict[str, Any]:
        bucket, _, prefix = _parts(self.claim.delivery.folder)
        return {"Bucket": bucket, "Key": f"{prefix}/{self.claim.delivery.name}"}

    @property
    def _encryption(self) -> dict[str, Any]:
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key_id} if self.kms_key_id else {}


def _repeated(call: Callable[[], _Result]) -> _Result:
    """What `call` returns, after as many tries as :data:`_PAUSES_S` gives what it fails with."""
    pauses = {code: list(seconds) for code, seconds in _PAUSES_S.items()}
    while True:
        try:
            return call()
        except boto.ClientError as error:
            left = pauses.get(code_of(error))
            if not left:
                raise
        sleep(left.pop(0))


def _parts(folder: str) -> tuple[str, str, str]:
    return folder.removeprefix("s3://").partition("/")


def _base64(crc32: int) -> str:
    return b64encode(crc32.to_bytes(4, "big")).decode("ascii")
