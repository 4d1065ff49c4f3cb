"""Closing a delivery in doubt: a person looked at the receiver, and says what there is. Nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from liveramp_provider.core.errors import ResolutionError
from liveramp_provider.core.ledger.evidence import A_PERSON_LOOKED
from liveramp_provider.core.ledger.records import Delivery, State

if TYPE_CHECKING:
    from liveramp_provider.core.ledger.ledger import Ledger

_MIN_PREFIX_CHARS = 8
_MAX_WHY_CHARS = 500
_MAX_WHO_CHARS = 100


class Outcome(StrEnum):
    """What somebody saw at the receiver."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not-delivered"

    @property
    def state(self) -> State:
        """The state it leads to; from SEALED, the deliver task sends again."""
        return State.COMMITTED if self is Outcome.DELIVERED else State.SEALED


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One line of the audit: who closed a delivery in doubt, how, when and why.

    :param why: What the person saw, in one line; no member's data.
    """

    delivery_id: str
    outcome: Outcome
    why: str
    who: str
    at: datetime

    @property
    def changes(self) -> dict[str, Any]:
        """What the delivery's row says from now on."""
        if self.outcome is Outcome.DELIVERED:
            return {"state": self.outcome.state, "evidence": A_PERSON_LOOKED, "committed_at": self.at}
        # The next delivery removes what may still lie under the temporary name; a late rename then finds nothing.
        return {"state": self.outcome.state, "evidence": "", "host_key": ""}


def resolve(ledger: Ledger, prefix: str, outcome: Outcome, *, why: str, who: str) -> Delivery:
    """Close the delivery in doubt whose id begins with `prefix`, and return it as it was.

    Of two who do so at once, one is refused. No worker that held it before can write to the ledger any more.

    :param prefix: At least 8 characters of the id, enough to tell it from all others.
    :param why: One printable line of at most 500 characters.
    :param who: Cut to 100 characters.
    :raises ResolutionError: No such delivery, several, one that is not in doubt, or no usable `why`.
    """
    why = _one_line(why)
    found = _the_one(ledger, prefix)
    if not found.state.may_become(outcome.state, by_a_person=True):
        raise _not_in_doubt(found)
    resolution = Resolution(
        delivery_id=found.delivery_id, outcome=outcome, why=why, who=who[:_MAX_WHO_CHARS], at=datetime.now(UTC)
    )
    if ledger.resolve(found, resolution) is None:
        raise _not_in_doubt(_the_one(ledger, found.delivery_id))
    return found


def _one_line(why: str) -> str:
    why = why.strip()
    if not why or not why.isprintable() or len(why) > _MAX_WHY_CHARS:
        raise ResolutionError(
            f"--why is no printable line of 1 to {_MAX_WHY_CHARS} characters. Say in one what you saw at the receiver."
        )
    return why


def _the_one(ledger: Ledger, prefix: str) -> Delivery:
    way_out = "liveramp deliveries lists them."
    if len(prefix) < _MIN_PREFIX_CHARS:
        raise ResolutionError(f"{prefix!r} is too short: an id needs {_MIN_PREFIX_CHARS} characters. {way_out}")
    found = ledger.beginning_with(prefix)
    if not found:
        raise ResolutionError(f"no delivery's id begins with {prefix!r}. {way_out}")
    if len(found) > 1:
        raise ResolutionError(f"several deliveries' ids begin with {prefix!r}. Write more of it. {way_out}")
    return found[0]


def _not_in_doubt(delivery: Delivery) -> ResolutionError:
    return ResolutionError(
        f"{delivery.name} of {delivery.day} ({delivery.short_id}) is {delivery.state}, not {State.IN_DOUBT}: "
        "there is nothing to resolve, and nothing was changed."
    )
