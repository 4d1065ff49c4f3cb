"""What is staged goes some days after it was sealed; what a delivery under way needs stays."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from liveramp_provider.core.artifacts import SealedFile
from liveramp_provider.core.ledger import State, recorded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from liveramp_provider.core.ledger import LedgerAt
    from liveramp_provider.core.staging import Store, StoredStage


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStages:
    """The stages of one audience and day that are old enough to go.

    :param held: A delivery of that day is not finished, so they stay.
    """

    audience: str
    day: date
    stages: int
    size_bytes: int
    held: bool


def remove_old(store: Store, *, ledger: LedgerAt, sealed_before: datetime) -> list[DayStages]:
    """Remove the stages that were sealed before that moment, and say which, by audience and day.

    The age counts from the sealing, so that an old day is not gone as soon as it is backfilled. A day stays as a whole
    while the ledger has a delivery of it that is not committed, or does not know yet of a file that is sealed and not
    old. Safe while stages run: a stage that is gone is made anew. The ledger's rows stay.

    :raises LedgerError: The ledger cannot be read; nothing more is removed.
    :raises TransientError: The store does not answer; what was removed by then is.
    """
    days: dict[tuple[str, date], list[StoredStage]] = defaultdict(list)
    for stage in store.stages():
        days[stage.audience, stage.day].append(stage)
    told = []
    for (audience, day), stages in sorted(days.items()):
        old = [stage for stage in stages if stage.sealed_at < sealed_before]
        if not old:
            continue
        young = [stage.key for stage in stages if stage.sealed_at >= sealed_before]
        held = _is_held(audience, day, young, store=store, ledger=ledger)
        if not held:
            for stage in old:
                store.remove(stage.key)
        size_bytes = sum(stage.size_bytes for stage in old)
        told.append(DayStages(audience=audience, day=day, stages=len(old), size_bytes=size_bytes, held=held))
    return told


def _is_held(audience: str, day: date, young: Iterable[str], *, store: Store, ledger: LedgerAt) -> bool:
    """Whether a delivery of that day is still to come or under way."""
    known = recorded(ledger, audience=audience, day=day)
    begun = {(delivery.destination, delivery.slot, delivery.revision) for delivery in known}
    return any(delivery.state is not State.COMMITTED for delivery in known) or not begun.issuperset(
        _sealed_files(young, store)
    )


def _sealed_files(keys: Iterable[str], store: Store) -> set[tuple[str, str, int]]:
    """Destination, slot and revision of the delivery files among the stages."""
    found = set()
    for key in keys:
        try:
            file = TypeAdapter(SealedFile).validate_json(store.manifest(key))
        except ValidationError:
            continue
        found.add((file.destination, file.slot, file.revision))
    return found
