"""What the fake LiveIntent can be told to do wrong, and what it says when it refuses."""

import threading
from collections import deque
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


class Faults:
    """The faults to come, one a request, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._planned: deque[tuple[Call, LiveIntentFault]] = deque()
        self._lock = threading.Lock()

    def plan(self, fault: LiveIntentFault, *, times: int, call: Call) -> None:
        """Let the next `times` requests of kind `call` meet with `fault`."""
        with self._lock:
            self._planned.extend([(call, fault)] * times)

    def next(self, call: Call) -> LiveIntentFault | None:
        """The fault that this request meets with."""
        with self._lock:
            for planned in self._planned:
                if planned[0] == call:
                    self._planned.remove(planned)
                    return planned[1]
        return None
