"""The way by SFTP where nothing can be renamed: written under the final name. It is weaker, and has to be asked for.

A receiver may take the file before it is whole; that no client can prevent, so what is sent is sealed in one piece, by
PGP or gzip. When a try breaks off, its file may have been taken or not: if it is there in its full size, it arrived; if
not, a person decides, or, where the audience file says so, the same bytes are sent once more.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.errors import LiveRampError, TransportError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.transports.sftp_bytes import write_all
from liveramp_provider.core.transports.sftp_session import MISSING, REFUSED, TAKEN

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.transports.sftp_session import Session

log = logging.getLogger(__name__)

_CREATE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
_BEGUN = (State.WRITING, State.CLOSING)


async def send_directly(session: Session, file: Path, claim: Claim, *, resend: bool) -> None:
    """Bring the claim to COMMITTED.

    :param resend: Send again what may have arrived, instead of leaving it to a person.
    """
    again = claim.delivery.state in _BEGUN
    if again and await _arrived(session, claim):
        claim.advance(State.COMMITTED, evidence="S", committed_at=datetime.now(UTC))
        return
    if again and not resend:
        raise claim.doubt("an earlier try broke off while it wrote under this name, and nobody can know")
    await _give_up_upload(session, file, claim)
    if again:
        _check_same(file, claim)
        log.warning(
            f"deliver: {_final(claim)} may be at LiveRamp already, whole or in part; "
            "the audience file says on_doubt: resend, so the same bytes are sent once more"
        )
    await _write(session, file, claim, again=again)
    claim.advance(State.COMMITTED, evidence="E5", committed_at=datetime.now(UTC))


async def _arrived(session: Session, claim: Claim) -> bool:
    """Whether the file is there, whole.

    Its last byte is written when all others are acknowledged, so a file of full size is whole.
    """
    try:
        there = await session.within(session.client.stat(_final(claim)))
    except (*MISSING, *REFUSED, asyncssh.SFTPFailure):
        return False
    return there.size == claim.delivery.size_bytes


async def _give_up_upload(session: Session, file: Path, claim: Claim) -> None:
    """Remove what tries by rename left under a temporary name: it is not needed any more."""
    if claim.delivery.temp_path:
        await session.remove(claim.delivery.temp_path)
    if claim.delivery.state is not State.VERIFIED:
        return
    claim.advance(State.SEALED)
    if digest_of(file) != claim.delivery.sha256:
        # As long as it was there, the ledger kept to what had been uploaded; the next claim goes by this file.
        raise TransportError(f"{claim.delivery.name} was built anew after it was uploaded. A task tries it again.")


def _check_same(file: Path, claim: Claim) -> None:
    if digest_of(file) != claim.delivery.sha256:
        raise claim.doubt("the file was built anew after an earlier try had begun, and nobody can know")


async def _write(session: Session, file: Path, claim: Claim, *, again: bool) -> None:
    claim.advance(State.WRITING, temp_path="", host_key=session.host_key)
    remote = await _opened(session, claim, again=again)
    try:
        await write_all(session, remote, file, claim)
    except (asyncssh.Error, TransportError):
        await _take_back(session, claim, again=again)
        raise
    claim.advance(State.CLOSING)
    await session.within(remote.close())


async def _opened(session: Session, claim: Claim, *, again: bool) -> asyncssh.SFTPClientFile:
    """The file under its final name; only where an earlier try may have made it, it may be there already."""
    flags = _CREATE | (asyncssh.FXF_TRUNC if again else asyncssh.FXF_EXCL)
    try:
        return await session.within(session.client.open(_final(claim), flags, encoding=None))
    except asyncssh.SFTPConnectionLost:
        raise
    except asyncssh.SFTPError as error:
        if not again:
            if isinstance(error, TAKEN) and await session.is_there(_final(claim)):
                raise claim.doubt("there is another file of that name, and nobody can know") from None
            # A plain no: what comes to be there from now on was not put by us.
            claim.advance(State.SEALED)
        raise


async def _take_back(session: Session, claim: Claim, *, again: bool) -> None:
    """After a plain no, remove the torso before it is closed: then nothing was there to be taken.

    Not where another worker has taken over, for it may be writing there; nor where an earlier try's may be taken.
    """
    with suppress(LiveRampError):
        claim.renew()
        if await session.remove(_final(claim)) and not again:
            claim.advance(State.SEALED)


def _final(claim: Claim) -> str:
    return f"{claim.delivery.folder}/{claim.delivery.name}"
