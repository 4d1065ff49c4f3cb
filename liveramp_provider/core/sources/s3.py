"""Files on S3: which there are, and copies of them on this machine. What S3 and boto3 say is translated here."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from botocore import exceptions as boto

from liveramp_provider.core.errors import ConnectionConfigError, LiveRampError, SourceError, SourceUnavailableError
from liveramp_provider.core.sources.globs import fixed_prefix, matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES = 1 << 20
# Below the ten connections that a client keeps.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class S3File:
    """An object as the listing shows it.

    :param etag: Of the bytes that were listed.
    """

    bucket: str
    key: str
    etag: str
    size_bytes: int
    written_at: datetime

    @property
    def path(self) -> str:
        """As the audience file would name it."""
        return f"s3://{self.bucket}/{self.key}"


def listed_files(client: S3Client, pattern: str) -> list[S3File]:
    """The objects that match ``s3://bucket/key``, in the order of their keys; wild cards are those of local paths."""
    bucket, _, key = pattern.removeprefix("s3://").partition("/")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=fixed_prefix(key))
    return [
        S3File(bucket=bucket, key=one["Key"], etag=one["ETag"], size_bytes=one["Size"], written_at=one["LastModified"])
        for page in pages
        for one in page.get("Contents", ())
        if matches(one["Key"], key)
    ]


def fetch(client: S3Client, files: Sequence[S3File], folder: Path) -> list[Path]:
    """Private copies of `files` in `folder`, which is made, in their order; exactly the bytes that were listed."""
    folder.mkdir(mode=0o700, parents=True)
    copies = [folder / _local_name(number, file.key) for number, file in enumerate(files)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # The first that fails ends it: what has not begun by then is given up.
        list(pool.map(partial(_fetch, client), files, copies))
    return copies


def _fetch(client: S3Client, file: S3File, copy: Path) -> None:
    body = client.get_object(Bucket=file.bucket, Key=file.key, IfMatch=file.etag)["Body"]
    with body, os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        # At the end it raises where bytes are missing or do not have the checksum that S3 keeps.
        shutil.copyfileobj(body, target, _BLOCK_BYTES)


def _local_name(number: int, key: str) -> str:
    """A name that no key can break out of; unique, and with the key's own end, which says what the file is."""
    return f"{number:06d}-{re.sub(r'[^A-Za-z0-9._=-]', '_', key.rpartition('/')[2])[-100:]}"


class _Reaction(NamedTuple):
    """What becomes of an error, and what its reader does."""

    kind: type[LiveRampError]
    told: str


_UNREACHABLE = _Reaction(SourceUnavailableError, "S3 does not answer ({cause}). A task tries it again.")
_CHANGED = _Reaction(
    SourceUnavailableError,
    "a file changed or vanished while it was fetched ({cause}); nothing was kept. A task tries it again.",
)
_NO_BUCKET = _Reaction(SourceError, "there is no such bucket ({cause}). Correct the path in the audience file.")
_ARCHIVED = _Reaction(SourceError, "a file lies in an archive ({cause}). Restore it, or keep it out of the path.")
_REFUSED = _Reaction(SourceError, "S3 refuses the path ({cause}). Correct it in the audience file.")
_FORBIDDEN = _Reaction(
    ConnectionConfigError,
    "S3 forbids it to {conn_id} ({cause}). Allow s3:ListBucket on the bucket, s3:GetObject on the files, and "
    "kms:Decrypt where a key of KMS protects them.",
)
_LOGIN = _Reaction(
    ConnectionConfigError, "S3 does not take the credentials of {conn_id} ({cause}). Correct or renew them."
)
_UNUSABLE = _Reaction(
    ConnectionConfigError, "{conn_id} cannot be used for S3 ({cause}). Correct its credentials, region or endpoint."
)

_BY_CODE = {
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": _NO_BUCKET,
    "InvalidObjectState": _ARCHIVED,
    "NoSuchKey": _CHANGED,
    "PreconditionFailed": _CHANGED,
    "InvalidAccessKeyId": _LOGIN,
    "SignatureDoesNotMatch": _LOGIN,
    "ExpiredToken": _LOGIN,
    "InvalidToken": _LOGIN,
    "RequestTimeTooSkewed": _LOGIN,
    "AuthorizationHeaderMalformed": _UNUSABLE,
    "PermanentRedirect": _UNUSABLE,
    "RequestTimeout": _UNREACHABLE,
}
# Most specific first.
_BY_KIND = {
    boto.SSLError: _UNUSABLE,
    boto.ConnectionError: _UNREACHABLE,
    boto.HTTPClientError: _UNREACHABLE,
    boto.IncompleteReadError: _UNREACHABLE,
    boto.FlexibleChecksumError: _UNREACHABLE,
    boto.ParamValidationError: _REFUSED,
    boto.BotoCoreError: _UNUSABLE,
}


@contextmanager
def s3_errors(*, conn_id: str, label: str) -> Iterator[None]:
    """Whatever S3 and boto3 raise inside becomes one of our errors.

    :param label: What was being read.
    :raises SourceError: The bucket or a file is not to be had.
    :raises ConnectionConfigError: The connection may not read it, or is none.
    :raises SourceUnavailableError: S3 does not answer, or a file changed on the way.
    """
    try:
        yield
    except boto.ClientError as error:
        reaction, cause = _reaction_to(error), f"{error.operation_name}: {error.response['Error']['Code']}"
    except boto.BotoCoreError as error:
        reaction = next(reaction for kind, reaction in _BY_KIND.items() if isinstance(error, kind))
        cause = type(error).__name__
    else:
        return
    raise reaction.kind(f"{label}: {reaction.told.format(conn_id=conn_id, cause=cause)}") from None


def _reaction_to(error: boto.ClientError) -> _Reaction:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    otherwise = _UNREACHABLE if status >= 500 or status == 429 else _FORBIDDEN if status in (401, 403) else _REFUSED
    return _BY_CODE.get(error.response["Error"]["Code"], otherwise)
