"""What goes over the wire to S3: a stretch of the file, and which tries may have come through."""

from __future__ import annotations

import io
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.progress import Progress

_BUFFER_BYTES = 1024 * 1024
_RENEW_EVERY_S = 30

#: The calls that make an object appear.
_CREATING = ("PutObject", "CompleteMultipartUpload")

# Of the answers above 499, those that say that nothing was done; after any other, the object may be there.
_NOTHING_DONE = ("SlowDown", "NotImplemented")


class Stretch(io.RawIOBase):
    """Some of a file's bytes. Reading them renews the claim and moves the progress."""

    def __init__(self, file: Path, start: int, size_bytes: int, *, claim: Claim, progress: Progress) -> None:
        super().__init__()
        self._file = file.open("rb", buffering=0)
        self._start = start
        self.size_bytes = size_bytes
        self._claim = claim
        self._progress = progress
        self._renewed = monotonic()
        self._at = 0
        self._file.seek(start)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is: a body that has to be sent again is read again."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes.

        :raises LedgerError: Another worker took the delivery over.
        """
        if monotonic() - self._renewed > _RENEW_EVERY_S:
            self._claim.renew()
            self._renewed = monotonic()
        count = self._file.readinto(memoryview(buffer)[: self.size_bytes - self._at]) or 0
        self._at += count
        self._progress.done = self._start + self._at
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the stretch."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        self._at = base + offset
        self._file.seek(self._start + self._at)
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class Body(io.BufferedReader):
    """A stretch as botocore reads it: in large pieces, and from its beginning whenever it is sent again."""

    def __init__(self, stretch: Stretch) -> None:
        super().__init__(stretch, _BUFFER_BYTES)
        self._size_bytes = stretch.size_bytes

    @property
    def was_read(self) -> bool:
        """Whether all of it may have been sent."""
        return self.tell() == self._size_bytes


class Tries:
    """The requests that may have made the object appear, although nobody was told so.

    botocore sends a request again by itself, so it is the wire that is watched. A plain refusal does not count, and
    neither does a body that broke off: S3 creates an object from all of its bytes or not at all.
    """

    def __init__(self) -> None:
        self._unanswered = False
        self._under_way = False
        self._body: object = None

    @property
    def unanswered(self) -> bool:
        """Whether there was one that may have come through."""
        return self._unanswered or self._under_way

    @contextmanager
    def watched(self, client: S3Client) -> Iterator[None]:
        """Watch what `client` sends meanwhile."""
        handlers = [
            (f"{moment}.s3.{call}", handler)
            for call in _CREATING
            for moment, handler in (("before-send", self._sent), ("response-received", self._answered))
        ]
        for event, handler in handlers:
            client.meta.events.register(event, handler)
        try:
            yield
        finally:
            for event, handler in handlers:
                client.meta.events.unregister(event, handler)

    def _sent(self, request: Any, **_: Any) -> None:
        self._under_way = True
        self._body = request.body

    def _answered(self, parsed_response: Any, **_: Any) -> None:
        self._under_way = False
        if parsed_response is None:
            broke_off = isinstance(self._body, Body) and not self._body.was_read
            self._unanswered |= not broke_off
        elif parsed_response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            self._unanswered |= parsed_response["Error"]["Code"] not in _NOTHING_DONE
