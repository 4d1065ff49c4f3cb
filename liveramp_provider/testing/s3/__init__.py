"""A fake S3 that holds to the real rules and can be told to misbehave.

.. code-block:: python

    with FakeS3(tmp_path / "s3") as s3:
        s3.misbehave(Fault.LOST_ANSWER)
        ...  # write with boto3 to s3.endpoint_url
        assert [version.sha256 for version in s3.versions("drop/file.csv")] == [sha256]

It knows what a client may do whose credentials can put objects and nothing else: put an object, at once or in parts.
Signatures, digests and If-None-Match are checked as S3 does; all other calls are refused unless they are allowed, and
every call is counted. Nothing is ever deleted or forgotten, so that a client that overwrites is found out.
"""

import json
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from liveramp_provider.testing.private_files import kept, private_folder
from liveramp_provider.testing.s3.bucket import Arrived, Bucket, Version
from liveramp_provider.testing.s3.faults import Call, Fault
from liveramp_provider.testing.s3.server import Handler
from liveramp_provider.testing.s3.uploads import Uploads
from liveramp_provider.testing.serving import Served

__all__ = ["FakeS3", "Fault", "Version"]

#: What the IAM action ``s3:PutObject`` allows.
PUT_OBJECT: frozenset[Call] = frozenset(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"))

_MIB = 1024 * 1024


class FakeS3(Served[Call, Fault]):
    """One bucket behind an HTTP server on 127.0.0.1; a context manager, which serves inside the block.

    `home` keeps the keys and all objects over restarts, and needs the care that the objects need.
    """

    known_as = "the fake S3"
    handler = Handler

    def __init__(
        self,
        home: Path,
        *,
        bucket: str = "liveramp-in-a-box",
        prefix: str = "",
        arrived: Arrived = lambda content, key: None,
        allowed: frozenset[Call] = PUT_OBJECT,
        smallest_part_bytes: int = 5 * _MIB,
    ) -> None:
        """Make the bucket; it does not serve yet.

        :param home: Folder for the state; made if it is missing, mode 0700.
        :param prefix: Keys that do not begin with it are refused.
        :param arrived: Told of every version before the client is.
        :param allowed: The calls that the credentials allow; ``AbortMultipartUpload`` may be one of them.
        :param smallest_part_bytes: 5 MiB at the real S3.
        """
        super().__init__()
        private_folder(home)
        self.bucket_name = bucket
        self.prefix = prefix
        self.allowed = allowed
        self.access_key = kept(home / "access_key", lambda: f"AKIA{secrets.token_hex(8).upper()}".encode()).decode()
        self.secret_key = kept(home / "secret_key", lambda: secrets.token_urlsafe(30).encode()).decode()
        self.bucket = Bucket(home, arrived)
        self.uploads = Uploads(smallest_part_bytes)
        #: Set once a request is held.
        self.held = threading.Event()
        #: Set it to let requests go on that are held.
        self.go_on = threading.Event()
        #: Sockets of the clients that are there.
        self.connections: set[socket.socket] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server; every connection is cut."""
        super().__exit__(kind, error, trace)
        self.go_on.set()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def endpoint_url(self) -> str:
        """Where the running server is.

        :raises RuntimeError: It does not run.
        """
        return self.url

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The ids of the uploads in parts that are neither completed nor aborted."""
        return self.uploads.ids

    def writes(self) -> tuple[Version, ...]:
        """Return every write of every object, by key."""
        return self.bucket.writes()

    def versions(self, key: str) -> tuple[Version, ...]:
        """Return every write of the object `key`, the first one first: more than one is an overwrite."""
        return self.bucket.versions(key)

    def objects(self) -> dict[str, bytes]:
        """Return the newest bytes of every object, by key."""
        return self.bucket.objects()

    def misbehave(self, fault: Fault, times: int = 1, *, call: Call = "PutObject") -> None:
        """Let the next `times` requests of kind `call` meet with `fault`, after those planned before."""
        self.faults.plan(fault, times=times, call=call)

    def connection_json(self) -> str:
        """Return an Airflow connection of type ``aws`` as JSON. It contains the secret key.

        :raises RuntimeError: The server does not run.
        """
        return json.dumps(
            {
                "conn_type": "aws",
                "login": self.access_key,
                "password": self.secret_key,
                "extra": {"region_name": "us-east-1", "endpoint_url": self.endpoint_url, "if_none_match": True},
            }
        )
