"""A fake endpoint for messages in the form of Segment's events, which can be told to misbehave.

.. code-block:: python

    with FakeEventsEndpoint() as endpoint:
        endpoint.misbehave(EventsFault.LOST_ANSWER)
        ...  # deliver through endpoint.connection_json()
        assert endpoint.repeated == 0

LiveIntent's own is not public. This one asks for both keys, and is strict where Segment says something: the form of a
message, 32 KB each, 500 KB and 2,500 messages a batch. Membership has to be a user property. A message whose id it
knows is counted and changes nothing.
"""

import json
import re
import secrets
import threading
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from liveramp_provider.testing.private_files import append_private, private_folder
from liveramp_provider.testing.serving import Served, hang_up

#: The calls that the fake knows.
Call = Literal["Batch", "Other"]

_MAX_BATCH_BYTES, _MAX_MESSAGES, _MAX_MESSAGE_BYTES = 500_000, 2_500, 32_000
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: What each kind of message must say, beside what all do.
_OWN: dict[str, dict[str, type]] = {
    "identify": {"traits": dict},
    "track": {"event": str, "properties": dict},
    "page": {"name": str},
    "screen": {"name": str},
    "group": {"groupId": str},
}


class EventsFault(StrEnum):
    """One thing that goes wrong with one request."""

    HANGS_UP = "takes nothing, and hangs up"
    LOST_ANSWER = "takes the batch, and hangs up without a word"
    LATE_ERROR = "takes the batch, and says 500"
    INTERNAL_ERROR = "takes nothing, and says 500"
    OVERLOADED = "takes nothing, and says 503 with Retry-After: 7"
    PATIENCE = "takes nothing, and says 429 with Retry-After: 2"
    MUCH_PATIENCE = "takes nothing, and says 429 with Retry-After: 3600"
    DENIED = "takes nothing, and says 401"
    UNREADABLE = "takes nothing, and says 422"
    MOVED = "takes nothing, and says 301"


_ANSWERS = {
    EventsFault.LATE_ERROR: (500, ""),
    EventsFault.INTERNAL_ERROR: (500, ""),
    EventsFault.OVERLOADED: (503, "7"),
    EventsFault.PATIENCE: (429, "2"),
    EventsFault.MUCH_PATIENCE: (429, "3600"),
    EventsFault.DENIED: (401, ""),
    EventsFault.UNREADABLE: (422, ""),
    EventsFault.MOVED: (301, ""),
}
_TAKEN = (None, EventsFault.LOST_ANSWER, EventsFault.LATE_ERROR)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    fake: "FakeEventsEndpoint"

    def do_POST(self) -> None:
        """Take a batch, or say why not."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call: Call = "Batch" if self.path == self.fake.path else "Other"
        self.fake.count(call)
        fault = self.fake.faults.next(call)
        status, retry_after = (404, "") if call == "Other" else _ANSWERS.get(fault, (200, "")) if fault else (200, "")
        if call == "Batch" and fault in _TAKEN:
            refused = self.fake.take(dict(self.headers), body)
            status = refused or status
        if fault in (EventsFault.HANGS_UP, EventsFault.LOST_ANSWER):
            hang_up(self)
            return
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: calls are counted instead."""


class FakeEventsEndpoint(Served[Call, EventsFault]):
    """An endpoint behind an HTTP server on 127.0.0.1; a context manager, which serves inside the block."""

    known_as = "the fake endpoint"
    handler = _Handler

    def __init__(
        self, *, api_key_header: str = "X-Api-Key", app_id_header: str = "X-App-Id", home: Path | None = None
    ) -> None:
        """Make the endpoint; it does not serve yet.

        :param home: Folder that keeps the messages over restarts; made if it is missing, mode 0700. Without it, nothing
            is kept.
        """
        super().__init__()
        self.path = "/v1/batch"
        self.headers = {
            api_key_header: f"key-{secrets.token_urlsafe(16)}",
            app_id_header: f"app-{secrets.token_urlsafe(8)}",
        }
        self._names = (api_key_header, app_id_header)
        #: Every message that came, the first of an id, in the order in which they came.
        self.messages: list[dict[str, Any]] = []
        self._kept_in = private_folder(home) / "messages.jsonl" if home else None
        if self._kept_in is not None and self._kept_in.exists():
            self.messages = [json.loads(line) for line in self._kept_in.read_bytes().splitlines()]
        #: How many came once more.
        self.repeated = 0
        #: How many messages each batch had, and the id of the batch.
        self.batches: list[tuple[int, str]] = []
        #: What was wrong with batches that were refused.
        self.complaints: list[str] = []
        self._lock = threading.Lock()

    def misbehave(self, fault: EventsFault, times: int = 1, *, after: int = 0) -> None:
        """Let `times` batches meet with `fault`, once `after` batches have gone well, after those planned before."""
        self.faults.plan(None, times=after, call="Batch")
        self.faults.plan(fault, times=times, call="Batch")

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Keep what is new in a batch.

        :returns: The status that refuses it; 0 where it was taken.
        """
        if any(headers.get(name) != value for name, value in self.headers.items()):
            return 401
        if len(body) > _MAX_BATCH_BYTES:
            return 413
        if headers.get("Content-Type") != "application/json":
            return 415
        try:
            batch = json.loads(body)["batch"]
        except (ValueError, KeyError, TypeError):
            batch = []
        if not isinstance(batch, list) or not 1 <= len(batch) <= _MAX_MESSAGES:
            return 400
        wrong = [words for message in batch for words in _complaints(message)]
        with self._lock:
            self.complaints += wrong
            if wrong:
                return 400
            known = {message["messageId"] for message in self.messages}
            new = [message for message in batch if message["messageId"] not in known]
            self.messages += new
            if self._kept_in is not None:
                append_private(self._kept_in, b"".join(json.dumps(message).encode() + b"\n" for message in new))
            self.repeated += len(batch) - len(new)
            self.batches.append((len(batch), headers.get("Idempotency-Key", "")))
        return 0

    def connection_json(self) -> str:
        """Return an Airflow connection of type ``liveintent_events`` as JSON. It contains the keys.

        :raises RuntimeError: The server does not run.
        """
        api_key, app_id = self._names
        return json.dumps(
            {
                "conn_type": "liveintent_events",
                "host": f"{self.url}{self.path}",
                "login": self.headers[app_id],
                "password": self.headers[api_key],
                "extra": {"api_key_header": api_key, "app_id_header": app_id},
            }
        )


def _complaints(message: Any) -> list[str]:
    """What is wrong with a message; no value of it is said."""
    if not isinstance(message, dict):
        return ["no mapping"]
    kind = message.get("type")
    if kind not in _OWN:
        return ["type"]
    texts = {"messageId": 100, "userId": 10_000, "timestamp": 24}
    found = [
        name
        for name, longest in texts.items()
        if not isinstance(message.get(name), str) or not 1 <= len(message[name]) <= longest
    ]
    found += [name for name, form in _OWN[kind].items() if not isinstance(message.get(name), form)]
    if not found and not _TIMESTAMP.fullmatch(message["timestamp"]):
        found.append("timestamp")
    traits = message.get("traits") if kind == "identify" else message.get("context", {}).get("traits")
    if not isinstance(traits, dict) or not any(value is True or value is False for value in traits.values()):
        found.append("membership")
    if len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()) > _MAX_MESSAGE_BYTES:
        found.append("size")
    return found
