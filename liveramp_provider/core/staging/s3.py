"""Sealed stages in a bucket of S3, whole or not there: the file first, the manifest last, and the first one counts.

``<prefix>/<key>/<digest>/<file>`` and ``<prefix>/<key>/manifest.json``, encrypted with a key of KMS. Two workers that
seal the same inputs put files of their own; S3 takes one manifest, and the other worker's file is dropped.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore import exceptions as boto

from liveramp_provider.core.errors import SealBrokenError, StagingConfigError, StagingError
from liveramp_provider.core.progress import step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.staging.store import MANIFEST, StoredStage, is_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9._=-]+)*)/?")
_GONE = {"404", "NoSuchKey"}
#: Somebody else's manifest is there, or is being written at this moment.
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_SLOW = {"OperationAborted", "RequestTimeout"}
# Nothing else that botocore raises passes by itself.
_PASSING = (
    boto.ConnectionError,
    boto.FlexibleChecksumError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.MetadataRetrievalError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store:
    """The stages below one prefix of one bucket.

    :param prefix: Empty, or ends in a slash.
    :param kms_key_id: Empty: the account's own key for S3.
    :param local: Folder for copies of what is put and fetched; best gone when the task ends.
    """

    client: S3Client
    bucket: str
    prefix: str
    kms_key_id: str
    local: Path

    @classmethod
    def at(cls, address: str, *, client: S3Client, kms_key_id: str, local: Path) -> S3Store:
        """The store at ``s3://BUCKET/PREFIX``.

        :raises StagingConfigError: `address` is of another form.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise StagingConfigError(
                f"[liveramp] staging is {address!r}. Write s3://BUCKET/PREFIX, or leave it empty for the folder "
                "`staging` in home."
            )
        prefix = f"{found['prefix'][1:]}/" if found["prefix"] else ""
        return cls(client=client, bucket=found["bucket"], prefix=prefix, kms_key_id=kms_key_id, local=local)

    @property
    def address(self) -> str:
        """Bucket and prefix, as ``s3://BUCKET/PREFIX``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def keys(self, prefix: str) -> list[str]:
        """The sealed stages whose key begins so."""
        names = [PurePosixPath(found["Key"].removeprefix(self.prefix)) for found in self._objects(prefix)]
        keys = [str(name.parent) for name in names if name.name == MANIFEST]
        return [key for key in keys if is_key(key)]

    def manifest(self, key: str) -> bytes:
        """The manifest of a stage; empty where it is not sealed."""
        with self._errors_told():
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self._name(key, MANIFEST))
                return bytes(answer["Body"].read())
            except boto.ClientError as error:
                if _code(error) in _GONE:
                    return b""
                raise

    def put(self, key: str, content: Path) -> bool:
        """Seal the folder `content`, which holds a file and its manifest; ``False``: somebody else was first."""
        manifest = (content / MANIFEST).read_bytes()
        file, sha256 = _file_of(manifest)
        encryption = {"ServerSideEncryption": "aws:kms"} | ({"SSEKMSKeyId": self.kms_key_id} if self.kms_key_id else {})
        name = self._name(key, sha256, file)
        with self._errors_told(), step(f"staging: putting {file} into S3"):
            self.client.upload_file(str(content / file), self.bucket, name, ExtraArgs=encryption)
        if not self._put_first(self._name(key, MANIFEST), manifest, encryption):
            self._drop_unless_sealed(key, name)
            return False
        folder = self.local / key
        folder.parent.mkdir(parents=True, exist_ok=True)
        content.rename(folder)
        return True

    def fetch(self, key: str) -> Path:
        """A copy of a sealed stage; fetched once.

        :raises SealBrokenError: It is gone, or its bytes are not those that were sealed.
        """
        folder = self.local / key
        if (folder / MANIFEST).is_file():
            return folder
        address = f"{self.address}/{key}"
        manifest = self.manifest(key)
        if not manifest:
            raise SealBrokenError(f"{address} is not staged any more. Clear the task that sealed it.")
        file, sha256 = _file_of(manifest)
        folder.mkdir(parents=True, exist_ok=True)
        with self._errors_told(), step(f"staging: fetching {file} from S3"):
            self._download(self._name(key, sha256, file), folder / file)
            if not (folder / file).is_file() or digest_of(folder / file) != sha256:
                raise SealBrokenError(
                    f"{address}: the staged bytes are gone, or not those that were sealed. Delete everything below it "
                    "and clear the task that sealed it."
                )
        (folder / MANIFEST).write_bytes(manifest)
        return folder

    def stages(self) -> Iterator[StoredStage]:
        """Everything that lies here, also what was never sealed."""
        for key, found in groupby(self._objects(""), self._key_of):
            objects = list(found)
            if is_key(key):
                manifest = [each for each in objects if each["Key"] == self._name(key, MANIFEST)]
                yield StoredStage(
                    key=key,
                    sealed_at=max(each["LastModified"] for each in manifest or objects),
                    size_bytes=sum(each["Size"] for each in objects),
                )

    def remove(self, key: str) -> None:
        """Remove a stage: first its manifest, so that there is no half of it."""
        names = [found["Key"] for found in self._objects(f"{key}/")]
        with self._errors_told():
            for name in sorted(names, key=lambda name: name != self._name(key, MANIFEST)):
                self.client.delete_object(Bucket=self.bucket, Key=name)

    def _name(self, key: str, *parts: str) -> str:
        return "/".join((f"{self.prefix}{key}", *parts))

    def _key_of(self, found: ObjectTypeDef) -> str:
        return "/".join(found["Key"].removeprefix(self.prefix).split("/")[:3])

    def _objects(self, prefix: str) -> Iterator[ObjectTypeDef]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with self._errors_told():
            for page in pages:
                yield from page.get("Contents", [])

    def _put_first(self, name: str, content: bytes, encryption: dict[str, Any]) -> bool:
        """Write the object if there is none of its name."""
        with self._errors_told():
            try:
                self.client.put_object(Bucket=self.bucket, Key=name, Body=content, IfNoneMatch="*", **encryption)
            except boto.ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True

    def _drop_unless_sealed(self, key: str, name: str) -> None:
        """Remove the file of a worker that was too late; the same bytes have the same name, and stay."""
        manifest = self.manifest(key)
        if not manifest:
            raise StagingError(f"{self.address}/{key} is being sealed by another worker. A task tries it again.")
        file, sha256 = _file_of(manifest)
        if name != self._name(key, sha256, file):
            with self._errors_told():
                self.client.delete_object(Bucket=self.bucket, Key=name)

    def _download(self, name: str, target: Path) -> None:
        try:
            self.client.download_file(self.bucket, name, str(target))
        except boto.ClientError as error:
            if _code(error) not in _GONE:
                raise

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except (boto.ClientError, boto.BotoCoreError, Boto3Error) as error:
            failure = _told(error, self.address)
        else:
            return
        raise failure from None


def _told(error: Exception, address: str) -> StagingError | StagingConfigError:
    # boto3 tells of a failed upload in words of its own, raised while it handled the answer.
    answer = error.__context__ if isinstance(error, S3UploadFailedError) else error
    if isinstance(answer, boto.ClientError):
        cause, status = _code(answer), answer.response["ResponseMetadata"]["HTTPStatusCode"]
        # 501: a store that is not Amazon's lacks conditions or encryption, and will tomorrow.
        passing = (status >= 500 and status != 501) or status == 429 or cause in _SLOW
    else:
        cause, passing = type(error).__name__, isinstance(error, (*_PASSING, Boto3Error))
    if passing:
        return StagingError(f"{address}: S3 does not answer as it should ({cause}). A task tries it again.")
    return StagingConfigError(
        f"{address}: S3 refuses ({cause}). Check [liveramp] staging, staging_conn_id and staging_kms_key_id, and the "
        "right to list, read, write and delete below it, and to use the key."
    )


def _code(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _file_of(manifest: bytes) -> tuple[str, str]:
    """Name and digest of the file that a manifest describes."""
    described = json.loads(manifest)
    return Path(described["path"]).name, described["sha256"]
