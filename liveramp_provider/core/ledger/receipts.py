"""Receipts: one line for every delivery that was made, each with the digest of the one before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.errors import ReceiptChainError
from liveramp_provider.core.ledger.reading import reading
from liveramp_provider.core.ledger.records import Delivery, State, deliveries, metadata

if TYPE_CHECKING:
    from liveramp_provider.core.ledger.reading import LedgerAt

_DELIVERED = (
    *("delivery_id", "destination", "audience", "slot", "day", "revision", "holder", "send_attempts"),
    *("folder", "name", "rows", "members", "size_bytes", "sha256", "csv_sha256", "header_sha256"),
    *("suppression_sha256", "recipient", "host_key", "evidence", "created_at", "committed_at"),
)

#: Only ever added to; the database refuses anything else.
receipts = sa.Table(
    "liveramp_receipts",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    *(
        sa.Column(name, deliveries.c[name].type, nullable=False, unique=True if name == "delivery_id" else None)
        for name in _DELIVERED
    ),
    sa.Column("previous_sha256", sa.String(64), nullable=False),
    sa.Column("receipt_sha256", sa.String(64), nullable=False),
)

# Two deliveries that are committed at once come one after the other. SQLite lets one write at a time anyway.
_WAIT_FOR_THE_LAST = "select pg_advisory_xact_lock(7205759403792795)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What the receipts are when none of them was changed.

    :param receipts: How many there are.
    :param last_sha256: Digest of the last one, and so of all of them; empty where there is none.
    :param without: How many committed deliveries have none, because they are older than the receipts.
    """

    receipts: int
    last_sha256: str
    without: int


def write_receipt(connection: sa.Connection, delivery: Delivery) -> None:
    """Add the receipt of `delivery`, which the same transaction has committed."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_WAIT_FOR_THE_LAST)
    newest = sa.select(receipts.c.number, receipts.c.receipt_sha256).order_by(receipts.c.number.desc()).limit(1)
    last, digest = connection.execute(newest).one_or_none() or (0, "")
    line = {name: getattr(delivery, name) for name in _DELIVERED} | {"number": last + 1, "previous_sha256": digest}
    connection.execute(sa.insert(receipts).values(line | {"receipt_sha256": receipt_digest(line)}))


def verified(ledger: LedgerAt) -> Chain:
    """The receipts of a ledger, all read again.

    :raises ReceiptChainError: One was changed, or is missing from within the chain.
    :raises LedgerError: The ledger is not there, or cannot be read.
    """
    known, digest = 0, ""
    with reading(ledger) as connection:
        for row in connection.execute(sa.select(receipts).order_by(receipts.c.number)).mappings():
            line = dict(row)
            written = line.pop("receipt_sha256")
            if (line["number"], line["previous_sha256"], receipt_digest(line)) != (known + 1, digest, written):
                raise ReceiptChainError(
                    f"receipt {known + 1} is not what was written: it was changed, or taken out. Compare the ledger "
                    "with a backup; somebody has changed it by hand."
                )
            known, digest = known + 1, written
        committed = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.state == State.COMMITTED)
        without = committed.where(deliveries.c.delivery_id.not_in(sa.select(receipts.c.delivery_id)))
        return Chain(receipts=known, last_sha256=digest, without=connection.execute(without).scalar_one())


def receipt_digest(line: dict[str, Any]) -> str:
    """SHA-256 of a receipt without its own digest: the same in every database, and in every version to come."""
    return hashlib.sha256(json.dumps(line, default=_plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value.isoformat()
