"""Stage 4 of 4: put a sealed file where the receiver collects it, once."""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from liveramp_provider.core.artifacts import Receipt
from liveramp_provider.core.bases import held_for_sure
from liveramp_provider.core.errors import (
    DeliveryBusyError,
    LedgerError,
    LiveRampError,
    RemoteFolderError,
    SealBrokenError,
    SmallAudienceError,
    StaleBaseError,
)
from liveramp_provider.core.guards.acceptance import NOTHING_ACCEPTED
from liveramp_provider.core.guards.history import Due, check_alone, judge, past_of, warnings
from liveramp_provider.core.ledger import Receiver, State, delivery_id_of, header_digest, of_file
from liveramp_provider.core.progress import pace, step
from liveramp_provider.core.staging import digest_of

if TYPE_CHECKING:
    from liveramp_provider.core.artifacts import SealedFile
    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.guards.acceptance import Acceptance
    from liveramp_provider.core.ledger import Claim, Delivery, Ledger
    from liveramp_provider.core.transports import Transport

log = logging.getLogger(__name__)


def deliver(
    file: SealedFile,
    destination: Destination,
    *,
    transport: Transport,
    ledger: Ledger,
    holder: str,
    why: str = "",
    acceptance: Acceptance = NOTHING_ACCEPTED,
) -> Receipt:
    """Put `file` at the receiver under its final name, once.

    Safe to repeat: a second call finds the committed delivery and sends nothing.

    :param holder: Who delivers; the same for every try of one task.
    :param why: Why the day is sent again, where `file` is a revision beyond the first.
    :param acceptance: What is sent although a guard refuses it; the ledger keeps whatever of it was needed.
    :raises RevisionError: The revision before was not delivered, or there is no `why`; nothing was sent.
    :raises SmallAudienceError: Too few unique members; nothing was sent.
    :raises OutOfOrderError: A later day was delivered, and the receiver would go back to this one; nothing was sent.
    :raises SchemaDriftError: The header is not that of the last delivery; nothing was sent.
    :raises SuspiciousShrinkError: Far fewer members than the day before; nothing was sent.
    :raises DeliveryBusyError: What goes before it, by `after`, is not delivered; nothing was sent.
    :raises StaleBaseError: It builds on a delivery that is not the last one any more; nothing was sent.
    :raises SealBrokenError: The bytes are gone, or not those that were sealed; nothing was sent.
    :raises TransientError: It broke off, or somebody else is at it: try again.
    :raises ConfigError: Host key, credentials or folder are wrong.
    :raises DeliveryInDoubtError: Nobody can know whether the receiver has it.
    """
    started = monotonic()
    found = ledger.find(delivery_id_of(file))
    if found is not None and found.state is State.COMMITTED:
        receipt = _receipt(found, sent_now=False)
        log.info(f"deliver: {receipt.name} was delivered at {receipt.committed_at:%F %H:%M} UTC; nothing is sent")
        return receipt
    # Before a claim, so that what is refused leaves no delivery behind that waits for its end.
    _check(file, found, destination, ledger, acceptance)
    _check_seal(file)
    claim = ledger.claim(file, folder=destination.path, holder=holder, why=why, receiver=_receiver(destination))
    if claim.delivery.state is State.COMMITTED:
        return _receipt(claim.delivery, sent_now=False)
    _judge_again(claim, file, destination, acceptance)
    _check_way(claim, destination)
    transport.send(file.path, claim)
    receipt = _receipt(claim.delivery, sent_now=True)
    log.info(
        f"deliver: {receipt.name}, {receipt.rows:,} rows, {receipt.size_bytes:,} bytes, {receipt.evidence} "
        f"({pace(monotonic() - started, receipt.size_bytes, 'bytes')})"
    )
    return receipt


def _receiver(destination: Destination) -> Receiver:
    return Receiver(destination.receiver, destination.look_at)


def _check(
    file: SealedFile, found: Delivery | None, destination: Destination, ledger: Ledger, acceptance: Acceptance
) -> None:
    """Whether it may be sent, as far as that is known before a claim."""
    _check_order(file, ledger)
    _check_size(file, destination, ledger)
    due = _due(file, found)
    judge(due, destination, past_of(due, ledger), acceptance)
    if found is None or found.may_change:
        _check_base(file, ledger)


def _due(file: SealedFile, found: Delivery | None) -> Due:
    """What is judged: the file, or what of it may be at the receiver already."""
    if found is None or found.may_change:
        return _due_of(file, file, header_sha256=header_digest(file.header, delimiter=file.delimiter))
    return _due_of(file, found, header_sha256=found.header_sha256)


def _due_of(file: SealedFile, known: SealedFile | Delivery, *, header_sha256: str) -> Due:
    """What follows a main file is judged as that one is: on its own it has no history that counts."""
    return replace(Due.of(known, header_sha256=header_sha256), slot=_main_slot(file))


def _main_slot(file: SealedFile) -> str:
    return file.after[0] if file.after else file.slot


def _check_order(file: SealedFile, ledger: Ledger) -> None:
    for slot in file.after:
        before = ledger.find(delivery_id_of(replace(file, slot=slot)))
        if before is None or before.state is not State.COMMITTED:
            raise DeliveryBusyError(
                f"{file.name} waits: {slot}, which goes before it, is not delivered. A task tries it again."
            )


def _check_size(file: SealedFile, destination: Destination, ledger: Ledger) -> None:
    if file.members >= destination.min_members:
        return
    held = ledger.newest_committed(destination=file.destination, audience=file.audience, slot=_main_slot(file))
    still = (
        f"{destination.receiver} still holds the {held.members:,} members delivered for {held.day}"
        if held
        else f"{destination.receiver} holds nothing of it yet"
    )
    raise SmallAudienceError(
        f"{file.name}: {file.members:,} unique members, and a file needs {destination.min_members:,}; "
        f"it was not sent. {still}."
    )


def _check_base(file: SealedFile, ledger: Ledger) -> None:
    """Nothing, unless the file builds on something else than what the receiver has for sure."""
    if not file.base or file.after:
        return
    with ledger.transaction() as connection:
        known = of_file(connection, destination=file.destination, audience=file.audience, slot=file.slot)
    held = held_for_sure(known, day=file.day, revision=file.revision)
    if isinstance(held, str) or held.delivery_id != file.base:
        why = held if isinstance(held, str) else f"{held.name} was delivered since"
        raise StaleBaseError(
            f"{file.name} brings only what has changed, and builds on another state than the receiver's: {why}. "
            "It was not sent. A deliver task makes it anew when it is tried again."
        )


def _judge_again(claim: Claim, file: SealedFile, destination: Destination, acceptance: Acceptance) -> None:
    """Under the claim: another delivery may have been made in between, and a lost seal may have been waited for."""
    due = _due_of(file, claim.delivery, header_sha256=claim.delivery.header_sha256)
    past = past_of(due, claim.ledger)
    try:
        check_alone(claim.delivery, destination, ledger=claim.ledger)
        if claim.delivery.may_change:
            _check_base(file, claim.ledger)
        accepted = judge(due, destination, past, acceptance)
    except LiveRampError:
        claim.release()
        raise
    for warning in warnings(due, destination, past):
        log.warning(f"deliver: {warning}")
    if accepted:
        claim.accept([objection.guard for objection in accepted], why=acceptance.why)
    for objection in accepted:
        log.warning(f"deliver: {due.name}: {objection.words}; accepted ({objection.guard}): {acceptance.why}")
    for guard in sorted(acceptance.guards.difference(objection.guard for objection in accepted)):
        log.info(f"deliver: {due.name}: accept has {guard}, which was not needed")


def _check_seal(file: SealedFile) -> None:
    # The build task would find the sealed folder again, broken as it is.
    way_out = f"Delete the folder {file.path.parent} and clear the build task."
    try:
        with step(f"deliver: checking the seal of {file.name}"):
            digest = digest_of(file.path)
    except OSError as error:
        raise SealBrokenError(f"{file.name}: the staged file cannot be read ({error.strerror}). {way_out}") from None
    if digest != file.sha256:
        raise SealBrokenError(f"{file.name}: the staged bytes are not those that were sealed. {way_out}")


def _check_way(claim: Claim, destination: Destination) -> None:
    began = claim.delivery.folder
    if began.startswith("s3://") == destination.on_s3:
        return
    claim.release()
    raise RemoteFolderError(
        f"{claim.delivery.name}: an earlier try may have brought it to {began}, and the audience file now says "
        f"{destination.path}. Put the former path back until this day is delivered."
    )


def _receipt(delivery: Delivery, *, sent_now: bool) -> Receipt:
    if delivery.committed_at is None:
        raise LedgerError(f"{delivery.name}: committed without a time; the ledger was changed by hand.")
    return Receipt(
        delivery_id=delivery.delivery_id,
        destination=delivery.destination,
        slot=delivery.slot,
        day=delivery.day,
        name=delivery.name,
        folder=delivery.folder,
        rows=delivery.rows,
        members=delivery.members,
        size_bytes=delivery.size_bytes,
        sha256=delivery.sha256,
        csv_sha256=delivery.csv_sha256,
        evidence=delivery.evidence,
        committed_at=delivery.committed_at,
        sent_now=sent_now,
    )
