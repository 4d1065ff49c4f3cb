"""The drop folder of the faulty server: every operation is counted, and may go wrong on its way."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, NoReturn, cast

import asyncssh

from liveramp_provider.testing.server import DropFolder, is_final
from liveramp_provider.testing.sftp.answers import BackwardAnswers
from liveramp_provider.testing.sftp.faults import Call, Fault, Faults, OneSession
from liveramp_provider.testing.sftp.pickup import Pickup, Receiver

#: Counts how often a client looked at a final name, by asking for it or by listing its folder.
LOOKED = "final name looked at"

_LOOKS = ("stat", "lstat", "scandir")
_TICK_S = 0.005

Attributes = asyncssh.SFTPAttrs | os.stat_result


class FaultyFolder(DropFolder):
    """One session of one client."""

    def __init__(
        self,
        chan: asyncssh.SSHServerChannel[bytes],
        *,
        root: Path,
        receiver: Receiver,
        pickup: Pickup,
        faults: Faults,
        calls: Counter[str],
        open_connections: set[asyncssh.SSHServerConnection],
        sessions: set[asyncssh.SFTPServer],
    ) -> None:
        super().__init__(chan, root=root, pick_up=receiver.pick_up, is_cut=lambda: False)
        self._receiver = receiver
        self._pickup = pickup
        self._faults = OneSession(faults)
        self._calls = calls
        self._open_connections = open_connections
        self._sessions = sessions
        self._arrived: Counter[int] = Counter()
        self._writes: Counter[int] = Counter()
        self._written: set[Path] = set()
        self._hung_up = False
        self._channel = chan
        self._answers: BackwardAnswers | None = None
        sessions.add(self)

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file."""
        faults = self._called("open", path)
        if Fault.LOSE_OPEN in faults:
            raise asyncssh.SFTPConnectionLost("the storage is away")
        if Fault.STALL_OPEN in faults:
            await self._stall()
        file = super().open(path, pflags, attrs)
        if pflags & asyncssh.FXF_WRITE:
            self._written.add(Path(os.fsdecode(cast("IO[bytes]", file).name)))
        self._arrived[id(file)] = self._writes[id(file)] = 0
        return file

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, all of it or what a fault lets through."""
        faults = self._called("write")
        if Fault.BACKWARD in faults:
            self._answers = self._answers or BackwardAnswers(self._channel)
        key = id(file_obj)
        before, self._arrived[key] = self._arrived[key], self._arrived[key] + len(data)
        self._writes[key] += 1
        if Fault.SLOW in faults:
            await self._sleep(len(data) / faults[Fault.SLOW])
        if self._writes[key] == faults.get(Fault.FAIL_WRITE):
            raise asyncssh.SFTPFailure("cannot write")
        limits = [faults[fault] for fault in _LIMITS if fault in faults]
        kept = data[: max(0, min(limits) - before)] if limits else data
        if kept:
            await super().write(file_obj, offset, kept)
        for fault in _LIMITS:
            if fault in faults and self._arrived[key] >= faults[fault] + (fault is Fault.QUOTA):
                await self._break_off(fault)
        return len(data)

    async def _break_off(self, fault: Fault) -> None:
        if fault is Fault.DROP_AT:
            self._hang_up()
        if fault is Fault.STALL_WRITE:
            await self._stall()
        if fault is Fault.QUOTA:
            raise asyncssh.SFTPFailure("no room")

    async def fstat(self, file_obj: object) -> Attributes:
        """Tell of an open file."""
        faults = self._called("fstat")
        if Fault.STALL_FSTAT in faults:
            await self._stall()
        if Fault.FSTAT_DENIED in faults or not self._pickup.tells:
            raise asyncssh.SFTPPermissionDenied("nothing is told of files")
        return _without_size(super().fstat(file_obj), faults)

    async def close(self, file_obj: object) -> None:
        """Close a file; also called for what a client left open."""
        if self._is_gone:
            await super().close(file_obj)
            return
        faults = self._called("close")
        if Fault.STALL_CLOSE in faults:
            try:
                await self._stall()
            finally:
                await super().close(file_obj)
        if Fault.FAIL_CLOSE in faults:
            file = cast("IO[bytes]", file_obj)
            file.flush()
            os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size // 2)
            file.close()
            raise asyncssh.SFTPFailure("cannot close")
        await super().close(file_obj)
        if Fault.TAKES_ALL in faults:
            Path(os.fsdecode(cast("IO[bytes]", file_obj).name)).unlink(missing_ok=True)
        if Fault.LOSE_CLOSE_REPLY in faults:
            self._hang_up()

    async def stat(self, path: bytes) -> Attributes:
        """Tell of a file by its name."""
        faults = self._looked("stat", path)
        return _without_size(super().stat(path), faults)

    async def lstat(self, path: bytes) -> Attributes:
        """Tell of a file by its name."""
        faults = self._looked("lstat", path)
        return _without_size(super().lstat(path), faults)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """List a folder."""
        self._looked("scandir", path)
        async for name in super().scandir(path):
            yield name

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file to a name that is free."""
        faults = self._called("rename", newpath)
        if Fault.NO_PLAIN_RENAME in faults:
            raise asyncssh.SFTPPermissionDenied("this rename is not allowed")
        await self._before_rename(faults)
        await super().rename(oldpath, newpath)
        await self._after_rename(faults)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Rename a file, replacing a file of the new name."""
        faults = self._called("posix_rename", newpath)
        if Fault.NO_POSIX_RENAME in faults:
            raise asyncssh.SFTPOpUnsupported("this rename is not known")
        await self._before_rename(faults)
        await super().posix_rename(oldpath, newpath)
        await self._after_rename(faults)

    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        if Fault.NO_REMOVE in self._called("remove", path):
            raise asyncssh.SFTPPermissionDenied("nothing is removed")
        await super().remove(path)

    async def exit(self) -> None:
        """The session is over."""
        self._receiver.session_ended(self._written)
        self._sessions.discard(self)

    async def _before_rename(self, faults: dict[Fault, int]) -> None:
        if Fault.DROP_BEFORE_RENAME in faults:
            self._hang_up()
        if Fault.STALL_RENAME in faults:
            await self._stall()
        if Fault.RENAME_REFUSED in faults or not self._pickup.renames:
            raise asyncssh.SFTPPermissionDenied("nothing is renamed")
        if Fault.RENAME_FAILS in faults:
            raise asyncssh.SFTPFailure("cannot rename")

    async def _after_rename(self, faults: dict[Fault, int]) -> None:
        if Fault.DROP_AFTER_RENAME in faults:
            self._hang_up()
        if Fault.STALL_AFTER_RENAME in faults:
            await self._stall()

    def _called(self, call: Call, path: bytes = b"") -> dict[Fault, int]:
        """Count a call; returns the faults that it meets with.

        What a client sent before it saw that the line is dead has no effect.
        """
        if self._is_gone:
            raise asyncssh.SFTPConnectionLost("gone")
        self._calls[call] += 1
        return self._faults.of(call)

    def _looked(self, call: Call, path: bytes) -> dict[Fault, int]:
        faults = self._called(call, path)
        local = self._root / os.fsdecode(path).lstrip("/")
        # Of a folder, only a list tells what is in it.
        if is_final(local.name) and (call == "scandir" or not local.is_dir()):
            self._calls[LOOKED] += 1
        if Fault.STAT_DENIED in faults or not self._pickup.tells:
            raise asyncssh.SFTPPermissionDenied("nothing is told of files")
        return faults

    @property
    def _is_gone(self) -> bool:
        return self._hung_up or self._connection not in self._open_connections

    def _hang_up(self) -> NoReturn:
        self._hung_up = True
        self._connection.abort()
        raise asyncssh.SFTPConnectionLost("cut")

    async def _stall(self) -> NoReturn:
        """Say nothing, until the client gives up."""
        await self._sleep(float("inf"))
        raise asyncssh.SFTPConnectionLost("gone")

    async def _sleep(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while not self._is_gone and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_TICK_S)


_LIMITS = (Fault.DROP_AT, Fault.STALL_WRITE, Fault.QUOTA, Fault.SHORT)


def _without_size(attributes: object, faults: dict[Fault, int]) -> Attributes:
    told = cast("Attributes", attributes)
    if Fault.NO_SIZE not in faults:
        return told
    mode = told.st_mode if isinstance(told, os.stat_result) else told.permissions
    return asyncssh.SFTPAttrs(permissions=mode)
