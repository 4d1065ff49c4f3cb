"""What the fake receivers have in common: an HTTP server of their own, and faults to come, one a request."""

import socket
import struct
import threading
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

CallT = TypeVar("CallT", bound=str)
FaultT = TypeVar("FaultT")


class Faults(Generic[CallT, FaultT]):
    """The faults to come, one a request, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._planned: deque[tuple[CallT, FaultT | None]] = deque()
        self._lock = threading.Lock()

    def plan(self, fault: FaultT | None, *, times: int, call: CallT) -> None:
        """Let the next `times` requests of kind `call` meet with `fault`; ``None``: with nothing."""
        with self._lock:
            self._planned.extend([(call, fault)] * times)

    def next(self, call: CallT) -> FaultT | None:
        """The fault that this request meets with."""
        with self._lock:
            for planned in self._planned:
                if planned[0] == call:
                    self._planned.remove(planned)
                    return planned[1]
        return None


class Served(Generic[CallT, FaultT]):
    """A fake behind an HTTP server on 127.0.0.1; a context manager, which serves inside the block.

    Each request's handler finds it as ``self.fake``.
    """

    #: Whom an error names.
    known_as: ClassVar[str]
    #: Answers the requests of one connection.
    handler: ClassVar[type[BaseHTTPRequestHandler]]

    def __init__(self) -> None:
        """Make it; it does not serve yet."""
        self.faults = Faults[CallT, FaultT]()
        self._calls: Counter[CallT] = Counter()
        self._counting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        handler = type("Handler", (self.handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name=self.known_as, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    @property
    def url(self) -> str:
        """Where the running server is.

        :raises RuntimeError: It does not run.
        """
        if self._server is None:
            raise RuntimeError(f"{self.known_as} has an address only while it runs: use it as a context manager")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> Counter[CallT]:
        """How often each kind of call came, refused ones included."""
        with self._counting:
            return Counter(self._calls)

    def count(self, call: CallT) -> None:
        """Note that a call came."""
        with self._counting:
            self._calls[call] += 1


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """End the connection without a word; with a reset, so that the client does not take what is missing for the end."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
