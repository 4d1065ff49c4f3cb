"""What S3 and its client say, in this package's words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore import exceptions as boto

from liveramp_provider.core.errors import (
    ConnectionConfigError,
    CredentialsError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_REGION = (ConnectionConfigError, "the bucket of {place} is in another region. Correct the connection's region_name.")
_UNKNOWN = (CredentialsError, "{place}: S3 does not accept the credentials ({code}). Correct the connection.")
_EXPIRED = (
    TransportError,
    "{place}: the credentials have expired. A task fetches the connection anew and tries again; if it holds a session "
    "token, put a new one there, or let the connection assume a role.",
)
_SKEWED = (TransportError, "{place}: this worker's clock is wrong by more than 15 minutes. Set it; a task tries again.")

#: Which error is raised for which word of S3.
_MEANINGS: dict[str, tuple[type[LiveRampError], str]] = {
    "AccessDenied": (
        RemoteFolderError,
        "S3 does not let us put objects into {place}. The credentials need s3:PutObject there, and "
        "kms:GenerateDataKey and kms:Decrypt where a KMS key encrypts.",
    ),
    "NoSuchBucket": (RemoteFolderError, "the bucket of {place} does not exist. Correct the audience file."),
    "NotImplemented": (
        ConnectionConfigError,
        "the endpoint of {place} does not know If-None-Match or digests, without which nothing is sent.",
    ),
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidToken": _UNKNOWN,
    "SignatureDoesNotMatch": _UNKNOWN,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": _SKEWED,
}
_KMS = (RemoteFolderError, "{place}: the KMS key cannot be used ({code}). Correct kms_key_id, or the key.")
_OTHER = (TransportError, "{place}: {code}. A task tries it again.")
_NO_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Foreign errors become ours here and nowhere else.

    :param place: What was to be written to, such as ``s3://bucket/prefix``.
    """
    try:
        yield
    except boto.ClientError as error:
        failure = _of_answer(error, place)
    except _NO_CREDENTIALS as error:
        failure = CredentialsError(f"{place}: no credentials ({type(error).__name__}). Correct the connection.")
    except boto.HTTPClientError as error:
        # What fails while a body is read comes out as a fault of the line.
        inner = error.kwargs.get("error")
        failure = inner if isinstance(inner, LiveRampError) else _of_line(error, place)
    except (boto.BotoCoreError, OSError) as error:
        failure = _of_line(error, place)
    else:
        return
    raise failure from None


def code_of(error: boto.ClientError) -> str:
    """S3's word for what is wrong."""
    return str(error.response.get("Error", {}).get("Code", "")) or "no reason given"


def _of_answer(error: boto.ClientError, place: str) -> LiveRampError:
    code = code_of(error)
    if error.operation_name.startswith(("Assume", "GetSessionToken", "GetFederationToken")):
        return CredentialsError(f"{place}: no credentials: {error.operation_name} says {code}. Correct the connection.")
    kind, sentence = _KMS if code.startswith("KMS.") else _MEANINGS.get(code, _OTHER)
    return kind(sentence.format(place=place, code=code))


def _of_line(error: Exception, place: str) -> TransportError:
    return TransportError(f"{place}: {type(error).__name__}. A task tries it again.")
