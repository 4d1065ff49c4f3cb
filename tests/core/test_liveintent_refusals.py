"""What LiveIntent's answers mean, each by its status."""

from __future__ import annotations

import httpx
import pytest

from liveramp_provider.core.errors import CredentialsError, ReceiverRefusedError, RemoteFolderError, TransportError
from liveramp_provider.core.transports import liveintent_api
from liveramp_provider.core.transports.liveintent_api import LostAnswerError

THERE = "https://liveintent.example"


@pytest.mark.parametrize(
    ("status", "place", "kind", "words"),
    [
        (403, "the signed address", TransportError, " refused the file (403); the next try asks for another."),
        (500, "the signed address", LostAnswerError, " answered 500."),
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
def test_every_refusal(status: int, place: str, kind: type[Exception], words: str) -> None:
    """What the answer means for the next try is said by the kind of the error, and to people by its words."""
    error = liveintent_api._refusal(httpx.Response(status), place)
    assert (type(error), str(error)) == (kind, f"{place}{words}")


@pytest.mark.parametrize(("told", "wait_s"), [({"Retry-After": "7"}, 7), ({"Retry-After": "soon"}, 0), ({}, 0)])
def test_how_much_patience(told: dict[str, str], wait_s: int) -> None:
    """A receiver that does not say in seconds how long to wait is asked again as if it had said nothing."""
    error = liveintent_api._refusal(httpx.Response(429, headers=told), THERE)
    assert isinstance(error, liveintent_api.PatienceError)
    assert (error.wait_s, str(error)) == (
        wait_s,
        f"{THERE} asks for {wait_s} seconds of patience (429). A task tries it again.",
    )
