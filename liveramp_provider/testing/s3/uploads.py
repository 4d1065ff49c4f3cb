"""Uploads in parts: nothing of them is an object until they are completed."""

import base64
import secrets
import threading
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liveramp_provider.testing.s3.digests import Digests
from liveramp_provider.testing.s3.faults import Refusal

_CHUNK_BYTES = 1024 * 1024
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    content: bytes
    etag: str
    crc32: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload that is under way.

    :param encryption: What the client asked for, by header.
    """

    id: str
    key: str
    encryption: dict[str, str]
    parts: dict[int, _Part] = field(default_factory=dict)


class Uploads:
    """The unfinished uploads of a bucket; a restart forgets them.

    :param smallest_part_bytes: All parts but the last have so many bytes.
    """

    def __init__(self, smallest_part_bytes: int) -> None:
        self._smallest_part_bytes = smallest_part_bytes
        self._open: dict[str, Upload] = {}
        self._lock = threading.Lock()

    @property
    def ids(self) -> tuple[str, ...]:
        """What is neither completed nor aborted, the oldest first."""
        with self._lock:
            return tuple(self._open)

    def begin(self, key: str, encryption: Mapping[str, str]) -> Upload:
        """Open an upload."""
        upload = Upload(id=secrets.token_urlsafe(48), key=key, encryption=dict(encryption))
        with self._lock:
            self._open[upload.id] = upload
        return upload

    def find(self, key: str, upload_id: str) -> Upload:
        """Return the open upload.

        :raises Refusal: There is none of that id for `key`.
        """
        with self._lock:
            upload = self._open.get(upload_id)
        if upload is None or upload.key != key:
            raise Refusal(404, "NoSuchUpload")
        return upload

    def end(self, upload: Upload) -> None:
        """Forget the upload and its parts."""
        with self._lock:
            self._open.pop(upload.id, None)

    def add(self, upload: Upload, number: int, draft: Path, digests: Digests) -> None:
        """Keep a part; one of the same number is replaced.

        :raises Refusal: The number is not between 1 and 10,000.
        """
        if not 1 <= number <= 10_000:
            raise Refusal(400, "InvalidArgument")
        crc32 = digests.of("x-amz-checksum-crc32")
        upload.parts[number] = _Part(content=draft.read_bytes(), etag=digests.etag, crc32=crc32)

    def assemble(self, upload: Upload, order: bytes, headers: Mapping[str, str], draft: Path) -> Digests:
        """Write the parts that `order` names into `draft`, and return the digests of all of it.

        :param order: The XML of the request.
        :raises Refusal: A part is not there, is another one, or is too small; the parts are not in order; or the
            whole has not the size or the digest that the client sent.
        """
        parts = self._ordered(upload, order)
        if any(len(part.content) < self._smallest_part_bytes for part in parts[:-1]):
            raise Refusal(400, "EntityTooSmall")
        whole = Digests()
        with draft.open("wb") as file:
            for part in parts:
                file.write(part.content)
                whole.add(part.content)
        if int(headers.get("x-amz-mp-object-size", draft.stat().st_size)) != draft.stat().st_size:
            raise Refusal(400, "InvalidRequest")
        digest = headers.get("x-amz-checksum-crc32")
        if digest is not None and digest != whole.of("x-amz-checksum-crc32"):
            raise Refusal(400, "BadDigest")
        return whole

    def _ordered(self, upload: Upload, order: bytes) -> list[_Part]:
        try:
            wanted = ET.fromstring(order).findall(f"{_NAMESPACE}Part")  # noqa: S314 - of the tests themselves
            numbers = [int(part.findtext(f"{_NAMESPACE}PartNumber", "")) for part in wanted]
        except (ET.ParseError, ValueError):
            raise Refusal(400, "MalformedXML") from None
        if not numbers or numbers != sorted(set(numbers)):
            raise Refusal(400, "InvalidPartOrder")
        for number, part in zip(numbers, wanted, strict=True):
            found = upload.parts.get(number)
            if found is None or part.findtext(f"{_NAMESPACE}ETag") != found.etag:
                raise Refusal(400, "InvalidPart")
            if part.findtext(f"{_NAMESPACE}ChecksumCRC32", found.crc32) != found.crc32:
                raise Refusal(400, "InvalidPart")
        return [upload.parts[number] for number in numbers]


def etag_of_parts(parts: int, digests: Digests) -> str:
    """S3's name for an object that came in parts."""
    return f'"{base64.b16encode(bytes.fromhex(digests.sha256)[:16]).decode().lower()}-{parts}"'
