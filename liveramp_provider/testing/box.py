"""LiveRamp in a box: the server's life, and everything a test or a demo asks it."""

import asyncio
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import asyncssh

from liveramp_provider.testing.keys import pgp_keys
from liveramp_provider.testing.private_files import kept, private_folder, write_private
from liveramp_provider.testing.receiver import Receiver
from liveramp_provider.testing.s3 import FakeS3
from liveramp_provider.testing.server import Door, DropFolder, is_final, openssh_text
from liveramp_provider.testing.values import LiveRampAudience, ReceivedFile


class LiveRampBox:
    """Servers on 127.0.0.1, one of SFTP and one of S3, that receive, check and ingest files as LiveRamp does.

    Use it as a context manager; it serves inside the block.

    A file is picked up the moment it has its final name, which is one that starts neither with a dot nor with an
    underscore: renamed to it, or closed under it. It has been read before the client gets its answer, so `files`
    is up to date as soon as an upload returns, and the file is gone from the folder. An object is picked up whenever it
    is written, whatever its name, and stays; the folder of an audience is the prefix in the bucket of `s3`.

    `home` keeps everything over restarts: keys, password, folders, received files, seed configurations, members. It
    needs the same care as the files that you deliver, because the box's private key lies beside them. One box at a
    time may use a home.

    The rules are LiveRamp's for the United States, and strict: where LiveRamp would match nobody, the box rejects.
    """

    def __init__(
        self,
        home: Path,
        *,
        audiences: Sequence[LiveRampAudience],
        folders: Sequence[str] = (),
        username: str = "acme",
        port: int = 0,
    ) -> None:
        """Make the box, and on first use its keys, which takes about a second.

        :param home: Folder for the state; made if it is missing, mode 0700.
        :param audiences: What LiveRamp's support has set up. Each one's folder is made.
        :param folders: Further folders below ``/uploads``, whose files are kept and belong to no audience.
        :param port: 0 takes a free one at every start.
        :raises ValueError: Two audiences have the same name.
        :raises RuntimeError: GnuPG is not installed.
        """
        self.host = "127.0.0.1"
        self.username = username
        self._home = private_folder(home.absolute())
        self._wanted_port = port
        self._uploads_to_cut = 0
        self._port: int | None = None
        self._host_key = asyncssh.import_private_key(kept(self._home / "host_key", _new_host_key))
        self.password = kept(self._home / "password", lambda: secrets.token_urlsafe(24).encode()).decode("ascii")
        self.host_key = openssh_text(self._host_key)
        self._pgp = pgp_keys(self._home / "pgp")
        self.pgp_public_key = self._pgp.public
        self.pgp_fingerprint = self._pgp.fingerprint
        self._receiver = Receiver(self._home, audiences=audiences, keys=self._pgp)
        self._root = private_folder(self._home / "sftp")
        self.uploads = private_folder(self._root / "uploads")
        for folder in (*(audience.folder for audience in audiences), *folders):
            private_folder(self._root / folder.lstrip("/"))
        self.s3 = FakeS3(self._home / "s3", prefix="uploads/", arrived=self._copy_object)
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        """Start the server. Files that an earlier run had no time for are read first."""
        if self._thread is not None:
            raise RuntimeError("the box is running already")
        self._sweep()
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="liveramp-in-a-box", daemon=True
        )
        self._thread.start()
        try:
            self._port = started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        self.s3.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server: connections are closed, files being read are finished, the thread is gone."""
        if self._thread is not None:
            self.s3.__exit__(kind, error, trace)
            self._stop()
            self._thread.join()
        self._thread = self._port = None

    @property
    def port(self) -> int:
        """The port of the running server.

        :raises RuntimeError: The box is not running.
        """
        if self._port is None:
            raise RuntimeError("the box has a port only while it runs: use it as a context manager")
        return self._port

    def files(self) -> tuple[ReceivedFile, ...]:
        """Return every file the box has ever picked up, in order of arrival."""
        return self._receiver.files()

    def members(self, audience: str) -> frozenset[str]:
        """Return the audience keys (values of the first column) that an audience holds now.

        :raises KeyError: The box has no such audience.
        """
        return self._receiver.members(audience)

    def segments(self) -> dict[str, int]:
        """Return the number of members of every audience by name."""
        return self._receiver.segments()

    def decrypted(self, name: str) -> bytes:
        """Return the plain CSV bytes of the newest received file called `name`.

        :raises KeyError: The box has not received such a file.
        :raises liveramp_provider.testing.keys.CannotOpenError: The file cannot be decrypted or unzipped.
        """
        return self._receiver.decrypted(name)

    def map_paused(self, audience: str) -> tuple[ReceivedFile, ...]:
        """Do what a person at LiveRamp does about a paused file: adopt its header as the new seed configuration.

        The paused file and those queued behind it are ingested in order. One that differs from the new configuration
        is paused again.

        :returns: The files that had waited, with their new status.
        :raises ValueError: No file of the audience is paused.
        """
        return self._receiver.map_paused(audience)

    def cut_uploads(self, times: int) -> None:
        """Hang up in the middle of the next uploads: half of what a client writes is kept, then the line is dead.

        :param times: How many uploads break off; the one after them works.
        """
        self._uploads_to_cut = times

    def authorize_key(self, public_key: str) -> None:
        """Let the user in with the private half of `public_key` (``ssh-ed25519 AAAA…``) as well as with the password.

        :raises asyncssh.KeyImportError: `public_key` is not a public key.
        """
        accepted = self._authorized_keys() | {openssh_text(asyncssh.import_public_key(public_key))}
        write_private(self._home / "authorized_keys", "\n".join(sorted(accepted)).encode("ascii"))

    def connection_json(self) -> str:
        """Return an Airflow connection as JSON, for ``AIRFLOW_CONN_LIVERAMP_DEFAULT``. It contains the password.

        :raises RuntimeError: The box is not running.
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

    def _is_cut(self) -> bool:
        if not self._uploads_to_cut:
            return False
        self._uploads_to_cut -= 1
        return True

    def _authorized_keys(self) -> set[str]:
        path = self._home / "authorized_keys"
        return set(path.read_text(encoding="ascii").splitlines()) if path.exists() else set()

    def _sweep(self) -> None:
        self._receiver.catch_up()
        for path in sorted(path for path in self.uploads.rglob("*") if path.is_file() and is_final(path.name)):
            self._receiver.read(self._receiver.take(path, PurePosixPath("/") / path.relative_to(self._root).as_posix()))

    def _copy_object(self, content: Path, key: str) -> None:
        copy = self._home / f"copy-{secrets.token_hex(8)}"
        shutil.copyfile(content, copy)
        self._receiver.read(self._receiver.take(copy, PurePosixPath("/") / key))

    async def _serve(self, started: Future[int]) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        connections: set[asyncssh.SSHServerConnection] = set()
        # One worker: files are read in the order in which they were picked up.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="liveramp-reader") as reader:
            try:
                acceptor = await self._listen(connections, reader)
            except BaseException as error:  # noqa: BLE001 - raised again by __enter__
                started.set_exception(error)
                return
            self._stop = partial(loop.call_soon_threadsafe, stopping.set)
            started.set_result(acceptor.get_port())
            await stopping.wait()
            acceptor.close()
            for connection in list(connections):
                connection.close()
            await asyncio.gather(acceptor.wait_closed(), *(connection.wait_closed() for connection in connections))

    async def _listen(
        self, connections: set[asyncssh.SSHServerConnection], reader: ThreadPoolExecutor
    ) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.host,
            self._wanted_port,
            server_factory=partial(
                Door,
                username=self.username,
                password=self.password,
                authorized_keys=self._authorized_keys,
                open_connections=connections,
            ),
            server_host_keys=[self._host_key],
            sftp_factory=partial(
                DropFolder, root=self._root, pick_up=partial(self._pick_up, reader), is_cut=self._is_cut
            ),
        )

    async def _pick_up(self, reader: ThreadPoolExecutor, path: Path, remote: PurePosixPath) -> None:
        number = self._receiver.take(path, remote)
        # A client that hangs up now must not stop the reading of a file that is already taken.
        await asyncio.shield(asyncio.wrap_future(reader.submit(self._receiver.read, number)))


def _new_host_key() -> bytes:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh")
