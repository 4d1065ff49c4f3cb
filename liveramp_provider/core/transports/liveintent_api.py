"""LiveIntent's audience API as calls: what is asked, what is answered, and whether an answer may have been lost.

Source: the API guide at audiences.liveintent.com/api-guide. It promises no idempotency and declares no limits; a 429
with ``Retry-After`` is heeded all the same. No error quotes an answer: it may hold an address that is signed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, Literal

import httpx

from liveramp_provider.core.errors import CredentialsError, ReceiverRefusedError, RemoteFolderError, TransportError
from liveramp_provider.core.transports.http_answers import (
    MAX_RETRY_AFTER_S,
    PAUSES_S,
    LostAnswerError,
    PatienceError,
    answer_to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Status = Literal["Pending", "Running", "Finished", "Error"]

_PAGE_SIZE = 100
_SIGNED = "the signed address"


def _tells_no_signed_address(record: logging.LogRecord) -> bool:
    """Whether a line of httpx may be logged: it writes the address of every request, and that of a PUT is a secret."""
    return not (isinstance(record.args, tuple) and "PUT" in record.args)


logging.getLogger("httpx").addFilter(_tells_no_signed_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAudience:
    """An audience as the API lists it."""

    id: int
    name: str
    account_id: int
    data_provider_id: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload as the API lists it.

    :param name: As it was given; empty where the list does not tell it, and the published form of it does not.
    :param identifiers: What kind of identifiers, the API's ``uploadType``.
    :param uploaded: How many identifiers were in the file; this and the other counts are final when it is finished.
    """

    name: str
    identifiers: str
    action: str
    status: Status
    scheduled_at: datetime
    uploaded: int
    invalid: int
    duplicates: int

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("Finished", "Error")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIntentApi:
    """The API at one address, for whom the token is.

    :param url: Such as ``https://audiences.liveintent.com``.
    """

    url: str
    token: str = field(repr=False)

    def audiences(self) -> Iterator[RemoteAudience]:
        """All audiences that the token may see."""
        for entry in self._pages("/audiences"):
            yield RemoteAudience(
                id=entry["id"],
                name=entry["name"],
                account_id=entry["accountId"],
                data_provider_id=entry["dataProviderId"],
                status=entry["status"],
            )

    def create_audience(self, name: str, *, account_id: int, data_provider_id: int) -> int:
        """Make an audience, and return its id.

        :raises LostAnswerError: It may have been made.
        """
        wanted = {"name": name, "accountId": account_id, "dataProviderId": data_provider_id}
        return int(self._ask("/audiences", body=wanted)["id"])

    def signed_url(self, audience: int, *, identifiers: str, action: str, name: str, email: str) -> str:
        """Where to put a file: an address that is a secret, for a short time.

        :param email: Whom LiveIntent writes to about the upload; empty: nobody.
        """
        wanted = {"identifierType": identifiers, "action": action, "uploadName": name}
        wanted |= {"notificationEmail": email} if email else {}
        return str(self._asked_again(f"/audiences/{audience}/signed-urls", body=wanted)["signedUrl"])

    def put(self, signed_url: str, file: Path) -> None:
        """Send the bytes of `file`; when this returns, they were taken.

        :raises LostAnswerError: They may have been taken.
        :raises TransportError: They were not.
        :raises ReceiverRefusedError: They were not, and will not be.
        """
        with file.open("rb") as content:
            answer_to(
                "PUT",
                signed_url,
                place=_SIGNED,
                refusal=_of_the_signed_address,
                content=content,
                headers={"Content-Type": "text/csv"},
            )

    def uploads(self, audience: int) -> list[Upload]:
        """Everything that was uploaded into an audience, in the order in which it was scheduled."""
        found = [
            Upload(
                name=entry.get("uploadName") or "",
                identifiers=entry["uploadType"],
                action=entry["action"],
                status=entry["status"],
                scheduled_at=datetime.fromisoformat(entry["scheduleAt"]),
                uploaded=entry["uploadedHashesCount"],
                invalid=entry["invalidHashesCount"],
                duplicates=entry["estimatedDuplicateCount"],
            )
            for entry in self._pages(f"/audiences/{audience}/uploads")
        ]
        return sorted(found, key=lambda upload: upload.scheduled_at)

    def counts(self, audience: int) -> dict[str, str | int]:
        """How many identifiers of an audience LiveIntent knew on the latest day that it tells, and how many matched.

        It counts once a day, so the day is mostly one before the upload; empty where it has not counted yet.
        """
        entries = self._asked_again(f"/audiences/{audience}/counts")["entries"]
        if not entries:
            return {}
        latest = max(entries, key=lambda entry: str(entry["date"]))
        return {"date": latest["date"], "total": latest["totalCount"], "matched": latest["matchCount"]}

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        page, pages = 1, 1
        while page <= pages:
            answer = self._asked_again(f"{path}?page={page}&pageSize={_PAGE_SIZE}")
            yield from answer["entries"]
            page, pages = page + 1, int(answer["pages"])

    def _asked_again(self, path: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What is answered to something that may be asked as often as one likes."""
        for pause_s in PAUSES_S:
            try:
                return self._ask(path, body=body)
            except PatienceError as error:
                if error.wait_s > MAX_RETRY_AFTER_S:
                    raise
                sleep(max(error.wait_s, pause_s))
            except TransportError:
                sleep(pause_s)
        return self._ask(path, body=body)

    def _ask(self, path: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = answer_to(
            "GET" if body is None else "POST",
            f"{self.url}{path}",
            place=self.url,
            refusal=partial(_of_the_api, place=self.url),
            headers={"Authorization": f"Bearer {self.token}"},
            json=body,
        )
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise LostAnswerError(f"{self.url} answered with something that is no JSON. A task tries it again.")
        return told


def _of_the_signed_address(status: int) -> Exception:
    # It is valid for a short time; the next try asks for a new one.
    return TransportError(f"{_SIGNED} refused the file ({status}); the next try asks for another.")


def _of_the_api(status: int, place: str) -> Exception:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return CredentialsError(f"{place} refused the token ({status}). Ask LiveIntent for a valid one.")
    if status == httpx.codes.NOT_FOUND:
        return RemoteFolderError(f"{place} knows no such audience ({status}). It may have been deleted by hand.")
    return ReceiverRefusedError(
        f"{place} refused what it was asked ({status}). Compare account_id, data_provider_id and action in the "
        "audience file with what LiveIntent told you."
    )
