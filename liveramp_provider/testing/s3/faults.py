"""What the fake S3 can be told to do wrong, and what it says when it refuses."""

from enum import StrEnum
from typing import Literal

#: The calls that the fake knows, by their names in the S3 API.
Call = Literal[
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "HeadObject",
    "HeadBucket",
    "GetObject",
    "ListObjects",
    "DeleteObject",
    "Other",
]


class Refusal(Exception):  # noqa: N818 - an answer of the protocol
    """An answer that says no.

    :param status: HTTP status.
    :param code: S3's word for it.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Fault(StrEnum):
    """One thing that goes wrong with one request."""

    CUT_BODY = "hangs up half-way through the body"
    FLIPPED_BIT = "a bit of the body changes on its way"
    STALL = "takes the body, stores nothing, and says nothing until the client gives up"
    HOLD = "takes the body, and stores it when it is told to go on"
    LOST_ANSWER = "does what is asked, and hangs up without a word"
    LATE_ERROR = "does what is asked, and says 500"
    INTERNAL_ERROR = "500 InternalError"
    SLOW_DOWN = "503 SlowDown"
    CONFLICT = "409 ConditionalRequestConflict"
    DENIED = "403 AccessDenied"
    EXPIRED_TOKEN = "400 ExpiredToken"  # noqa: S105 - no password
    SKEWED_CLOCK = "403 RequestTimeTooSkewed"
    NO_CONDITION = "overwrites although If-None-Match was asked for"
    NO_CHECKSUM = "does not say which digest it checked"

    @property
    def refusal(self) -> Refusal | None:
        """The answer, where the fault is nothing but one."""
        status, _, code = self.value.partition(" ")
        return Refusal(int(status), code) if status.isdigit() else None
