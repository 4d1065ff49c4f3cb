"""How sealed bytes reach a receiver, once. A transport knows no destination's rules."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from liveramp_provider.core.errors import LiveRampError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim


class Transport(Protocol):
    """A way to a receiver; the connection is opened anew for every call."""

    def check(self, folder: str) -> None:
        """Log in and look at `folder`, as far as the receiver lets one look; nothing is written.

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


@contextmanager
def freed_on_failure(claim: Claim) -> Iterator[None]:
    """Whoever tries next need not wait for the lease of one who failed; if that is somebody already, they keep it."""
    try:
        yield
    except BaseException:
        with suppress(LiveRampError):
            claim.release()
        raise
