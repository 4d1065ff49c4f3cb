"""The digests that a client may send along with its bytes, worked out anew from what arrived."""

import base64
import hashlib
import zlib
from collections.abc import Mapping

from liveramp_provider.testing.s3.faults import Refusal

_PREFIX = "x-amz-checksum-"


class Digests:
    """Of one body, while it comes in."""

    def __init__(self) -> None:
        self._crc32 = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, content: bytes) -> None:
        """So much more has come."""
        self._crc32 = zlib.crc32(content, self._crc32)
        self._sha256.update(content)
        self._md5.update(content)

    @property
    def etag(self) -> str:
        """S3's own name for the content."""
        return f'"{self._md5.hexdigest()}"'

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return self._sha256.hexdigest()

    def of(self, name: str) -> str:
        """The digest as it stands in a header.

        :param name: Of the header, such as ``x-amz-checksum-sha256``.
        :raises Refusal: The fake does not know that kind.
        """
        known = {
            f"{_PREFIX}crc32": self._crc32.to_bytes(4, "big"),
            f"{_PREFIX}sha256": self._sha256.digest(),
            "content-md5": self._md5.digest(),
        }
        if name not in known:
            raise Refusal(501, "NotImplemented")
        return base64.b64encode(known[name]).decode("ascii")

    def check(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The digests that the client sent, which are right.

        :param headers: By lower-case name.
        :raises Refusal: One is wrong, or unknown.
        """
        checked = {name: self.of(name) for name in sent_digests(headers)}
        if any(headers[name] != value for name, value in checked.items()):
            raise Refusal(400, "BadDigest")
        content = headers.get("x-amz-content-sha256", "")
        if not content.startswith(("UNSIGNED-", "STREAMING-")) and content != self.sha256:
            raise Refusal(400, "XAmzContentSHA256Mismatch")
        return {name: value for name, value in checked.items() if name.startswith(_PREFIX)}


def sent_digests(headers: Mapping[str, str]) -> list[str]:
    """The headers that hold a digest of the content."""
    kinds = (f"{_PREFIX}algorithm", f"{_PREFIX}type")
    return [name for name in headers if (name.startswith(_PREFIX) and name not in kinds) or name == "content-md5"]
