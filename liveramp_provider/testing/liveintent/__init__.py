"""A fake LiveIntent: its audience API as the API guide has it, which can be told to misbehave.

.. code-block:: python

    with FakeLiveIntent(actions=["add"]) as liveintent:
        liveintent.misbehave(LiveIntentFault.LOST_ANSWER, call="Put")
        ...  # deliver through liveintent.connection_json()
        assert [upload.name for upload in liveintent.uploads] == ["vip-EMAIL_HASH_2026-11-20.csv"]

It is strict where LiveIntent says something: the token, the numbers of account and data provider, one kind of
identifier a file, one value a line, no quotes; a signed address is for one file. Names of audiences need not be unique,
so that a client that makes a second one is found out. An upload goes from Pending by Running to Finished or Error, one
step each time the uploads are listed, or as fast as it is told. The list tells no names of uploads, unless it is made
to.
"""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from liveramp_provider.testing.liveintent.account import Account, Audience, UploadedFile
from liveramp_provider.testing.liveintent.faults import Call, Faults, LiveIntentFault
from liveramp_provider.testing.liveintent.server import Handler
from liveramp_provider.testing.private_files import private_folder

__all__ = ["FakeLiveIntent", "LiveIntentFault", "UploadedFile"]


class FakeLiveIntent:
    """One account behind an HTTP server on 127.0.0.1; a context manager, which serves inside the block."""

    def __init__(
        self,
        *,
        actions: Iterable[str],
        account_id: int = 12345,
        data_provider_id: int = 678,
        tells_names: bool = False,
        read_after: int = 2,
        home: Path | None = None,
    ) -> None:
        """Make the account; it does not serve yet.

        :param actions: What the API takes as ``action``.
        :param tells_names: Whether the list of uploads has their names; the published form of it has not.
        :param read_after: How often the list shows an upload unread.
        :param home: Folder that keeps audiences and uploads over restarts, and needs the care that the files need;
            made if it is missing, mode 0700. Without it, nothing is kept.
        """
        self.account = Account(
            account_id=account_id,
            data_provider_id=data_provider_id,
            actions=actions,
            tells_names=tells_names,
            read_after=read_after,
            kept_in=private_folder(home) / "account.json" if home else None,
        )
        self.token = secrets.token_urlsafe(24)
        self.faults = Faults()
        self.calls: Counter[Call] = Counter()
        self._counting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        handler = type("Handler", (Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-liveintent", daemon=True).start()
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
            raise RuntimeError("the fake LiveIntent has an address only while it runs: use it as a context manager")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def audiences(self) -> tuple[Audience, ...]:
        """Every audience, the oldest first."""
        return tuple(self.account.audiences)

    @property
    def uploads(self) -> tuple[UploadedFile, ...]:
        """Every file that came, the oldest first."""
        return tuple(self.account.uploads)

    def count(self, call: Call) -> None:
        """Note that a call came."""
        with self._counting:
            self.calls[call] += 1

    def misbehave(self, fault: LiveIntentFault, times: int = 1, *, call: Call) -> None:
        """Let the next `times` requests of kind `call` meet with `fault`, after those planned before."""
        self.faults.plan(fault, times=times, call=call)

    def connection_json(self) -> str:
        """Return an Airflow connection of type ``liveintent`` as JSON. It contains the token.

        :raises RuntimeError: The server does not run.
        """
        return json.dumps({"conn_type": "liveintent", "host": self.url, "password": self.token})
