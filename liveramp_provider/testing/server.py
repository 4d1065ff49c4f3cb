"""The SFTP side of the box: who may come in, and what a client may do below `/uploads`."""

import hmac
import os
import posixpath
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, cast

import asyncssh

PickUp = Callable[[Path, PurePosixPath], Awaitable[None]]


def is_final(name: str) -> bool:
    """Tell whether LiveRamp would pick up a file of this name: not one that starts with a dot or an underscore."""
    return not name.startswith((".", "_"))


class Door(asyncssh.SSHServer):
    """Lets one user in, by password or by a public key that was registered for it."""

    def __init__(
        self,
        *,
        username: str,
        password: str,
        authorized_keys: Callable[[], set[str]],
        open_connections: set[asyncssh.SSHServerConnection],
    ) -> None:
        self._username = username
        self._password = password
        self._authorized_keys = authorized_keys
        self._open_connections = open_connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection, so that the box can close it."""
        self._connection = conn
        self._open_connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._connection is not None:
            self._open_connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        """Passwords are LiveRamp's usual way."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Accept the one user with its password."""
        return self._is_user(username) and hmac.compare_digest(password.encode(), self._password.encode())

    def public_key_auth_supported(self) -> bool:
        """Public keys work, too, once registered."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Accept the one user with a registered key."""
        return self._is_user(username) and openssh_text(key) in self._authorized_keys()

    def _is_user(self, username: str) -> bool:
        return hmac.compare_digest(username.encode(), self._username.encode())


def openssh_text(key: asyncssh.SSHKey) -> str:
    """Return the public half of `key` as ``<type> <base64>``, the form of Airflow's ``host_key`` extra."""
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])


class DropFolder(asyncssh.SFTPServer):
    """Folders below `/uploads` into which files can be put; a finished one is picked up before the client is answered.

    A client can open, write, read, list, stat, rename and remove files. It cannot make folders or links or change
    attributes, because LiveRamp does not promise any of that.
    """

    def __init__(
        self, chan: asyncssh.SSHServerChannel[bytes], *, root: Path, pick_up: PickUp, is_cut: Callable[[], bool]
    ) -> None:
        self._root = Path(os.path.realpath(root))
        self._pick_up = pick_up
        self._is_cut = is_cut
        self._cut = False
        self._connection = chan.get_connection()
        self._writing: dict[int, PurePosixPath] = {}
        super().__init__(chan, chroot=os.fsencode(self._root))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file below `/uploads`; a new one is private, whatever mode the client asks for."""
        remote = self._allowed(path)
        file = super().open(path, pflags, asyncssh.SFTPAttrs(permissions=0o600))
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND):
            self._writing[id(file)] = remote
            self._cut = self._is_cut()
        return file

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, or keep half of it and hang up where the box was told to."""
        if not self._cut:
            return cast("int", super().write(file_obj, offset, data))
        super().write(file_obj, offset, data[: len(data) // 2])
        self._connection.abort()
        raise asyncssh.SFTPConnectionLost("cut")

    async def close(self, file_obj: object) -> None:
        """Close a file. One that was written under a final name is picked up now, complete or not."""
        remote = self._writing.pop(id(file_obj), None)
        written = os.fstat(cast("IO[bytes]", file_obj).fileno())
        super().close(file_obj)
        if remote is None or not is_final(remote.name):
            return
        local = self._local(remote)
        # The name may belong to another file by now.
        if local.is_file() and os.path.samestat(local.stat(), written):
            await self._pick_up(local, remote)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file to a name that is free. A final name is picked up now."""
        if self._local(self._allowed(newpath)).exists():
            raise asyncssh.SFTPFileAlreadyExists("a file of this name exists")
        await self._move(oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file, replacing a file of the new name. A final name is picked up now."""
        await self._move(oldpath, newpath)

    async def _move(self, oldpath: bytes, newpath: bytes) -> None:
        remote = self._allowed(newpath)
        source, target = self._local(self._allowed(oldpath)), self._local(remote)
        if not source.is_file():
            raise asyncssh.SFTPNoSuchFile("no such file")
        source.replace(target)
        if is_final(remote.name):
            await self._pick_up(target, remote)

    async def remove(self, path: bytes) -> None:
        """Remove a file below `/uploads` that has not been picked up."""
        self._allowed(path)
        super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse: LiveRamp makes the folders."""
        _refuse("folders are made by LiveRamp")

    def rmdir(self, path: bytes) -> NoReturn:
        """Refuse: LiveRamp owns the folders."""
        _refuse("folders belong to LiveRamp")

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse."""
        _refuse("attributes cannot be changed")

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse."""
        _refuse("attributes cannot be changed")

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> NoReturn:
        """Refuse."""
        _refuse("attributes cannot be changed")

    def symlink(self, oldpath: bytes, newpath: bytes) -> NoReturn:
        """Refuse."""
        _refuse("links are not supported")

    def link(self, oldpath: bytes, newpath: bytes) -> NoReturn:
        """Refuse."""
        _refuse("links are not supported")

    def readlink(self, path: bytes) -> NoReturn:
        """Refuse."""
        _refuse("links are not supported")

    def _allowed(self, path: bytes) -> PurePosixPath:
        """Return the client's `path` if it is a place for a file: in a folder that exists, at or below `/uploads`."""
        text = os.fsdecode(posixpath.normpath(posixpath.join(b"/", path)))
        remote = PurePosixPath("/" + text.lstrip("/"))
        if remote.parts[1:2] != ("uploads",) or len(remote.parts) < 3:
            _refuse("only files below /uploads are allowed")
        folder = self._local(remote.parent)
        if not folder.is_dir():
            raise asyncssh.SFTPNoSuchFile("no such folder")
        # A link that somebody made on this machine must not lead a client out of the box.
        if Path(os.path.realpath(folder)) != folder or self._local(remote).is_symlink():
            _refuse("links are not followed")
        return remote

    def _local(self, remote: PurePosixPath) -> Path:
        return self._root / remote.relative_to("/")


def _refuse(reason: str) -> NoReturn:
    raise asyncssh.SFTPPermissionDenied(reason)
