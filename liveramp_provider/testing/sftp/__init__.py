"""An SFTP server that can be told to misbehave, and a receiver behind it that counts what it got.

.. code-block:: python

    with FaultySftp(tmp_path / "sftp", pickup=Pickup.B) as sftp:
        sftp.misbehave(Fault.DROP_AFTER_RENAME)
        ...  # upload to sftp.folder
        sftp.poll()
        assert sftp.taken == (("file.csv", content),)

The receiver keeps every file that it takes, whole or not: a client that sends twice, or lets a torso be taken, is found
out. Names that begin with a dot or an underscore are not taken.
"""

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh

from liveramp_provider.testing.private_files import kept, private_folder
from liveramp_provider.testing.server import Door, is_final, openssh_text
from liveramp_provider.testing.sftp.faults import ALWAYS, Fault, Faults
from liveramp_provider.testing.sftp.folder import LOOKED, FaultyFolder
from liveramp_provider.testing.sftp.pickup import Pickup, Receiver

__all__ = ["ALWAYS", "LOOKED", "Fault", "FaultySftp", "Pickup"]

_PATIENCE_S = 20
_TICK_S = 0.002


class FaultySftp:
    """One folder behind an SFTP server on 127.0.0.1; a context manager, which serves inside the block."""

    host = "127.0.0.1"
    username = "liveramp"
    #: The folder to deliver to, as clients write it.
    folder = "/uploads/drop"

    def __init__(self, home: Path, *, pickup: Pickup = Pickup.B, **options: Any) -> None:
        """Make the folder; it does not serve yet.

        :param home: Folder for the state; made if it is missing, mode 0700.
        :param options: Further options of :func:`asyncssh.listen`, such as ``rekey_bytes`` or ``max_pktsize``.
        """
        private_folder(home)
        self._host_key = asyncssh.import_private_key(kept(home / "host_key", _new_host_key))
        self.host_key = openssh_text(self._host_key)
        self.password = kept(home / "password", lambda: secrets.token_urlsafe(24).encode()).decode()
        self._root = private_folder(home / "files")
        #: The same folder as a path of this machine.
        self.drop = private_folder(self._root / self.folder.lstrip("/"))
        self.pickup = pickup
        self._options = options
        self._receiver = Receiver(self.drop, pickup)
        self._faults = Faults()
        self._calls: Counter[str] = Counter()
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._sessions: set[asyncssh.SFTPServer] = set()
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None
        self._port: int | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        started: Future[int] = Future()
        serve = partial(asyncio.run, self._serve(started))
        self._thread = threading.Thread(target=serve, name="faulty-sftp", daemon=True)
        self._thread.start()
        self._port = started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server; every connection is cut."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
        self._thread = self._port = None

    @property
    def port(self) -> int:
        """The port of the running server.

        :raises RuntimeError: It does not run.
        """
        if self._port is None:
            raise RuntimeError("the faulty SFTP has a port only while it runs: use it as a context manager")
        return self._port

    def misbehave(self, fault: Fault, times: int | None = None, *, at: int = 1) -> None:
        """Let the next `times` sessions that come to it meet with `fault`, each until it ends.

        :param times: Without it: :attr:`Fault.times`.
        :param at: Where, as the fault says.
        """
        self._faults.plan(fault, times=fault.times if times is None else times, at=at)

    @property
    def taken(self) -> tuple[tuple[str, bytes], ...]:
        """What the receiver got: names and bytes, in order of arrival."""
        return self._receiver.taken

    @property
    def leftovers(self) -> tuple[str, ...]:
        """The names in the folder that no receiver takes."""
        return tuple(sorted(path.name for path in self.drop.iterdir() if not is_final(path.name)))

    @property
    def calls(self) -> Counter[str]:
        """How often each operation came, refused ones included; under :data:`LOOKED`, how often a look would have shown
        whether a final name is there.
        """
        return self._calls.copy()

    def settle(self) -> None:
        """Wait until every client has gone and what it left is closed.

        :raises TimeoutError: One stays.
        """
        patience = time.monotonic() + _PATIENCE_S
        while self._connections or self._sessions:
            if time.monotonic() > patience:
                raise TimeoutError("a client is still there")
            time.sleep(_TICK_S)

    def poll(self) -> None:
        """Let the receiver have its turn, once every client has gone: one that looks from time to time looks now."""
        self.settle()
        if self.pickup is Pickup.A:
            self._receiver.look()

    def connection_json(self) -> str:
        """Return an Airflow connection as JSON, for ``AIRFLOW_CONN_LIVERAMP_DEFAULT``. It contains the password.

        :raises RuntimeError: The server does not run.
        """
        return json.dumps(
            {
                "conn_type": "liveramp",
                "host": self.host,
                "port": self.port,
                "login": self.username,
                "password": self.password,
                "extra": {"host_key": self.host_key},
            }
        )

    async def _serve(self, started: Future[int]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            acceptor = await self._listen()
        except BaseException as error:  # noqa: BLE001 - raised again by __enter__
            started.set_exception(error)
            return
        self._stop = partial(loop.call_soon_threadsafe, stopping.set)
        started.set_result(acceptor.get_port())
        await stopping.wait()
        acceptor.close()
        there = list(self._connections)
        for connection in there:
            connection.abort()
        await asyncio.gather(acceptor.wait_closed(), *(connection.wait_closed() for connection in there))
        while self._sessions:
            await asyncio.sleep(_TICK_S)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        door = partial(
            Door,
            username=self.username,
            password=self.password,
            authorized_keys=set,
            open_connections=self._connections,
        )
        folder = partial(
            FaultyFolder,
            root=self._root,
            receiver=self._receiver,
            pickup=self.pickup,
            faults=self._faults,
            calls=self._calls,
            open_connections=self._connections,
            sessions=self._sessions,
        )
        return await asyncssh.listen(
            self.host,
            0,
            server_factory=door,
            server_host_keys=[self._host_key],
            sftp_factory=folder,
            **self._options,
        )


def _new_host_key() -> bytes:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh")
