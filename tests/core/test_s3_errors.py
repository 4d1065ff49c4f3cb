"""What S3 and its client say, as errors that say what to do; without what a server may have put into its message."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError, ReadTimeoutError

from liveramp_provider.core.errors import (
    ConnectionConfigError,
    CredentialsError,
    LedgerError,
    LiveRampError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.transports.s3_errors import translated

PLACE = "s3://drop/vip"
SECRET = "jane.doe@example.com"


def answer(code: str, operation: str = "PutObject") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": SECRET}}, operation)


@pytest.mark.parametrize(
    ("foreign", "expected", "told"),
    [
        (answer("AccessDenied"), RemoteFolderError, "s3:PutObject"),
        (answer("NoSuchBucket"), RemoteFolderError, "does not exist"),
        (answer("KMS.DisabledException"), RemoteFolderError, "kms_key_id"),
        (answer("PermanentRedirect"), ConnectionConfigError, "region_name"),
        (answer("AuthorizationHeaderMalformed"), ConnectionConfigError, "region_name"),
        (answer("NotImplemented"), ConnectionConfigError, "If-None-Match"),
        (answer("InvalidAccessKeyId"), CredentialsError, "InvalidAccessKeyId"),
        (answer("AccessDenied", "AssumeRole"), CredentialsError, "AssumeRole says AccessDenied"),
        (answer("AccessDenied", "GetSessionToken"), CredentialsError, "GetSessionToken says AccessDenied"),
        (answer("AccessDenied", "GetFederationToken"), CredentialsError, "GetFederationToken says AccessDenied"),
        (NoCredentialsError(), CredentialsError, "NoCredentialsError"),
        (answer("ExpiredToken"), TransportError, "expired"),
        (answer("RequestTimeTooSkewed"), TransportError, "clock"),
        (answer("SlowDown"), TransportError, "SlowDown"),
        (answer(""), TransportError, f"{PLACE}: no reason given. A task"),
        (ClientError({"Error": {}}, "PutObject"), TransportError, f"{PLACE}: no reason given. A task"),
        (ClientError({}, "PutObject"), TransportError, f"{PLACE}: no reason given. A task"),
        (ReadTimeoutError(endpoint_url=SECRET), TransportError, "ReadTimeoutError"),
        (OSError(SECRET), TransportError, "OSError"),
        (HTTPClientError(error=LedgerError("taken over")), LedgerError, "taken over"),
    ],
    ids=repr,
)
def test_translation(foreign: Exception, expected: type[LiveRampError], told: str) -> None:
    """Each is sorted by what its reader does next, and shows no foreign text."""
    with pytest.raises(LiveRampError) as caught, translated(PLACE):
        raise foreign
    assert type(caught.value) is expected
    assert told in str(caught.value)
    assert caught.value.__suppress_context__
    assert SECRET not in str(caught.value)


def test_our_own_errors_stay() -> None:
    """What is ours already comes out as it is."""
    ours = LedgerError("taken over")
    with pytest.raises(LedgerError) as caught, translated(PLACE):
        raise ours
    assert caught.value is ours
