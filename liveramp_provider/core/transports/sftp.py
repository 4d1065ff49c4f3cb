"""Deliver by SFTP, in one of two ways: by a rename to the final name, or directly under it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncssh

from liveramp_provider.core.errors import RemoteFolderError
from liveramp_provider.core.ledger import State
from liveramp_provider.core.transports import freed_on_failure
from liveramp_provider.core.transports.apart import run_apart
from liveramp_provider.core.transports.sftp_direct import send_directly
from liveramp_provider.core.transports.sftp_probe import Abilities, abilities
from liveramp_provider.core.transports.sftp_rename import send_by_rename
from liveramp_provider.core.transports.sftp_session import Deadlines, SftpEndpoint, session

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

__all__ = ["Deadlines", "SftpEndpoint", "SftpTransport"]


@dataclass(frozen=True, slots=True)
class SftpTransport:
    """Sends to one server.

    :param direct: Write under the final name, where nothing can be renamed.
    :param resend: With `direct`: send again what may have arrived, instead of leaving it to a person.
    """

    endpoint: SftpEndpoint
    direct: bool = field(default=False, kw_only=True)
    resend: bool = field(default=False, kw_only=True)
    deadlines: Deadlines = field(default=Deadlines(), kw_only=True)

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        run_apart(self._check(folder))

    def probe(self, folder: str) -> Abilities:
        """Try what the server lets us do in `folder`, and leave nothing behind if it lets us remove it.

        :raises ConfigError: As in :meth:`check`; or nothing can be written there.
        :raises TransportError: The server does not answer.
        """
        return run_apart(self._probe(folder))

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        with freed_on_failure(claim):
            run_apart(self._send(file, claim))

    async def _check(self, folder: str) -> None:
        async with session(self.endpoint, folder, self.deadlines) as at_server:
            # Some servers let one write but not look; then the upload will tell.
            with suppress(asyncssh.SFTPPermissionDenied):
                kind = (await at_server.within(at_server.client.stat(folder))).type
                if kind != asyncssh.FILEXFER_TYPE_DIRECTORY:
                    raise RemoteFolderError(f"{folder} at {at_server.where} is no folder. Correct the audience file.")

    async def _probe(self, folder: str) -> Abilities:
        async with session(self.endpoint, folder, self.deadlines) as at_server:
            return await abilities(at_server, folder)

    async def _send(self, file: Path, claim: Claim) -> None:
        async with session(self.endpoint, claim.delivery.folder, self.deadlines) as at_server:
            if self._goes_directly(claim.delivery.state):
                await send_directly(at_server, file, claim, resend=self.resend)
            else:
                await send_by_rename(at_server, file, claim)

    def _goes_directly(self, state: State) -> bool:
        """What one way may have brought to the final name is finished in that way, whatever is configured by now."""
        return state in (State.WRITING, State.CLOSING) or (self.direct and state is not State.INTENT)
