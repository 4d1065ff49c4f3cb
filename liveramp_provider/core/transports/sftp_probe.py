"""What an SFTP server lets us do in a folder, tried with a file of a few bytes that says nothing of anybody."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.errors import TransportError
from liveramp_provider.core.transports.sftp_bytes import told_size
from liveramp_provider.core.transports.sftp_rename import EXCLUSIVE, move, temporary_name
from liveramp_provider.core.transports.sftp_session import MISSING, REFUSED, TAKEN

if TYPE_CHECKING:
    from liveramp_provider.core.transports.sftp_session import Session

_CONTENT = b"liveramp doctor\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What was found.

    :param server: Host and port.
    :param keeps: Whether a file stays until it is renamed, although its name begins with a dot; where not, nothing is
        known of renames.
    :param left: What could not be removed again.
    """

    server: str
    keeps: bool
    renames: bool
    tells_sizes: bool
    left: tuple[str, ...]


async def abilities(session: Session, folder: str) -> Abilities:
    """Write a file, look at it, rename it and remove it: under names that begin with a dot, as uploads have them.

    :raises asyncssh.SFTPError: It cannot even be written.
    :raises TransportError: It broke off, and the names of what may be left are in the message.
    """
    first, second = temporary_name(folder), temporary_name(folder)
    keeps, renames = True, False
    try:
        tells_sizes = await _write(session, first)
        try:
            with suppress(*REFUSED, *TAKEN):
                await move(session, first, second)
                renames = True
        except MISSING:
            keeps = False
    except (asyncssh.Error, OSError, TransportError) as error:
        # A lost answer tells neither whether the file was made nor under which of the two names it lies.
        left = [path for path in (first, second) if not await _is_gone(session, path)]
        if not left or isinstance(error, REFUSED + MISSING):
            raise
        reason = (
            str(error) if isinstance(error, TransportError) else f"{session.where}: {type(error).__name__}: {error}"
        )
        raise TransportError(
            f"{reason.rstrip('.')}. Run liveramp doctor again; a file of a few bytes may be left there as "
            f"{' or '.join(left)}."
        ) from None
    lies_at = second if renames else first
    gone = await _is_gone(session, lies_at)
    return Abilities(
        server=session.where,
        keeps=keeps,
        renames=renames,
        tells_sizes=tells_sizes,
        left=() if gone else (lies_at,),
    )


async def _is_gone(session: Session, path: str) -> bool:
    """Remove a file; whether none of that name is there any more."""
    try:
        await session.within(session.client.remove(path))
    except MISSING:
        return True
    except (asyncssh.Error, OSError, TransportError):
        return False
    return True


async def _write(session: Session, path: str) -> bool:
    """Whether the size is told of the file while it is open."""
    remote = await session.within(session.client.open(path, EXCLUSIVE, encoding=None))
    try:
        await session.within(remote.write(_CONTENT))
        return await told_size(session, remote) == len(_CONTENT)
    finally:
        await session.within(remote.close())
