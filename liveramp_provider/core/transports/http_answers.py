"""One request over HTTPS, and whether what it asked for may have been done. No error quotes an answer or a body."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from liveramp_provider.core.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = httpx.Timeout(60, connect=30)
#: The seconds to wait before each further try of what may be asked again.
PAUSES_S = (1, 4, 10)
#: A receiver that wants more patience than this is left to the task's next try.
MAX_RETRY_AFTER_S = 60


class LostAnswerError(TransportError):
    """What was asked may have been done: the answer did not come, or says that the server failed at it.

    :param wait_s: After how many seconds to ask again, where it says so.
    """

    def __init__(self, message: str, wait_s: int = 0) -> None:
        self.wait_s = wait_s
        super().__init__(message)


class PatienceError(TransportError):
    """The receiver did nothing, and says how many seconds to wait."""

    def __init__(self, place: str, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__(f"{place} asks for {wait_s} seconds of patience (429). A task tries it again.")


@cache
def trusted() -> ssl.SSLContext:
    """The certificates to trust: reading them takes longer than most calls."""
    return httpx.create_ssl_context()


def answer_to(
    method: str, url: str, *, place: str, refusal: Callable[[int], Exception], **request: Any
) -> httpx.Response:
    """The good answer to a request, or an error that says what became of it.

    A connection of its own for each: one that the other side has just closed would lose an answer for nothing.

    :param place: What errors call the address.
    :param refusal: The error of a status that says no; nothing was done.
    :raises LostAnswerError: It may have been done.
    :raises PatienceError: It was not, and is to be asked again later.
    :raises TransportError: It was not, because nobody answers.
    """
    try:
        answer = httpx.request(method, url, timeout=TIMEOUT, verify=trusted(), **request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise TransportError(f"{place} cannot be reached ({type(error).__name__}).") from None
    except httpx.HTTPError as error:
        # What was sent may have arrived.
        raise LostAnswerError(f"{place} broke off ({type(error).__name__}).") from None
    if answer.is_success:
        return answer
    status = answer.status_code
    after = answer.headers.get("Retry-After", "")
    wait_s = int(after) if after.isdigit() else 0
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise PatienceError(place, wait_s)
    if status == httpx.codes.REQUEST_TIMEOUT or answer.is_server_error:
        raise LostAnswerError(f"{place} answered {status}.", wait_s)
    raise refusal(status)
