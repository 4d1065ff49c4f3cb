"""What a file builds on that brings only changes: what its receiver knows for sure, from ledger and staging.

Where anything is in doubt the answer is nothing, and the file brings everything: a full file mends what went before.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Base, Snapshot
from liveramp_provider.core.ledger.reading import recorded
from liveramp_provider.core.ledger.records import State
from liveramp_provider.core.naming import delivered_name
from liveramp_provider.core.parts import sealed_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.ledger.reading import LedgerAt
    from liveramp_provider.core.ledger.records import Delivery
    from liveramp_provider.core.staging import Staging

log = logging.getLogger(__name__)

#: Every file brings everything.
NO_BASES: Mapping[str, Base] = MappingProxyType({})


def bases_of(
    audience: Audience,
    destination: Destination,
    day: date,
    *,
    revision: int = 1,
    deliveries: Sequence[Delivery],
    staging: Staging,
) -> dict[str, Base]:
    """What each iterative file of `destination` builds on, by its slot; one that is not in it brings everything.

    :param deliveries: All that the ledger has of the audience.
    :param staging: Where what was delivered lies sealed.
    """
    found = {}
    for file in destination.files:
        if file.iterative:
            base = _base(audience, destination, file, day, revision, deliveries=deliveries, staging=staging)
            if isinstance(base, Base):
                found[file.slot] = base
            else:
                name = delivered_name(destination, audience_id=audience.id, slot=file.slot, day=day, revision=revision)
                log.warning(f"{name} brings everything, and not only what has changed: {base}")
    return found


def bases_at(
    audience: Audience,
    destination: Destination,
    day: date,
    installation: tuple[LedgerAt, Staging | None] | None,
    *,
    revision: int = 1,
) -> dict[str, Base]:
    """The same for an installation, which is only looked at; nothing where there is none, or nothing is staged.

    :raises LedgerError: The ledger cannot be read.
    """
    ledger, staging = installation or (None, None)
    if ledger is None or staging is None or not any(file.iterative for file in destination.files):
        return {}
    deliveries = recorded(ledger, audience=audience.id)
    return bases_of(audience, destination, day, revision=revision, deliveries=deliveries, staging=staging)


def _base(
    audience: Audience,
    destination: Destination,
    file: DeliveryFile,
    day: date,
    revision: int,
    *,
    deliveries: Sequence[Delivery],
    staging: Staging,
) -> Base | str:
    """What `file` builds on, or why it may not."""
    mine = [one for one in deliveries if (one.destination, one.slot) == (destination.id, file.slot)]
    held = held_for_sure(mine, day=day, revision=revision)
    if isinstance(held, str):
        return held
    _, main = sealed_of(held, staging) or ("", None)
    snapshot = _snapshot(main, audience, staging) if main else None
    if main is None or snapshot is None:
        return f"what {held.name} left at the receiver is not staged any more"
    slots = {f"{file.slot}_{number}" for number, _ in enumerate(main.parts, 2)}
    there = (destination.id, held.day, held.revision, State.COMMITTED)
    if slots - {one.slot for one in deliveries if (one.destination, one.day, one.revision, one.state) == there}:
        return f"of {held.name} not all parts were delivered"
    return Base(delivery_id=held.delivery_id, name=held.name, snapshot=snapshot)


def held_for_sure(deliveries: Sequence[Delivery], *, day: date, revision: int) -> Delivery | str:
    """The delivery after which nothing can have come to the receiver; or in words why there is none.

    :param deliveries: All of one file; that of this day and revision does not count.
    """
    others = [one for one in deliveries if (one.day, one.revision) != (day, revision)]
    committed = [(one.committed_at, one) for one in others if one.state is State.COMMITTED and one.committed_at]
    if not committed:
        return "nothing of it was delivered before"
    at, last = max(committed, key=lambda pair: pair[0])
    newest = max((one for _, one in committed), key=lambda one: (one.day, one.revision))
    if newest.day >= day:
        return f"{newest.name} of {newest.day} was delivered already"
    if last is not newest:
        return f"{last.name} was delivered after {newest.name}, which is of a later day"
    for one in others:
        if one.state is not State.COMMITTED and not one.may_change and (one.day > newest.day or one.updated_at > at):
            return f"{one.name} may have arrived after {newest.name}, and nobody knows"
    return newest


def _snapshot(main: SealedFile, audience: Audience, staging: Staging) -> Snapshot | None:
    """What the receiver knows since `main`; ``None`` where it is not staged."""
    stage = f"snapshot-{main.destination}-{main.slot}"
    return staging.find(Snapshot, main.snapshot, audience_id=audience.id, day=main.day, stage=stage)
