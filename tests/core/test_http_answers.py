"""What an answer by HTTP means for the next try; the answers are made here, without a server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from liveramp_provider.core.errors import (
    CredentialsError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.transports.http_answers import LostAnswerError, PatienceError, answer_to
from liveramp_provider.core.transports.liveintent_api import _of_the_api, _of_the_signed_address

if TYPE_CHECKING:
    from collections.abc import Callable

THERE = "https://liveintent.example"
SIGNED = "the signed address"
REFUSAL: dict[str, Callable[[int], Exception]] = {
    THERE: partial(_of_the_api, place=THERE),
    SIGNED: _of_the_signed_address,
}


def error_of(place: str, status: int, headers: dict[str, str] | None = None) -> LiveRampError:
    """What is raised where a request is answered like that."""
    answered = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers))
    with httpx.Client(transport=answered) as client, pytest.raises(LiveRampError) as raised:
        answer_to(client, "PUT", THERE, place=place, refusal=REFUSAL[place])
    return raised.value


@pytest.mark.parametrize(
    ("status", "place", "kind", "words"),
    [
        (403, SIGNED, TransportError, " refused the file (403); the next try asks for another."),
        (500, SIGNED, LostAnswerError, " answered 500."),
        (408, THERE, LostAnswerError, " answered 408."),
        (401, THERE, CredentialsError, " refused the token (401). Ask LiveIntent for a valid one."),
        (403, THERE, CredentialsError, " refused the token (403). Ask LiveIntent for a valid one."),
        (404, THERE, RemoteFolderError, " knows no such audience (404). It may have been deleted by hand."),
        (
            400,
            THERE,
            ReceiverRefusedError,
            " refused what it was asked (400). Compare account_id, data_provider_id and action in the audience file "
            "with what LiveIntent told you.",
        ),
    ],
)
def test_every_refusal(status: int, place: str, kind: type[LiveRampError], words: str) -> None:
    """What the answer means for the next try is said by the kind of the error, and to people by its words."""
    error = error_of(place, status)
    assert (type(error), str(error)) == (kind, f"{place}{words}")


@pytest.mark.parametrize(("told", "wait_s"), [({"Retry-After": "7"}, 7), ({"Retry-After": "soon"}, 0), ({}, 0)])
@pytest.mark.parametrize(("status", "kind"), [(429, PatienceError), (503, LostAnswerError)])
def test_how_much_patience(
    told: dict[str, str], wait_s: int, status: int, kind: type[PatienceError | LostAnswerError]
) -> None:
    """A receiver that does not say in seconds how long to wait is asked again as if it had said nothing."""
    error = error_of(THERE, status, told)
    assert isinstance(error, kind)
    assert error.wait_s == wait_s
    if kind is PatienceError:
        assert str(error) == f"{THERE} asks for {wait_s} seconds of patience (429). A task tries it again."
