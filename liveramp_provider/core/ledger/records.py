"""The ledger's tables, and a delivery as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.errors import DeliveryInDoubtError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from liveramp_provider.core.artifacts import SealedFile


class State(StrEnum):
    """How far a delivery has come.

    By SFTP: SEALED → UPLOADING (a temporary name) → VERIFIED → INTENT (to rename) → COMMITTED; IN_DOUBT when nobody can
    know. INTENT goes back to VERIFIED when the server plainly refuses the rename.

    By SFTP without a rename: SEALED → WRITING (under the final name) → CLOSING → COMMITTED. WRITING goes back to SEALED
    when what was written is removed again, before it was closed; VERIFIED, when an upload is given up for this way.

    To S3: SEALED → INTENT (to create the object) → COMMITTED, a large file by way of UPLOADING (parts that are no
    object yet). INTENT goes back to SEALED when S3 plainly refuses.

    Out of IN_DOUBT leads only a person's word: to COMMITTED (it is there) or SEALED (it is not).
    """

    SEALED = "sealed"
    UPLOADING = "uploading"
    VERIFIED = "verified"
    INTENT = "intent"
    WRITING = "writing"
    CLOSING = "closing"
    COMMITTED = "committed"
    IN_DOUBT = "in_doubt"

    def may_become(self, following: State, *, by_a_person: bool = False) -> bool:
        """Whether `following` may come next; a state that is not final may also be written again.

        :param by_a_person: Somebody looked at the receiver and decides, instead of a worker.
        """
        return following in (_BY_A_PERSON if by_a_person else _FOLLOWING).get(self, ())


_FOLLOWING = {
    State.SEALED: {State.SEALED, State.UPLOADING, State.INTENT, State.WRITING, State.IN_DOUBT},
    State.UPLOADING: {State.UPLOADING, State.VERIFIED, State.INTENT, State.WRITING},
    State.VERIFIED: {State.VERIFIED, State.INTENT, State.SEALED},
    State.INTENT: {State.INTENT, State.VERIFIED, State.SEALED, State.COMMITTED, State.IN_DOUBT},
    State.WRITING: {State.WRITING, State.CLOSING, State.SEALED, State.COMMITTED, State.IN_DOUBT},
    State.CLOSING: {State.CLOSING, State.WRITING, State.COMMITTED, State.IN_DOUBT},
    State.COMMITTED: set[State](),
    State.IN_DOUBT: set[State](),
}
_BY_A_PERSON = {State.IN_DOUBT: {State.COMMITTED, State.SEALED}}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: The schema that these tables describe: the newest step in :mod:`liveramp_provider.core.ledger.migrations`.
SCHEMA_VERSION = "0004"

metadata = sa.MetaData()

deliveries = sa.Table(
    "liveramp_deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("destination", sa.String(64), nullable=False),
    sa.Column("audience", sa.String(64), nullable=False),
    sa.Column("slot", sa.String(32), nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("holder", sa.String(800), nullable=False),
    sa.Column("lease_until", UtcDateTime, nullable=False),
    sa.Column("send_attempts", sa.Integer, nullable=False),
    sa.Column("folder", sa.String(250), nullable=False),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("temp_path", sa.String(1024), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("members", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("csv_sha256", sa.String(64), nullable=False),
    sa.Column("header_sha256", sa.String(64), nullable=False),
    sa.Column("recipient", sa.String(40), nullable=False),
    sa.Column("host_key", sa.String(100), nullable=False),
    sa.Column("evidence", sa.String(2), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("committed_at", UtcDateTime, nullable=True),
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    sa.Column("suppression_sha256", sa.String(64), nullable=False, server_default=""),
    sa.Index("liveramp_deliveries_newest", "destination", "audience", "slot", "day"),
)

health = sa.Table(
    "liveramp_health",
    metadata,
    sa.Column("audience", sa.String(64), primary_key=True),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("trouble", sa.Text, nullable=False),
    sa.Column("since", sa.Date, nullable=False),
)

#: Only ever added to: who closed which delivery in doubt, how, when and why.
resolutions = sa.Table(
    "liveramp_resolutions",
    metadata,
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("why", sa.String(500), nullable=False),
    sa.Column("who", sa.String(100), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

#: Only ever added to: which delivery sent a day again on purpose, who asked for it, when and why.
revisions = sa.Table(
    "liveramp_revisions",
    metadata,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("why", sa.String(500), nullable=False),
    sa.Column("who", sa.String(800), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of the ledger: one file of one day to one destination.

    :param epoch: Counts the workers that have held this delivery; only the last one may write.
    :param lease_until: Until then the holder is believed to be at work.
    :param temp_path: Where the upload in progress lies at the receiver, known to the ledger before it is opened; at
        S3, the id of an upload in parts.
    :param evidence: How well the arrival is proven, a key of :data:`liveramp_provider.core.ledger.EVIDENCE`.
    :param committed_at: ``None`` until the file has its final name, or a person says that it has.
    :param revision: 1, or more where the day was sent again on purpose.
    :param suppression_sha256: Digest of the opt-outs that the file leaves out; empty where there is no such list.
    """

    delivery_id: str
    destination: str
    audience: str
    slot: str
    day: date
    state: State
    epoch: int
    holder: str
    lease_until: datetime
    send_attempts: int
    folder: str
    name: str
    temp_path: str
    rows: int
    members: int
    size_bytes: int
    sha256: str
    csv_sha256: str
    header_sha256: str
    recipient: str
    host_key: str
    evidence: str
    created_at: datetime
    updated_at: datetime
    committed_at: datetime | None
    revision: int = 1
    suppression_sha256: str = ""

    @property
    def short_id(self) -> str:
        """As much of the id as people read and type."""
        return self.delivery_id[:12]

    @property
    def may_change(self) -> bool:
        """Whether nothing of it is at the receiver yet, so that other bytes may be sent under its name."""
        return self.state in (State.SEALED, State.UPLOADING)

    @property
    def in_doubt(self) -> bool:
        """Whether a person has to look."""
        return self.state is State.IN_DOUBT

    @property
    def proof(self) -> str:
        """The evidence of a delivery that was made; what is known of an upload under way proves no arrival."""
        return self.evidence if self.state is State.COMMITTED else ""

    @classmethod
    def of_row(cls, row: sa.RowMapping) -> Delivery:
        """The delivery that a row of the table describes; a ledger of an earlier version may lack the last columns."""
        return cls(**{**row, "state": State(row["state"])})


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom errors name, and where a person sees what came; the ledger itself does not know.

    :param look_at: Such as ``LiveRamp's Files page``.
    """

    name: str = "the receiver"
    look_at: str = "the receiver's list of files"

    def doubt(self, delivery: Delivery, why: str) -> DeliveryInDoubtError:
        """The error that asks a person to look."""
        return DeliveryInDoubtError(
            f"{delivery.folder}/{delivery.name}: {why} whether {self.name} has this file, so it is not sent again. "
            f"Look at {self.look_at}, then say what you saw: liveramp resolve {delivery.short_id}."
        )


#: Of whom nobody says more.
SOME_RECEIVER = Receiver()


def of_one_file(slot: str) -> sa.ColumnElement[bool]:
    """Slots of a file, of its parts, and of what follows them: ``20914``, ``20914_2``, ``20914_info``."""
    main = slot.partition("_")[0]
    return sa.or_(deliveries.c.slot == main, deliveries.c.slot.startswith(f"{main}_", autoescape=True))


def header_digest(header: tuple[str, ...], *, delimiter: str = ",") -> str:
    """What the ledger keeps of a header row, to know it again: its labels, and what parts them unless it is a comma."""
    parts = header if delimiter == "," else (*header, delimiter)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def delivery_id_of(file: SealedFile) -> str:
    """Identity of the delivery of `file`."""
    return delivery_id(
        destination=file.destination, audience=file.audience, slot=file.slot, day=file.day, revision=file.revision
    )


def delivery_id(*, destination: str, audience: str, slot: str, day: date, revision: int = 1) -> str:
    """Identity of a delivery: no clock, no run and nothing of the mapping is in it, so a rerun is the same one."""
    identity = "|".join(("v1", destination, audience, slot, day.isoformat(), str(revision)))
    return hashlib.sha256(identity.encode()).hexdigest()
