"""What an answer by HTTP means for the next try, and whom a request is sent to at all."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.errors import (
    CredentialsError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.transports import http_answers
from liveramp_provider.core.transports.events import _refusal
from liveramp_provider.core.transports.http_answers import LostAnswerError, PatienceError, answer_to
from liveramp_provider.core.transports.liveintent_api import _of_the_api, _of_the_signed_address
from tests.servers import certificate_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

THERE = "https://liveintent.example"
SIGNED = "the signed address"
MESSAGES = "https://messages.example"
REFUSAL: dict[str, Callable[[int], Exception]] = {
    THERE: partial(_of_the_api, place=THERE),
    SIGNED: _of_the_signed_address,
    MESSAGES: partial(_refusal, place=MESSAGES),
}
_KEYS = "Compare both, and the headers that carry them, with what the receiver told you."
_SETTINGS = "Compare message, audience_key and batch_size in the audience file with what the receiver told you."


@contextmanager
def answering(status: int, headers: dict[str, str] | None = None, *, certificate: Path | None = None) -> Iterator[str]:
    """The address of a server that answers every PUT like that; with a certificate, by HTTPS."""

    class Answer(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, certificate.with_name("server.key"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def error_of(place: str, status: int, headers: dict[str, str] | None = None) -> LiveRampError:
    """What is raised where a request is answered like that."""
    with answering(status, headers) as url, pytest.raises(LiveRampError) as raised:
        answer_to("PUT", url, place=place, refusal=REFUSAL[place])
    return raised.value


@pytest.fixture
def new_trust() -> Iterator[None]:
    """Certificates to trust are read anew, in the test and after it."""
    http_answers.trusted.cache_clear()
    yield
    http_answers.trusted.cache_clear()


@pytest.mark.usefixtures("new_trust")
def test_whom_it_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes to a server whose certificate nobody knows; SSL_CERT_FILE makes a company's own authority known."""
    certificate = certificate_in(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with answering(200, certificate=certificate) as url:
        ask = partial(answer_to, "PUT", url, place=THERE, refusal=REFUSAL[THERE])
        with pytest.raises(TransportError, match=r"cannot be reached \(ConnectError\)\.$") as met:
            ask()
        assert not isinstance(met.value, LostAnswerError)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        http_answers.trusted.cache_clear()
        assert ask().status_code == 200


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
        (401, MESSAGES, CredentialsError, f" refused the API key or the App ID (401). {_KEYS}"),
        (403, MESSAGES, CredentialsError, f" refused the API key or the App ID (403). {_KEYS}"),
        *(
            (status, MESSAGES, RemoteFolderError, f" takes no messages ({status}). Compare the connection's endpoint.")
            for status in (302, 404, 405, 410)
        ),
        (413, MESSAGES, ReceiverRefusedError, " refused a batch as too large (413). Lower batch_size."),
        (400, MESSAGES, ReceiverRefusedError, f" refused a batch (400). {_SETTINGS}"),
    ],
)
def test_every_refusal(status: int, place: str, kind: type[LiveRampError], words: str) -> None:
    """What the answer means for the next try is said by the kind of the error, and to people by its words."""
    error = error_of(place, status)
    assert (type(error), str(error)) == (kind, f"{place}{words}")


def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and what was asked may have been done."""
    monkeypatch.setattr(http_answers, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(LostAnswerError) as met:
            answer_to("PUT", url, place=THERE, refusal=REFUSAL[THERE])
    assert str(met.value) == f"{THERE} broke off (ReadTimeout)."


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
