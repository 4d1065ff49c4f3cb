"""Whether a file goes with what the receiver was sent before: its day, its header, and how many members it has.

Source: LiveRamp pauses a file whose header differs from that of the files before, and all later ones behind it. With a
refresh method, what a file lacks is deleted there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from liveramp_provider.core.destinations.common import MAX_SHRINK_PERCENT
from liveramp_provider.core.errors import (
    DeliveryBusyError,
    OutOfOrderError,
    PermanentError,
    SchemaDriftError,
    SuspiciousShrinkError,
)
from liveramp_provider.core.guards.acceptance import Guard
from liveramp_provider.core.ledger import State, delivery_id, header_digest
from liveramp_provider.core.naming import delivered_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.audience import Audience
    from liveramp_provider.core.destination import DeliveryFile, Destination
    from liveramp_provider.core.guards.acceptance import Acceptance
    from liveramp_provider.core.ledger import Delivery, Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is known of a file that is to be sent.

    :param members: ``None`` as long as nobody has counted them.
    """

    destination: str
    audience: str
    slot: str
    day: date
    name: str
    header_sha256: str
    members: int | None

    @classmethod
    def of(cls, known: SealedFile | Delivery, *, header_sha256: str) -> Due:
        """A file that nobody has begun to send, or what a delivery has brought to the receiver by now, or will."""
        return cls(
            destination=known.destination,
            audience=known.audience,
            slot=known.slot,
            day=known.day,
            name=known.name,
            header_sha256=header_sha256,
            members=known.members,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the receiver was sent of the same file; nowhere anything before the first delivery.

    :param newest: Of the latest day.
    :param last: Delivered last, of whatever day: the header that the receiver expects.
    :param before: Of the latest day before the one that is due.
    """

    newest: Delivery | None = None
    last: Delivery | None = None
    before: Delivery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What speaks against a file."""

    guard: Guard
    error: type[PermanentError]
    words: str


def past_of(due: Due, ledger: Ledger) -> Past:
    """What the ledger knows was delivered."""
    newest = partial(ledger.newest_committed, destination=due.destination, audience=due.audience, slot=due.slot)
    return Past(
        newest=newest(),
        last=ledger.last_committed(destination=due.destination, audience=due.audience, slot=due.slot),
        before=newest(before=due.day),
    )


def order_objection(due: Due, past: Past, destination: Destination) -> Objection | None:
    """A refresh would roll the audience back to an older day."""
    method = destination.update_method
    if method == "incremental" or past.newest is None or due.day >= past.newest.day:
        return None
    words = (
        f"it is of {due.day}, and {past.newest.day} was delivered already: by {method} {destination.receiver} would "
        "go back to the older day until the next delivery"
    )
    return Objection(guard=Guard.BACKDATED, error=OutOfOrderError, words=words)


def header_objection(due: Due, past: Past, destination: Destination) -> Objection | None:
    """LiveRamp would pause the file, and all later ones behind it."""
    if past.last is None or due.header_sha256 == past.last.header_sha256:
        return None
    words = (
        f"its header is not that of {past.last.name}, which was delivered last: {destination.receiver} would pause it, "
        "and every later file behind it, until a person there maps it. Put columns and delimiter back as they were, or "
        f"agree on the new ones with {destination.receiver} first"
    )
    return Objection(guard=Guard.HEADER, error=SchemaDriftError, words=words)


def shrink_objection(due: Due, past: Past, max_percent: int | None) -> Objection | None:
    """Far fewer members than the day before are more likely a broken source than people who left.

    :param max_percent: By how much the members may fall; ``None``: by as much as they like.
    """
    if max_percent is None or past.before is None or due.members is None:
        return None
    if due.members * 100 >= past.before.members * (100 - max_percent):
        return None
    words = (
        f"{_fall(due.members, past.before)} (limit {max_percent}%, guards.max_shrink). Look for what is missing in the "
        "sources and in the build task's account"
    )
    return Objection(guard=Guard.SHRINK, error=SuspiciousShrinkError, words=words)


def objections(due: Due, destination: Destination, past: Past) -> list[Objection]:
    """All that speaks against sending what is due."""
    found = (
        order_objection(due, past, destination),
        header_objection(due, past, destination),
        shrink_objection(due, past, destination.max_shrink_percent),
    )
    return [objection for objection in found if objection is not None]


def warnings(due: Due, destination: Destination, past: Past) -> Iterator[str]:
    """What is sent all the same, and worth a line in the log."""
    if destination.update_method == "incremental" and past.newest is not None and due.day < past.newest.day:
        yield (
            f"{due.name} is of {due.day}, and {past.newest.day} was delivered already: who has left the audience "
            f"between the two comes back at {destination.receiver}"
        )
    shrunk = shrink_objection(due, past, MAX_SHRINK_PERCENT)
    if shrunk is not None and destination.max_shrink_percent is None:
        yield f"{due.name}: {shrunk.words}. guards.max_shrink is off, so it is sent"


def refusal(name: str, refused: Iterable[Objection]) -> PermanentError:
    """One error that says all that speaks against a file, and how to send it on purpose."""
    several = list(refused)
    reasons = "; ".join(objection.words for objection in several)
    words = ", ".join(objection.guard for objection in several)
    return several[0].error(
        f"{name} was not sent: {reasons}. To send it all the same, trigger the day with accept: [{words}], and the "
        "reason in accept_why."
    )


def check_alone(held: Delivery, destination: Destination, *, ledger: Ledger) -> None:
    """Nothing, unless a refresh could overtake one of another day that is under way.

    Both were judged by what is delivered by now, and of what arrives last the receiver would keep the older day. Of two
    that have each their claim at least one finds the other.

    :raises DeliveryBusyError: Another day is under way.
    """
    if destination.update_method == "incremental":
        return
    other = ledger.beside(held)
    if other is not None:
        raise DeliveryBusyError(
            f"{held.name} waits: {other.name} is being delivered by {other.holder}, and with "
            f"{destination.update_method} what arrives last counts. A task tries it again."
        )


def judge(due: Due, destination: Destination, past: Past, acceptance: Acceptance) -> list[Objection]:
    """The objections that a person has accepted; what nobody accepted is an error.

    :raises OutOfOrderError: A later day was delivered, and the receiver would go back to this one.
    :raises SchemaDriftError: The header is not that of the last delivery.
    :raises SuspiciousShrinkError: Far fewer members than the day before.
    """
    found = objections(due, destination, past)
    if refused := [objection for objection in found if objection.guard not in acceptance.guards]:
        raise refusal(due.name, refused)
    return found


def check_history(audience: Audience, day: date, revision: int, *, ledger: Ledger, acceptance: Acceptance) -> None:
    """Judge order and headers before a row is read, as far as a day's files are not delivered yet.

    A file that may not be sent keeps no other from being sent: it is an error only where none is left.

    :raises OutOfOrderError: A later day was delivered, and the receiver would go back to this one.
    :raises SchemaDriftError: A header is not that of the last delivery.
    """
    due, refusals = 0, list[PermanentError]()
    for destination in audience.destinations:
        for file in destination.files:
            one = _due(audience, destination, file, day, revision, ledger)
            if one is None:
                continue
            due += 1
            try:
                judge(one, destination, past_of(one, ledger), acceptance)
            except PermanentError as error:
                refusals.append(error)
    if refusals and len(refusals) == due:
        raise type(refusals[0])("\n".join(str(error) for error in refusals))
    for refused in refusals:
        log.warning(f"preflight: {refused}")


def _due(
    audience: Audience, destination: Destination, file: DeliveryFile, day: date, revision: int, ledger: Ledger
) -> Due | None:
    """What is to be sent of a file, as far as that is known before it is made; ``None``: it is delivered."""
    key = delivery_id(destination=destination.id, audience=audience.id, slot=file.slot, day=day, revision=revision)
    begun = ledger.find(key)
    if begun is not None and begun.state is State.COMMITTED:
        return None
    return Due(
        destination=destination.id,
        audience=audience.id,
        slot=file.slot,
        day=day,
        name=delivered_name(destination, audience_id=audience.id, slot=file.slot, day=day, revision=revision),
        header_sha256=header_digest(file.headers, delimiter=file.rules.layout.delimiter),
        members=None,
    )


def _fall(members: int, before: Delivery) -> str:
    percent = 100 - members * 100 / before.members
    return f"{members:,} members, and {before.day} had {before.members:,}: {percent:.1f}% fewer"
