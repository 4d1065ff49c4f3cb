"""The ledger's operations: find, claim, and advance by compare-and-set."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from liveramp_provider.core.errors import DeliveryBusyError, DeliveryInDoubtError, LedgerError, RevisionError
from liveramp_provider.core.ledger.acceptances import write_acceptances
from liveramp_provider.core.ledger.health import Health
from liveramp_provider.core.ledger.reading import reason_of
from liveramp_provider.core.ledger.receipts import write_receipt
from liveramp_provider.core.ledger.records import (
    SOME_RECEIVER,
    Delivery,
    Receiver,
    State,
    deliveries,
    delivery_id_of,
    header_digest,
    health,
    of_one_file,
    resolutions,
    revisions,
)
from liveramp_provider.core.ledger.schema import bring_up_to_date, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.ledger.reading import LedgerAt
    from liveramp_provider.core.ledger.resolution import Resolution

#: How long a holder that says nothing is believed to be at work. A slow server may take a minute for each of the few
#: operations between two signs of life.
LEASE_S = 300
#: A lease that ends later than this was given by a wrong clock and counts for nothing: clocks may differ by one lease.
#: Who is taken over by mistake does no harm, the ledger stops it.
_LONGEST = timedelta(seconds=2 * LEASE_S)

_NO_LEDGER = "Nothing is sent without it."
_NO_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class Ledger:
    """Deliveries in a SQL database. Without it nothing is delivered.

    :param engine: Of PostgreSQL or SQLite; its tables are made, or brought up to date, by whoever opens it first.
    :raises ConnectionConfigError: It is another kind of database.
    :raises LedgerError: From every operation, when the database does not answer.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        with _translated():
            bring_up_to_date(engine)

    @classmethod
    def at(cls, place: LedgerAt) -> Ledger:
        """The ledger at `place`."""
        return cls(place) if isinstance(place, sa.Engine) else cls.in_file(place)

    @classmethod
    def in_file(cls, path: Path) -> Ledger:
        """A ledger in an SQLite file, which is made when it is missing; readable by its owner only."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        except OSError as error:
            raise LedgerError(f"the ledger {path} cannot be opened ({error.strerror}). {_NO_LEDGER}") from None
        url = sa.URL.create("sqlite", database=str(path))
        # A worker that forks must not share an open SQLite file with its child, so none is kept open.
        return cls(sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": 30}))

    def find(self, key: str) -> Delivery | None:
        """The delivery with that id."""
        with self.transaction() as connection:
            return _find(connection, key)

    def may_change(self, file: SealedFile) -> bool:
        """Whether nothing of `file` is at the receiver yet, so that other bytes may be sent under its name."""
        found = self.find(delivery_id_of(file))
        return found is None or found.may_change

    def newest_committed(
        self, *, destination: str, audience: str, slot: str, before: date | None = None
    ) -> Delivery | None:
        """The delivered file of the latest day, in its latest revision: what the receiver holds.

        :param before: Only of days before this one.
        """
        order = (deliveries.c.day.desc(), deliveries.c.revision.desc())
        return self._first_committed(order, destination=destination, audience=audience, slot=slot, before=before)

    def last_committed(self, *, destination: str, audience: str, slot: str) -> Delivery | None:
        """The file that was delivered last, of whatever day."""
        order = (deliveries.c.committed_at.desc(),)
        return self._first_committed(order, destination=destination, audience=audience, slot=slot, before=None)

    def _first_committed(
        self, order: Iterable[sa.ColumnElement[Any]], *, before: date | None, **file: str
    ) -> Delivery | None:
        wanted = (deliveries.c.state == State.COMMITTED, *(deliveries.c[name] == value for name, value in file.items()))
        statement = sa.select(deliveries).where(*wanted).order_by(*order).limit(1)
        if before is not None:
            statement = statement.where(deliveries.c.day < before)
        with self.transaction() as connection:
            row = connection.execute(statement).mappings().first()
        return None if row is None else Delivery.of_row(row)

    def beside(self, held: Delivery) -> Delivery | None:
        """A delivery of the same file for another day that a worker is at right now."""
        same, now = ("destination", "audience"), datetime.now(UTC)
        statement = sa.select(deliveries).where(
            *(deliveries.c[name] == getattr(held, name) for name in same),
            of_one_file(held.slot),
            deliveries.c.day != held.day,
            deliveries.c.lease_until.between(now, now + _LONGEST),
            deliveries.c.state.not_in((State.COMMITTED, State.IN_DOUBT)),
        )
        with self.transaction() as connection:
            row = connection.execute(statement).mappings().first()
        return None if row is None else Delivery.of_row(row)

    def alongside(self, held: Delivery) -> tuple[str, ...]:
        """Slots of the other files of its audience and destination that workers are at right now."""
        same = ("destination", "audience")
        statement = sa.select(deliveries.c.slot).where(
            *(deliveries.c[name] == getattr(held, name) for name in same),
            deliveries.c.slot != held.slot,
            deliveries.c.lease_until > datetime.now(UTC),
            deliveries.c.state.not_in((State.COMMITTED, State.IN_DOUBT)),
        )
        with self.transaction() as connection:
            return tuple(sorted(connection.execute(statement).scalars()))

    def health(self, audience: str) -> Health:
        """How the audience was doing when last noted."""
        with self.transaction() as connection:
            row = connection.execute(sa.select(health).where(health.c.audience == audience)).mappings().first()
        return Health.before_all(audience) if row is None else Health(**row)

    def note_health(self, now: Health) -> None:
        """Note how an audience is doing, unless a newer day has been noted meanwhile."""
        values = asdict(now)
        known = health.c.audience == now.audience
        with self.transaction() as connection:
            if connection.scalar(sa.select(health.c.day).where(known)) is None:
                connection.execute(sa.insert(health).values(values))
            else:
                connection.execute(sa.update(health).where(known, health.c.day <= now.day).values(values))

    def claim(
        self, file: SealedFile, *, folder: str, holder: str, why: str = "", receiver: Receiver = SOME_RECEIVER
    ) -> Claim:
        """Become the one worker that delivers `file`.

        A holder that died is taken over: at once by the same task, after its lease by another. A delivery that is
        committed already is returned as it is: there is nothing to do.

        :param holder: Who claims; the same for every try of one task.
        :param why: Why a day is sent again; kept when a revision beyond the first is claimed for the first time.
        :raises RevisionError: The revision before was not delivered, or there is no `why`.
        :raises DeliveryBusyError: Another worker holds it.
        :raises DeliveryInDoubtError: It cannot be known whether the receiver has it.
        """
        now = datetime.now(UTC)
        with self.transaction() as connection:
            found = _find(connection, delivery_id_of(file))
            if found is None:
                found = _new(file, folder=folder, now=now)
                if file.revision > 1:
                    _begin_revision(connection, file, found, who=holder, why=why)
                connection.execute(sa.insert(deliveries).values(_values(found)))
        if found.state is State.COMMITTED:
            return Claim(self, found, receiver)
        if found.state is State.IN_DOUBT:
            raise receiver.doubt(found, "an earlier run could not find out")
        if now < found.lease_until < now + _LONGEST and found.holder != holder:
            raise DeliveryBusyError(f"{found.name} is being delivered by {found.holder}. A task tries it again.")
        # What is at the receiver under a temporary name already stays what it is; before that, the newest file counts.
        facts = _facts(file, folder) if found.may_change else {}
        taken = self._compare_and_set(
            found,
            epoch=found.epoch + 1,
            holder=holder,
            lease_until=now + timedelta(seconds=LEASE_S),
            send_attempts=found.send_attempts + 1,
            **facts,
        )
        if taken is None:
            raise DeliveryBusyError(f"{found.name} was taken by another worker just now. A task tries it again.")
        return Claim(self, taken, receiver)

    def advance(self, held: Delivery, **changes: Any) -> Delivery:
        """Write `changes` if `held` is still what the ledger says.

        :raises LedgerError: Another worker took the delivery over: this one must stop.
        """
        written = self._compare_and_set(held, **changes)
        if written is None:
            raise _taken_over(held)
        return written

    def accept(self, held: Delivery, guards: Iterable[str], *, why: str) -> None:
        """Write down that `held` is sent although these guards refuse it; a retry adds nothing.

        :raises LedgerError: Another worker took the delivery over: this one must stop.
        """
        with self.transaction() as connection:
            if _compare_and_set(connection, held) is None:
                raise _taken_over(held)
            write_acceptances(connection, held, guards, why=why)

    def beginning_with(self, prefix: str) -> list[Delivery]:
        """The deliveries whose id begins so; two at most, for more are no better than two."""
        key = deliveries.c.delivery_id
        statement = sa.select(deliveries).where(key.startswith(prefix.lower(), autoescape=True)).limit(2)
        with self.transaction() as connection:
            return [Delivery.of_row(row) for row in connection.execute(statement).mappings()]

    def resolve(self, found: Delivery, resolution: Resolution) -> Delivery | None:
        """Close `found`, a delivery in doubt, and write down who did and why, both or neither.

        :returns: What became of it; ``None`` when it is not in doubt any more: somebody was faster.
        """
        changes = resolution.changes | {"epoch": found.epoch + 1, "lease_until": _NO_MOMENT}
        with self.transaction() as connection:
            resolved = _compare_and_set(connection, found, **changes)
            if resolved is not None:
                connection.execute(sa.insert(resolutions).values(asdict(resolution)))
        return resolved

    def _compare_and_set(self, held: Delivery, **changes: Any) -> Delivery | None:
        with self.transaction() as connection:
            return _compare_and_set(connection, held, **changes)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection within a transaction; what the database says becomes a :class:`LedgerError`."""
        with _translated(), transaction(self._engine) as connection:
            yield connection


@dataclass(slots=True)
class Claim:
    """One worker's hold on one delivery."""

    ledger: Ledger
    delivery: Delivery
    receiver: Receiver

    def advance(self, state: State, **facts: Any) -> None:
        """Record that the delivery has come to `state`, and renew the lease.

        :raises LedgerError: Another worker took it over.
        :raises ValueError: `state` cannot follow the delivery's.
        """
        if not self.delivery.state.may_become(state):
            raise ValueError(f"{self.delivery.name}: {state} cannot follow {self.delivery.state}")
        lease = datetime.now(UTC) + timedelta(seconds=LEASE_S)
        self.delivery = self.ledger.advance(self.delivery, state=state, lease_until=lease, **facts)

    def renew(self) -> None:
        """Say that the work goes on.

        :raises LedgerError: Another worker took it over.
        """
        self.advance(self.delivery.state)

    def accept(self, guards: Iterable[str], *, why: str) -> None:
        """Write down that it is sent although these guards refuse it.

        :raises LedgerError: Another worker took it over.
        """
        self.ledger.accept(self.delivery, guards, why=why)

    def release(self) -> None:
        """Let others claim it at once; for a worker that gives up in an orderly way."""
        self.delivery = self.ledger.advance(self.delivery, lease_until=_NO_MOMENT)

    def doubt(self, why: str) -> DeliveryInDoubtError:
        """Record that nobody can know, and return the error to raise."""
        self.advance(State.IN_DOUBT, evidence="")
        return self.receiver.doubt(self.delivery, why)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.IntegrityError:
        raise DeliveryBusyError("another worker began the same delivery just now. A task tries it again.") from None
    except sa.exc.SQLAlchemyError as error:
        raise LedgerError(f"the ledger does not answer ({reason_of(error)}). {_NO_LEDGER}") from None


def _taken_over(held: Delivery) -> LedgerError:
    return LedgerError(f"{held.name}: another worker took this delivery over; this one stops.")


def _compare_and_set(connection: sa.Connection, held: Delivery, **changes: Any) -> Delivery | None:
    """Write `changes` if `held` is still what the ledger says, and the receipt where they commit it; else ``None``."""
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.delivery_id == held.delivery_id,
            deliveries.c.epoch == held.epoch,
            deliveries.c.state == held.state,
        )
        .values(changes | {"updated_at": datetime.now(UTC)})
    )
    if connection.execute(statement).rowcount != 1:
        return None
    written = _find(connection, held.delivery_id)
    if written is not None and changes.get("state") is State.COMMITTED:
        write_receipt(connection, written)
    return written


def _begin_revision(connection: sa.Connection, file: SealedFile, delivery: Delivery, *, who: str, why: str) -> None:
    """Write down why a day is sent again, if it may be."""
    if not why:
        raise RevisionError(
            f"{file.name}: a day is sent again only where somebody says why. Trigger it with the reason."
        )
    main = replace(file, slot=file.after[0] if file.after else file.slot)
    before = _find(connection, delivery_id_of(replace(main, revision=file.revision - 1)))
    if before is None or before.state is not State.COMMITTED:
        stands = f"is {before.state}" if before else "was never begun"
        raise RevisionError(
            f"{file.name}: revision {file.revision} follows revision {file.revision - 1}, which {stands}. "
            "Deliver that one first, or resolve it where it is in doubt."
        )
    values = {"delivery_id": delivery.delivery_id, "revision": file.revision, "why": why, "who": who}
    connection.execute(sa.insert(revisions).values(values | {"at": delivery.created_at}))


def _find(connection: sa.Connection, key: str) -> Delivery | None:
    statement = sa.select(deliveries).where(deliveries.c.delivery_id == key)
    row = connection.execute(statement).mappings().first()
    return None if row is None else Delivery.of_row(row)


def _values(delivery: Delivery) -> dict[str, Any]:
    return {column.name: getattr(delivery, column.name) for column in deliveries.columns}


def _facts(file: SealedFile, folder: str) -> dict[str, Any]:
    return {
        "folder": folder,
        "name": file.name,
        "rows": file.rows,
        "members": file.members,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "csv_sha256": file.csv_sha256,
        "header_sha256": header_digest(file.header, delimiter=file.delimiter),
        "recipient": file.recipient,
        "suppression_sha256": file.suppression.sha256 if file.suppression else "",
    }


def _new(file: SealedFile, *, folder: str, now: datetime) -> Delivery:
    return Delivery(
        delivery_id=delivery_id_of(file),
        destination=file.destination,
        audience=file.audience,
        slot=file.slot,
        day=file.day,
        revision=file.revision,
        state=State.SEALED,
        epoch=0,
        holder="",
        lease_until=_NO_MOMENT,
        send_attempts=0,
        temp_path="",
        host_key="",
        evidence="",
        created_at=now,
        updated_at=now,
        committed_at=None,
        **_facts(file, folder),
    )
