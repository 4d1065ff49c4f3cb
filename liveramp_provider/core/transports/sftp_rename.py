"""The usual way by SFTP: a temporary name, every write and the close checked, then one rename to the final name.

Receivers may take a file the moment it has its final name, so whether it arrived is never asked of that name. A lost
answer to the rename is settled by renaming again: when the temporary name is gone, the first one worked.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.errors import RemoteFolderError, TransportError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports.sftp_bytes import write_all
from liveramp_provider.core.transports.sftp_session import MISSING, REFUSED, TAKEN

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.transports.sftp_session import Session

#: A new file, or an error where one of that name is there.
EXCLUSIVE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL


def temporary_name(folder: str) -> str:
    """A new name that no routing rule of LiveRamp can match."""
    return f"{folder}/.{secrets.token_hex(16)}.tmp"


async def send_by_rename(session: Session, file: Path, claim: Claim) -> None:
    """Bring the claim to COMMITTED."""
    if claim.delivery.state in (State.SEALED, State.UPLOADING):
        await _upload(session, file, claim)
    await _rename(session, claim)


async def _upload(session: Session, file: Path, claim: Claim) -> None:
    if claim.delivery.temp_path:
        await session.remove(claim.delivery.temp_path)
    # The ledger knows the name before it exists.
    temporary = temporary_name(claim.delivery.folder)
    claim.advance(State.UPLOADING, temp_path=temporary)
    try:
        size = await _write(session, file, claim)
    except BaseException:
        await session.remove(temporary)
        raise
    claim.advance(State.VERIFIED, evidence="E4" if size is None else "E3", host_key=session.host_key)


async def _write(session: Session, file: Path, claim: Claim) -> int | None:
    remote = await session.within(session.client.open(claim.delivery.temp_path, EXCLUSIVE, encoding=None))
    try:
        size = await write_all(session, remote, file, claim)
    except BaseException:
        # What went wrong first counts.
        with suppress(asyncssh.Error, OSError, TransportError):
            await session.within(remote.close())
        raise
    await session.within(remote.close())
    return size


async def _rename(session: Session, claim: Claim) -> None:
    """Give the upload its final name, also where an earlier try may have done so already."""
    earlier_try_may_have = claim.delivery.state is State.INTENT
    claim.advance(State.INTENT)
    temporary, final = claim.delivery.temp_path, f"{claim.delivery.folder}/{claim.delivery.name}"
    try:
        await move(session, temporary, final)
    except MISSING:
        if not earlier_try_may_have:
            raise claim.doubt("the upload vanished before its rename, and nobody can know") from None
    except TAKEN:
        if not await session.is_there(final):
            raise
        # The file of that name is ours if an earlier try's rename came through meanwhile: then the upload is gone.
        if not earlier_try_may_have or await session.is_there(temporary):
            raise claim.doubt("there is another file of that name, and nobody can know") from None
    except REFUSED:
        # A plain no: should the upload vanish from now on, then it was not by a rename of ours.
        if not earlier_try_may_have or await session.is_there(temporary):
            claim.advance(State.VERIFIED)
        raise RemoteFolderError(
            f"{session.where} does not let us rename in {claim.delivery.folder}, so the file has no final name yet. "
            "Ask LiveRamp to allow it. Where that cannot be, agree with LiveRamp on `upload: direct` in the audience "
            "file, which promises less."
        ) from None
    claim.advance(State.COMMITTED, committed_at=datetime.now(UTC))


async def move(session: Session, old: str, new: str) -> None:
    """Rename without replacing a file that is there."""
    client = session.client
    try:
        await session.within(client.rename(old, new))
    except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied):
        # posix-rename replaces, so it is looked first.
        with suppress(*MISSING):
            await session.within(client.lstat(new))
            raise asyncssh.SFTPFileAlreadyExists(new) from None
        await session.within(client.posix_rename(old, new))
