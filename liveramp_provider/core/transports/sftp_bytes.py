"""The bytes of a file on their way to a server: every write acknowledged, the size asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.errors import RemoteFullError, TransportError
from liveramp_provider.core.progress import step

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.transports.sftp_session import Session

# What must get through within the time of one operation.
_CHUNK_BYTES = 4 * 1024 * 1024


async def write_all(session: Session, remote: asyncssh.SFTPClientFile, file: Path, claim: Claim) -> int | None:
    """Write `file`, the last byte by itself; returns the size that the server says it has.

    A server may do the writes of one chunk in any order. The last byte waits until all others are acknowledged, so that
    a file of full size has no hole.

    :returns: ``None`` where the server tells no sizes.
    :raises RemoteFullError: The server stores no more.
    :raises TransportError: It has another size than was sent.
    """
    due, sent = claim.delivery.size_bytes, 0
    with (
        step(f"deliver: uploading {claim.delivery.name}", unit="bytes", total=due) as progress,
        file.open("rb") as local,
    ):
        while chunk := local.read(_CHUNK_BYTES):
            is_last = sent + len(chunk) >= due
            for piece in filter(None, (chunk[:-1], chunk[-1:]) if is_last else (chunk,)):
                try:
                    await session.within(remote.write(piece))
                except _STORES_NO_MORE:
                    raise RemoteFullError(
                        f"{session.where} stores no more after {sent:,} of {due:,} bytes: its disk, or our share of "
                        "it, is full most likely. A task tries it again; if it stays, ask LiveRamp for room."
                    ) from None
                sent += len(piece)
                progress.add(len(piece))
            claim.renew()
    size = await told_size(session, remote)
    if size is not None and size != due:
        raise TransportError(f"{session.where} keeps {size:,} of {due:,} bytes. A task sends it again.")
    return size


# Most servers speak a version of the protocol that has no word for a full disk.
_STORES_NO_MORE = (asyncssh.SFTPFailure, asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)


async def told_size(session: Session, remote: asyncssh.SFTPClientFile) -> int | None:
    """What the server says of the size of an open file; ``None`` where it will not say."""
    try:
        return (await session.within(remote.stat())).size
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
        return None
