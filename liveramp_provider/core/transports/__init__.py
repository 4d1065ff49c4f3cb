"""How sealed bytes reach a receiver, once. A transport knows no destination's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim


class Transport(Protocol):
    """A way to a receiver; the connection is opened anew for every call."""

    def check(self, folder: str) -> None:
        """Log in and look at `folder`; nothing is written.

        :raises ConfigError: Host key, credentials or folder are not as configured.
        :raises TransportError: The server does not answer.
        """

    def send(self, file: Path, claim: Claim) -> None:
        """Bring the claimed delivery to COMMITTED, from wherever it stands.

        :param file: The sealed bytes; their size and digest are in the claim.
        :raises ConfigError: As in :meth:`check`.
        :raises TransportError: It broke off; the ledger knows how far it came.
        :raises DeliveryInDoubtError: Nobody can know whether the receiver has the file.
        """
