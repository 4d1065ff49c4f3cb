"""What the fake LiveIntent can be told to do wrong, and what it says when it refuses."""

from enum import StrEnum
from typing import Literal

#: The calls that the fake knows.
Call = Literal["ListAudiences", "CreateAudience", "SignedUrl", "Put", "ListUploads", "Counts", "Other"]


class Refusal(Exception):  # noqa: N818 - an answer of the protocol
    """An answer that says no.

    :param code: LiveIntent's word for it.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class LiveIntentFault(StrEnum):
    """One thing that goes wrong with one request."""

    HANGS_UP = "takes the request, does nothing, and hangs up"
    LOST_ANSWER = "does what is asked, and hangs up without a word"
    LATE_ERROR = "does what is asked, and says 500"
    INTERNAL_ERROR = "does nothing, and says 500"
    PATIENCE = "does nothing, and says 429 with Retry-After: 1"
    MUCH_PATIENCE = "does nothing, and says 429 with Retry-After: 3600"
    DENIED = "says 401"
    NO_JSON = "says 200 with a page for people"
    FAILS = "takes a file that will end in Error"
    STUCK = "takes a file that stays Pending"
