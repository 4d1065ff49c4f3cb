"""Every error, sorted by what its reader does next: edit the configuration, stop, or try again.

No message holds a person's data: errors say what, where and how many, never which value.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class LiveRampError(Exception):
    """Root of all errors of this package."""


class ConfigError(LiveRampError):
    """The configuration is wrong: edit the audience file, the connection or the key. Never retried."""


class PermanentError(LiveRampError):
    """Running again cannot help: a person has to look. Never retried."""


class TransientError(LiveRampError):
    """The other side failed for now: retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in an audience file, and where.

    :param line: Counted from 1; 0 where the audience is written in Python and there are no lines.
    """

    where: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        line = f"line {self.line}: " if self.line else ""
        place = "the file" if self.where == "file" else f"{line}{self.where}:"
        return f"{place} {self.message.rstrip('.')}.{hint}"


class AudienceFileError(ConfigError):
    """An audience file has faults; all of them are listed, each with its line and a hint.

    :param audience: Which one it is, where a file describes several.
    """

    def __init__(self, path: Path, faults: Sequence[Fault], *, audience: str = "") -> None:
        self.path = path
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.where)))
        noun = "fault" if len(self.faults) == 1 else "faults"
        listing = "\n".join(f"  {fault}" for fault in self.faults)
        title = f"{path.name}, {audience}" if audience else path.name
        super().__init__(f"{title}: {len(self.faults)} {noun}\n{listing}")


class SnapshotDayError(ConfigError):
    """The run does not say, or contradicts itself on, which day's snapshot it is about."""


class SourceError(ConfigError):
    """A source cannot give what the audience file asks of it: a missing file, column, parameter or day."""


class ConnectionConfigError(ConfigError):
    """The connection is incomplete or unsafe: no pinned host key, or extras that switch the check off."""


class HostKeyError(ConfigError):
    """The server's host key is not the pinned one. Nothing was sent, not even the password."""


class CredentialsError(ConfigError):
    """The server refused the login."""


class RemoteFolderError(ConfigError):
    """The folder to deliver to does not exist or may not be used."""


class RefreshError(ConfigError):
    """A run is to read its day once more, and does not say why; or says why, and not that it is to."""


class StagingConfigError(ConfigError):
    """The staging cannot be used as it is configured: no such bucket, no right to it or its key, an unknown address."""


class AcceptError(ConfigError):
    """A run accepts what a guard refuses, and does not say why; or says why and not what; or there is no such guard."""


class ResolutionError(ConfigError):
    """A delivery cannot be closed by hand as asked: no such id, several, not in doubt, or no reason given."""


class RevisionError(ConfigError):
    """A day cannot be sent again as asked: nothing of it was delivered, one is in doubt, or no reason is given."""


class SharedHomeError(ConfigError):
    """Tasks run on several machines, and the ledger or the staged files lie on one of them."""


class EncryptionKeyError(ConfigError):
    """The PGP key is not the pinned one, or cannot encrypt: expired, revoked, or without an encryption subkey."""


class DataError(PermanentError):
    """The data breaks a promise of the audience file or a limit of the receiver."""


class SmallAudienceError(PermanentError):
    """A file has fewer unique members than the receiver accepts; it was not sent."""


class OutOfOrderError(PermanentError):
    """A later day was delivered already, and LiveRamp would go back to the older one; it was not sent."""


class SchemaDriftError(PermanentError):
    """A file's header is not that of the last one delivered, so LiveRamp would pause it; it was not sent."""


class ReceiverRefusedError(PermanentError):
    """The receiver refused what it was asked, or could not read a file that it had taken; its counts say more."""


class SuspiciousShrinkError(PermanentError):
    """A file has far fewer members than that of the day before; it was not sent."""


class ReceiptChainError(PermanentError):
    """The ledger's receipts are not those that were written: one was changed, or taken out."""


class SealBrokenError(PermanentError):
    """A sealed artefact's bytes are not the ones that were sealed; nothing of it is sent."""


class DeliveryInDoubtError(PermanentError):
    """Nobody can know whether the receiver has the file. It is never sent again by itself."""


class EncryptionError(TransientError):
    """The gpg program failed; no file was sealed."""


class SourceUnavailableError(TransientError):
    """A source broke off or could not be reached; nothing of it was kept."""


class StagingError(TransientError):
    """S3 did not answer as it should; what it did not take is not sealed."""


class TransportError(TransientError):
    """The connection to the receiver failed or broke; the ledger knows how far it came."""


class RemoteFullError(TransportError):
    """The receiver stores no more; what it had stored of the file was removed again, where that is allowed."""


class DeliveryBusyError(TransientError):
    """Another worker is delivering the same file right now."""


class StaleBaseError(TransientError):
    """A file brings only what has changed since a delivery that is not the last one any more; it was not sent."""


class LedgerError(TransientError):
    """The ledger cannot be reached, or another worker took this delivery over. No ledger, no delivery."""
