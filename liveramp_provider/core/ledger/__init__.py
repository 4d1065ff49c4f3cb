"""What was delivered, and the lock that keeps it from being delivered twice. No person's data is in here."""

from liveramp_provider.core.ledger.evidence import EVIDENCE
from liveramp_provider.core.ledger.health import Health
from liveramp_provider.core.ledger.ledger import Claim, Ledger
from liveramp_provider.core.ledger.probes import Probe, note_probe, probe_of
from liveramp_provider.core.ledger.reading import LedgerAt, of_file, place_of, reading, recorded
from liveramp_provider.core.ledger.receipts import Chain, verified
from liveramp_provider.core.ledger.records import Delivery, Receiver, State, delivery_id, delivery_id_of, header_digest
from liveramp_provider.core.ledger.resolution import Outcome, resolve

__all__ = [
    "EVIDENCE",
    "Chain",
    "Claim",
    "Delivery",
    "Health",
    "Ledger",
    "LedgerAt",
    "Outcome",
    "Probe",
    "Receiver",
    "State",
    "delivery_id",
    "delivery_id_of",
    "header_digest",
    "note_probe",
    "of_file",
    "place_of",
    "probe_of",
    "reading",
    "recorded",
    "resolve",
    "verified",
]
