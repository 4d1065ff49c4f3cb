"""Deliver into an audience at LiveIntent: find or make it, ask for a signed address, and put the file there, once.

The API promises no idempotency, so everything is looked for before it is made: an audience by its name, an upload
whose answer was lost by the list of uploads. The published list tells no names, so the ledger keeps how many uploads of
the same kind there were before; where it stays unclear whose an upload is, a person looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import (
    DeliveryBusyError,
    LiveRampError,
    ReceiverRefusedError,
    RemoteFolderError,
)
from liveramp_provider.core.ledger import State
from liveramp_provider.core.progress import step
from liveramp_provider.core.staging import digest_of
from liveramp_provider.core.transports import freed_on_failure
from liveramp_provider.core.transports.http_answers import LostAnswerError

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.ledger import Claim
    from liveramp_provider.core.transports.liveintent_api import LiveIntentApi, RemoteAudience, Upload

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIntentTransport:
    """Uploads into one audience; the delivery's slot is the API's ``identifierType``.

    :param connect: The API, with a fresh token.
    :param audience: Its name at LiveIntent.
    :param action: What an upload does to the audience, in LiveIntent's word.
    :param email: Whom LiveIntent writes to about uploads; empty: nobody.
    :param resend: Send what may have arrived again, instead of asking a person.
    :param patience_s: How long the list is watched for an upload whose answer was lost, and another worker waited for.
    """

    connect: Callable[[], LiveIntentApi] = field(repr=False)
    audience: str
    account_id: int
    data_provider_id: int
    action: str
    email: str = ""
    resend: bool = False
    patience_s: float = 60

    def check(self, folder: str) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`; no audience is made yet."""
        found = self._find(self.connect())
        made = f"audience {found.id}" if found else "no such audience yet; the first delivery makes it"
        log.info(f"preflight: {folder}: the token is taken; {made}")

    def send(self, file: Path, claim: Claim) -> None:
        """See :class:`liveramp_provider.core.transports.Transport`."""
        if claim.delivery.state is State.INTENT and digest_of(file) != claim.delivery.sha256:
            raise claim.doubt("the file was built anew after an earlier try had begun, and nobody can know")
        with freed_on_failure(claim):
            api = self.connect()
            if claim.delivery.state is State.INTENT and self._settled(api, claim):
                return
            audience = self._find_or_create(api, claim)
            delivery = claim.delivery
            signed_url = api.signed_url(
                audience, identifiers=delivery.slot, action=self.action, name=delivery.name, email=self.email
            )
            # Counted after the address was asked for, so that an entry that this alone makes is not taken for a file.
            before = len(self._alike(api, audience, delivery.slot))
            claim.advance(State.INTENT, temp_path=f"{audience}/{before}")
            with step(f"deliver: uploading {delivery.name}"):
                self._put(api, signed_url, file, claim)

    def _put(self, api: LiveIntentApi, signed_url: str, file: Path, claim: Claim) -> None:
        try:
            api.put(signed_url, file)
        except LostAnswerError:
            if not self._settled(api, claim):
                raise
        except LiveRampError:
            claim.advance(State.SEALED)
            raise
        else:
            _commit(claim, "E6")

    def _settled(self, api: LiveIntentApi, claim: Claim) -> bool:
        """Whether a file whose answer was lost is there; ``False``: it is to be sent again.

        :raises DeliveryInDoubtError: The list of uploads cannot tell.
        """
        audience, before = map(int, claim.delivery.temp_path.split("/"))
        until = monotonic() + self.patience_s
        while True:
            alike = self._alike(api, audience, claim.delivery.slot)
            new = alike[before:]
            by_name = [upload for upload in alike if upload.name == claim.delivery.name]
            # One more of its kind is ours; of two, somebody else has made one.
            if by_name or (len(new) == 1 and not new[0].name):
                _commit(claim, "L")
                return True
            if new or monotonic() >= until:
                break
            claim.renew()
            sleep(_LOOK_AGAIN_S)
        if self.resend:
            claim.advance(State.SEALED)
            log.warning(f"deliver: {claim.delivery.name} may have arrived; it is sent again, as on_doubt says")
            return False
        seen = f"{len(new)} new uploads of its kind are in LiveIntent's list" if new else "LiveIntent lists no upload"
        raise claim.doubt(f"the answer was lost, {seen}, and nobody can know")

    def _alike(self, api: LiveIntentApi, audience: int, slot: str) -> list[Upload]:
        return [upload for upload in api.uploads(audience) if is_alike(upload, slot=slot, action=self.action)]

    def _find_or_create(self, api: LiveIntentApi, claim: Claim) -> int:
        found = self._find(api)
        if found is None:
            self._be_the_only_one(claim)
            found = self._find(api)
        if found is not None:
            return found.id
        wanted = {"account_id": self.account_id, "data_provider_id": self.data_provider_id}
        try:
            audience = api.create_audience(self.audience, **wanted)
        except LostAnswerError:
            found = self._find(api)
            if found is None:
                raise
            return found.id
        log.info(f"deliver: made audience {audience} at LiveIntent, {self.audience}")
        return audience

    def _be_the_only_one(self, claim: Claim) -> None:
        """Wait until no other file's worker could make the same audience; who is not the first in order gives way.

        :raises DeliveryBusyError: Another worker makes it.
        """
        until = monotonic() + self.patience_s
        while others := claim.ledger.alongside(claim.delivery):
            if others[0] < claim.delivery.slot or monotonic() >= until:
                raise DeliveryBusyError(
                    f"{claim.delivery.name}: the worker of {others[0]} makes the audience {self.audience} at "
                    "LiveIntent. A task tries it again."
                )
            claim.renew()
            sleep(_LOOK_AGAIN_S)

    def _find(self, api: LiveIntentApi) -> RemoteAudience | None:
        """The audience of that name, if there is one.

        :raises RemoteFolderError: It is archived, or there are several.
        """
        wanted = (self.audience, self.account_id, self.data_provider_id)
        found = [
            one
            for one in api.audiences()
            if (one.name, one.account_id, one.data_provider_id) == wanted and one.status != "Deleted"
        ]
        if len(found) > 1:
            raise RemoteFolderError(
                f"there are {len(found)} audiences {self.audience} in account {self.account_id} at LiveIntent. "
                "Archive or rename all but one there."
            )
        if found and found[0].status != "Active":
            raise RemoteFolderError(
                f"the audience {self.audience} in account {self.account_id} at LiveIntent is {found[0].status}. "
                "Activate it there, or write another audience_name."
            )
        return found[0] if found else None


def _commit(claim: Claim, evidence: str) -> None:
    claim.advance(State.COMMITTED, evidence=evidence, committed_at=datetime.now(UTC))


def is_alike(upload: Upload, *, slot: str, action: str) -> bool:
    """Whether an upload is of the same kind of identifiers, and does the same."""
    return (upload.identifiers, upload.action) == (slot, action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An upload that LiveIntent has, and is working on.

    :param audience: Its id at LiveIntent.
    :param name: The delivered file's.
    """

    audience: int
    slot: str
    action: str
    name: str

    def look(self, api: LiveIntentApi) -> Upload | None:
        """How it stands; ``None`` where the list does not have it. Without names, it is the latest of its kind."""
        every = api.uploads(self.audience)
        alike = [upload for upload in every if is_alike(upload, slot=self.slot, action=self.action)]
        found = [upload for upload in alike if upload.name == self.name] or [one for one in alike if not one.name]
        return found[-1] if found else None


def outcome_of(upload: Upload, name: str) -> dict[str, int]:
    """The counts of a finished upload.

    :raises ReceiverRefusedError: LiveIntent could not read it.
    """
    counts = {
        "liveintent_uploaded": upload.uploaded,
        "liveintent_invalid": upload.invalid,
        "liveintent_duplicates": upload.duplicates,
    }
    if upload.status == "Error":
        raise ReceiverRefusedError(
            f"{name}: LiveIntent took the file and ended in Error: {upload.uploaded:,} uploaded, {upload.invalid:,} "
            f"invalid, {upload.duplicates:,} duplicates. Compare the kind of identifier and action with what "
            "LiveIntent told you; send the day again as a revision."
        )
    return counts
