"""What was delivered, and the lock that keeps it from being delivered twice. No person's data is in here."""

from liveramp_provider.core.ledger.evidence import EVIDENCE
from liveramp_provider.core.ledger.health import Health
from liveramp_provider.core.ledger.ledger import Claim, Ledger
from liveramp_provider.core.ledger.reading import reading, recorded
from liveramp_provider.core.ledger.records import Delivery, State, delivery_id
from liveramp_provider.core.ledger.resolution import Outcome, resolve

__all__ = [
    "EVIDENCE",
    "Claim",
    "Delivery",
    "Health",
    "Ledger",
    "Outcome",
    "State",
    "delivery_id",
    "reading",
    "recorded",
    "resolve",
]
