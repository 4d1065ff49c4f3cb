"""Deliver messages to an endpoint in batches, each once, as far as a sender can know.

The sealed file is cut into the same batches at every try. Before a batch is sent, the ledger is told how many messages
are acknowledged and how many are under way, so that a later try goes on where this one ended. A batch whose answer was
lost may have been taken: its messages have the same ids if they are sent again, and whether that makes them count once
is the receiver's matter.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, NamedTuple

import httpx

from liveramp_provider.core.errors import (
    CredentialsError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
    TransportError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.progress import step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.transports import freed_on_failure
from liveramp_provider.core.transports.http_answers import (
    MAX_RETRY_AFTER_S,
    PAUSES_S,
    LostAnswerError,
    answer_to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim

log = logging.getLogger(__name__)

#: Segment takes 500 KB a batch; a kilobyte may mean 1,000 bytes.
MAX_BATCH_BYTES = 500_000

_BEFORE, _AFTER = b'{"batch":[', b"]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsEndpoint:
    """Where batches go, and who sends them.

    :param headers: The keys, by the names of the headers that carry them.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def post(self, batch: Sequence[bytes]) -> None:
        """Send the JSON texts of `batch`, in the form of Segment's batches; when this returns, they were taken.

        :raises LostAnswerError: They may have been taken.
        :raises TransportError: They were not.
        :raises CredentialsError: The keys were refused.
        :raises RemoteFolderError: Nothing takes messages there.
        :raises ReceiverRefusedError: They were not taken, and will not be.
        """
        body = _BEFORE + b",".join(batch) + _AFTER
        # The batch's id: the same messages in the same order have the same one.
        own = {"Content-Type": "application/json", "Idempotency-Key": hashlib.sha256(body).hexdigest()}
        headers = {**dict(self.headers), **own}
        answer_to(
            "POST",
            self.url,
            place=self.url,
            refusal=partial(_refusal, place=self.url),
            content=body,
            headers=headers,
        )


def _refusal(status: int, place: str) -> Exception:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return CredentialsError(
            f"{place} refused the API key or the App ID ({status}). Compare both, and the headers that carry them, "
            "with what the receiver told you."
        )
    if status in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.GONE) or status < 400:
        return RemoteFolderError(f"{place} takes no messages ({status}). Compare the connection's endpoint.")
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return ReceiverRefusedError(f"{place} refused a batch as too large ({status}). Lower batch_size.")
    return ReceiverRefusedError(
        f"{place} refused a batch ({status}). Compare message, audience_key and batch_size in the audience file with "
        "what the receiver told you."
    )


class _Mark(NamedTuple):
    """How far a delivery has come.

    :param acknowledged: Messages that the receiver has, from the first on.
    :param under_way: Messages after those that it may have.
    """

    acknowledged: int
    under_way: int

    def __str__(self) -> str:
        return f"{self.acknowledged}/{self.under_way}"

    @classmethod
    def of(cls, written: str) -> _Mark:
        """As the ledger has it."""
        acknowledged, _, under_way = written.partition("/")
        return cls(int(acknowledged), int(under_way))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsTransport:
    """Sends the lines of a sealed file as messages.

    :param connect: The endpoint, with fresh keys.
    :param batch_size: How many messages a request has at most.
    :param resend: Send a batch that may have arrived again, under the same ids, instead of asking a person.
    """

    connect: Callable[[], EventsEndpoint] = field(repr=False)
    batch_size: int
    resend: bool = False

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`; the keys cannot be tried without a message."""
        endpoint = self.connect()
        log.info(f"preflight: {folder}: the connection has all it needs for {endpoint.url}; only a message can try it")

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        if claim.delivery.state is State.INTENT and digest_of(file) != claim.delivery.sha256:
            raise claim.doubt("the file was built anew after an earlier try had begun, and nobody can know")
        with freed_on_failure(claim):
            endpoint = self.connect()
            done = self._acknowledged(claim)
            with step(f"deliver: sending {claim.delivery.name}", total=claim.delivery.rows) as progress:
                progress.add(done)
                for batch in batches(file, size=self.batch_size, after=done):
                    claim.advance(State.INTENT, temp_path=str(_Mark(done, len(batch))))
                    self._post(endpoint, batch, claim)
                    done += len(batch)
                    progress.add(len(batch))
            claim.advance(State.COMMITTED, evidence="E6", committed_at=datetime.now(UTC))

    def _acknowledged(self, claim: Claim) -> int:
        """How many messages the receiver has, from the first on.

        :raises DeliveryInDoubtError: The answer to a batch was lost.
        """
        if claim.delivery.state is not State.INTENT:
            return 0
        mark = _Mark.of(claim.delivery.temp_path)
        if mark.under_way and not self.resend:
            raise _lost(claim)
        if mark.under_way:
            log.warning(
                f"deliver: {mark.under_way:,} messages of {claim.delivery.name} may have arrived; they are sent again "
                "under the same ids, as on_doubt says"
            )
        return mark.acknowledged

    def _post(self, endpoint: EventsEndpoint, batch: Sequence[bytes], claim: Claim) -> None:
        may_be_there = False
        pauses_s = iter(PAUSES_S)
        while True:
            try:
                endpoint.post(batch)
                return
            except LostAnswerError as error:
                if not self.resend:
                    raise _lost(claim) from None
                may_be_there = True
                pause_s = _pause(error, pauses_s)
                if pause_s is None:
                    raise
            except LiveRampError as error:
                pause_s = _pause(error, pauses_s)
                if pause_s is None:
                    if not may_be_there:
                        _take_back(claim)
                    raise
            claim.renew()
            sleep(pause_s)


def _pause(error: LiveRampError, pauses_s: Iterator[int]) -> int | None:
    """The seconds until the next try; ``None`` where there is none in this task's try."""
    wait_s = getattr(error, "wait_s", 0)
    if not isinstance(error, TransportError) or wait_s > MAX_RETRY_AFTER_S:
        return None
    pause_s = next(pauses_s, None)
    return None if pause_s is None else max(pause_s, wait_s)


def _take_back(claim: Claim) -> None:
    """Note that the batch under way was not taken; where none was, the file may still change."""
    done = _Mark.of(claim.delivery.temp_path).acknowledged
    if done:
        claim.advance(State.INTENT, temp_path=str(_Mark(done, 0)))
    else:
        claim.advance(State.SEALED)


def _lost(claim: Claim) -> LiveRampError:
    mark = _Mark.of(claim.delivery.temp_path)
    return claim.doubt(
        f"the answer to {mark.under_way:,} messages after the first {mark.acknowledged:,} was lost, and nobody can know"
    )


def batches(file: Path, *, size: int, after: int) -> Iterator[list[bytes]]:
    """The lines of `file` beyond the first `after`, in batches; the cuts hang on nothing but the file and `size`.

    :param after: Where an earlier try of these batches ended, or 0.
    """
    batch: list[bytes] = []
    room = MAX_BATCH_BYTES - len(_BEFORE + _AFTER)
    with file.open("rb") as lines:
        for number, line in enumerate(lines):
            if number < after:
                continue
            # With the line end, as long as with the comma that takes its place.
            if batch and (len(batch) == size or len(line) > room):
                yield batch
                batch, room = [], MAX_BATCH_BYTES - len(_BEFORE + _AFTER)
            batch.append(line.removesuffix(b"\n"))
            room -= len(line)
    if batch:
        yield batch
