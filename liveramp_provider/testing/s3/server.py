"""The HTTP side of the fake S3: one request in, one answer out, unless a fault gets in the way."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from liveramp_provider.testing.s3.digests import Digests
from liveramp_provider.testing.s3.faults import Call, Fault, Refusal
from liveramp_provider.testing.s3.signature import check_signature
from liveramp_provider.testing.s3.uploads import etag_of_parts
from liveramp_provider.testing.serving import hang_up

if TYPE_CHECKING:
    from liveramp_provider.testing.s3 import FakeS3

_CHUNK_BYTES = 64 * 1024
_LATE_ERROR = Refusal(500, "InternalError")
_ENCRYPTION = "x-amz-server-side-encryption"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_UPLOAD_CALLS: dict[str, Call] = {
    "PUT": "UploadPart",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
}
_OBJECT_CALLS: dict[str, Call] = {
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "GET": "GetObject",
    "DELETE": "DeleteObject",
}
_BUCKET_CALLS: dict[str, Call] = {"HEAD": "HeadBucket", "GET": "ListObjects"}


class _HungUpError(Exception):
    """The connection is to be dead, without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    fake: "FakeS3"

    def do_PUT(self) -> None:
        """Answer a request; so do all that follow."""
        self._handle()

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 - http.server's names

    def handle_expect_100(self) -> bool:
        """Ask for the body only when it is needed, so that a refusal costs no upload."""
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: calls are counted instead."""

    def setup(self) -> None:
        """Let the server know the connection, so that it can end it."""
        super().setup()
        self.fake.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.fake.connections.discard(self.connection)
        super().finish()

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        _, bucket, *rest = unquote(path).split("/", 2)
        self._key = rest[0] if rest else ""
        self._query = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        self._headers = {name.lower(): value for name, value in self.headers.items()}
        self._awaited = int(self._headers.get("content-length", 0))
        call = self._call()
        self.fake.count(call)
        self._fault = self.fake.faults.next(call)
        try:
            headers, content = self._answer(call, bucket)
            if self._fault is Fault.LATE_ERROR:
                raise _LATE_ERROR
            self._send(HTTPStatus.OK, content, headers)
        except Refusal as refusal:
            self._pass_over_body()
            told = _LATE_ERROR if self._fault is Fault.LATE_ERROR else refusal
            self._send(told.status, _xml("Error", {"Code": told.code, "Message": told.code}, ""), {})
        except (_HungUpError, OSError):
            hang_up(self)

    def _call(self) -> Call:
        if "uploadId" in self._query:
            return _UPLOAD_CALLS.get(self.command, "Other")
        if self.command == "POST" and "uploads" in self._query:
            return "CreateMultipartUpload"
        return (_OBJECT_CALLS if self._key else _BUCKET_CALLS).get(self.command, "Other")

    def _answer(self, call: Call, bucket: str) -> tuple[dict[str, str], bytes]:
        self._authorise(call, bucket)
        if self._fault is not None and (refusal := self._fault.refusal) is not None:
            raise refusal
        match call:
            case "PutObject":
                return self._put_object()
            case "CreateMultipartUpload":
                return {}, self._create_upload()
            case "UploadPart":
                return self._upload_part()
            case "CompleteMultipartUpload":
                return {}, self._complete_upload()
            case "AbortMultipartUpload":
                self.fake.uploads.end(self.fake.uploads.find(self._key, self._query["uploadId"]))
                return {}, b""
        raise Refusal(501, "NotImplemented")

    def _authorise(self, call: Call, bucket: str) -> None:
        check_signature(
            self.command,
            self.path,
            self._headers,
            access_key=self.fake.access_key,
            secret_key=self.fake.secret_key,
        )
        if call not in self.fake.allowed:
            raise Refusal(403, "AccessDenied")
        if bucket != self.fake.bucket_name:
            raise Refusal(404, "NoSuchBucket")
        if not self._key.startswith(self.fake.prefix):
            raise Refusal(403, "AccessDenied")

    def _put_object(self) -> tuple[dict[str, str], bytes]:
        bucket = self.fake.bucket
        with bucket.draft() as draft, bucket.creating(self._key) if self._only_new else nullcontext():
            digests, checksums = self._receive(draft)
            bucket.store(
                self._key,
                draft,
                digests,
                only_new=self._only_new,
                checksums=checksums,
                encryption=self._encryption(),
            )
        return {"ETag": digests.etag} | self._echo(checksums) | self._encryption(), b""

    def _create_upload(self) -> bytes:
        self._wait()
        upload = self.fake.uploads.begin(self._key, self._encryption())
        return _xml("InitiateMultipartUploadResult", {"Key": self._key, "UploadId": upload.id})

    def _upload_part(self) -> tuple[dict[str, str], bytes]:
        upload = self.fake.uploads.find(self._key, self._query["uploadId"])
        with self.fake.bucket.draft() as draft:
            digests, checksums = self._receive(draft)
            self.fake.uploads.add(upload, int(self._query["partNumber"]), draft, digests)
        return {"ETag": digests.etag} | self._echo(checksums), b""

    def _complete_upload(self) -> bytes:
        order = b"".join(self._body())
        upload = self.fake.uploads.find(self._key, self._query["uploadId"])
        bucket = self.fake.bucket
        with bucket.draft() as draft, bucket.creating(self._key) if self._only_new else nullcontext():
            self._wait()
            digests = self.fake.uploads.assemble(upload, order, self._headers, draft)
            checksums = {"x-amz-checksum-crc32": digests.of("x-amz-checksum-crc32")}
            bucket.store(
                self._key,
                draft,
                digests,
                only_new=self._only_new,
                checksums=checksums,
                encryption=upload.encryption,
            )
        self.fake.uploads.end(upload)
        told = {"Key": self._key, "ETag": etag_of_parts(len(upload.parts), digests)}
        if self._fault is not Fault.NO_CHECKSUM:
            told |= {"ChecksumCRC32": checksums["x-amz-checksum-crc32"], "ChecksumType": "FULL_OBJECT"}
        return _xml("CompleteMultipartUploadResult", told)

    def _receive(self, draft: Path) -> tuple[Digests, dict[str, str]]:
        """Take the body into `draft`; returns its digests, and those of them that the client sent."""
        digests, flipped = Digests(), self._fault is Fault.FLIPPED_BIT
        with draft.open("wb") as file:
            for content in self._body():
                arrived = bytes([content[0] ^ 1]) + content[1:] if flipped else content
                flipped = False
                file.write(arrived)
                digests.add(arrived)
        self._wait()
        return digests, digests.check(self._headers)

    def _body(self) -> Iterator[bytes]:
        if self._headers.get("expect", "").lower() == "100-continue":
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        cut_at = self._awaited // 2 if self._fault is Fault.CUT_BODY else 0
        while self._awaited > cut_at:
            content = self.rfile.read(min(self._awaited - cut_at, _CHUNK_BYTES))
            if not content:
                raise _HungUpError
            self._awaited -= len(content)
            yield content
        if self._awaited:
            raise _HungUpError

    def _pass_over_body(self) -> None:
        """Leave nothing that could be taken for the next request."""
        if "expect" in self._headers and self._awaited:
            self.close_connection = True
        else:
            self.rfile.read(self._awaited)
        self._awaited = 0

    def _wait(self) -> None:
        if self._fault is Fault.HOLD:
            self.fake.held.set()
            self.fake.go_on.wait()
        elif self._fault is Fault.STALL:
            # Nothing more comes on this connection: this returns when the client or the server ends it.
            self.rfile.read(1)
            raise _HungUpError

    @property
    def _only_new(self) -> bool:
        return self._headers.get("if-none-match") == "*" and self._fault is not Fault.NO_CONDITION

    def _encryption(self) -> dict[str, str]:
        return {name: value for name, value in self._headers.items() if name.startswith(_ENCRYPTION)}

    def _echo(self, checksums: dict[str, str]) -> dict[str, str]:
        return {} if self._fault is Fault.NO_CHECKSUM else checksums

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        if self._fault is Fault.LOST_ANSWER:
            hang_up(self)
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _xml(root: str, values: Mapping[str, str], namespace: str = _NAMESPACE) -> bytes:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{inner}</{root}>'.encode()
