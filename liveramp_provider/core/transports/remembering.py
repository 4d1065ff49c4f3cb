"""A second memory beside the ledger: staging knows which deliveries were begun."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Begun
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.transports import freed_on_failure

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.staging import Place, Staging
    from liveramp_provider.core.transports import Transport


@dataclass(frozen=True, slots=True)
class RememberingTransport:
    """Sends as `transport` does, but for what may have been sent by a try of which the ledger knows nothing.

    A ledger that was lost, or restored from a backup of last week, would have it sent again. Staging remembers, as long
    as it keeps what was staged for that day.
    """

    transport: Transport
    staging: Staging

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        self.transport.check(folder)

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        delivery = claim.delivery
        place = self.staging.begun(audience_id=delivery.audience, day=delivery.day, delivery_id=delivery.delivery_id)
        with freed_on_failure(claim):
            if place.sealed(Begun) is None:
                self._remember(place, delivery.delivery_id)
            elif delivery.send_attempts == 1:
                raise claim.doubt(
                    "staging remembers a try of which this ledger knows nothing, so it was lost, or is another one. "
                    "Restore it from its backup, for nobody can know without it"
                )
        self.transport.send(file, claim)

    def _remember(self, place: Place, delivery_id: str) -> None:
        with self.staging.scratch() as scratch:
            empty = scratch / "begun"
            empty.touch()
            begun = Begun(path=empty, sha256=digest_of(empty), delivery_id=delivery_id, at=datetime.now(UTC))
            place.seal(scratch, begun)
