"""What an SFTP server lets us do in a folder, tried with a file of a few bytes that says nothing of anybody."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.transports.sftp_rename import EXCLUSIVE, move
from liveramp_provider.core.transports.sftp_session import REFUSED, TAKEN

if TYPE_CHECKING:
    from liveramp_provider.core.transports.sftp_session import Session

_CONTENT = b"liveramp doctor\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What was found.

    :param server: Host and port.
    :param left: What could not be removed again.
    """

    server: str
    renames: bool
    tells_sizes: bool
    left: tuple[str, ...]


async def abilities(session: Session, folder: str) -> Abilities:
    """Write a file, look at it, rename it and remove it: under names that begin with a dot, as uploads have them.

    :raises asyncssh.SFTPError: It cannot even be written.
    """
    first, second = (f"{folder}/.{secrets.token_hex(16)}.tmp" for _ in range(2))
    renames = False
    try:
        tells_sizes = await _write(session, first)
        with suppress(*REFUSED, *TAKEN):
            await move(session, first, second)
            renames = True
    finally:
        lies_at = second if renames else first
        gone = await session.remove(lies_at)
    return Abilities(server=session.where, renames=renames, tells_sizes=tells_sizes, left=() if gone else (lies_at,))


async def _write(session: Session, path: str) -> bool:
    """Whether the size is told of the file while it is open."""
    remote = await session.within(session.client.open(path, EXCLUSIVE, encoding=None))
    try:
        await session.within(remote.write(_CONTENT))
        with suppress(*REFUSED, asyncssh.SFTPFailure):
            return (await session.within(remote.stat())).size == len(_CONTENT)
        return False
    finally:
        await session.within(remote.close())
