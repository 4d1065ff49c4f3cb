"""What was delivered, and the lock that keeps it from being delivered twice. No person's data is in here."""

from liveramp_provider.core.ledger.health import Health
from liveramp_provider.core.ledger.ledger import Claim, Ledger
from liveramp_provider.core.ledger.records import Delivery, State, delivery_id

__all__ = ["Claim", "Delivery", "Health", "Ledger", "State", "delivery_id"]
