"""Whether a day may be sent again, as far as that can be told before a row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveramp_provider.core.errors import RevisionError
from liveramp_provider.core.ledger import State, delivery_id
from liveramp_provider.core.naming import MAX_NAME_CHARS, inner_name

if TYPE_CHECKING:
    from datetime import date

    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.ledger import Ledger


def check_revision(audience: Audience, day: date, revision: int, *, ledger: Ledger) -> None:
    """Nothing, where some file of the day was delivered in the revision before, or this is the first.

    Each file is judged again when it is delivered: one that was too small the first time has nothing to be sent again.

    :raises RevisionError: Nothing of the revision before was delivered, or a name would be too long.
    """
    if revision == 1:
        return
    before = []
    for destination in audience.destinations:
        for file in destination.files:
            name = inner_name(destination, audience_id=audience.id, slot=file.slot, day=day, revision=revision)
            if len(name) > MAX_NAME_CHARS:
                raise RevisionError(f"{name}: {len(name)} characters, and {MAX_NAME_CHARS} are the most.")
            key = delivery_id(
                destination=destination.id, audience=audience.id, slot=file.slot, day=day, revision=revision - 1
            )
            before.append(ledger.find(key))
    if not any(delivery is not None and delivery.state is State.COMMITTED for delivery in before):
        raise RevisionError(
            f"revision {revision} of {day} follows revision {revision - 1}, of which no file was delivered. "
            "Deliver that one first; liveramp deliveries lists what was."
        )
