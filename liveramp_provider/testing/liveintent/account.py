"""What a LiveIntent account holds: audiences, and what was uploaded into them."""

import json
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from liveramp_provider.testing.liveintent.faults import LiveIntentFault, Refusal
from liveramp_provider.testing.private_files import write_private

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: What a line of each kind may be.
IDENTIFIERS = {
    "EMAIL_HASH": re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[^@\s,;A-Z]+@[^@\s,;A-Z]+\.[^@\s,;A-Z]+"),
    "AAID": re.compile(_UUID, re.IGNORECASE),
    "IDFA": re.compile(_UUID, re.IGNORECASE),
}


@dataclass(slots=True)
class UploadedFile:
    """A file that came, and what became of it.

    :param looks: How often its state was asked for.
    :param read_after: How many looks find it unread.
    """

    audience: int
    name: str
    identifiers: str
    action: str
    email: str
    lines: list[str]
    fault: LiveIntentFault | None
    scheduled_at: datetime
    duplicates: int = 0
    looks: int = 0
    read_after: int = 2

    @property
    def invalid(self) -> int:
        """How many lines are no identifier of the kind."""
        return sum(not IDENTIFIERS[self.identifiers].fullmatch(line) for line in self.lines)

    @property
    def status(self) -> str:
        """Pending, then Running, then how it ends."""
        if self.looks < self.read_after or self.fault is LiveIntentFault.STUCK:
            return "Running" if self.looks and self.fault is not LiveIntentFault.STUCK else "Pending"
        unreadable = any('"' in line or "," in line for line in self.lines) or self.invalid == len(self.lines)
        return "Error" if unreadable or self.fault is LiveIntentFault.FAILS else "Finished"


@dataclass(slots=True)
class Audience:
    """An audience, and who is in it."""

    id: int
    name: str
    account_id: int
    data_provider_id: int
    status: str = "Active"
    members: set[str] = field(default_factory=set)


class Account:
    """One account. Every method may be called from any thread.

    :param tells_names: Whether the list of uploads has ``uploadName``; the published form of it has not.
    :param read_after: How often the list shows an upload unread.
    :param kept_in: The file that keeps audiences and uploads over restarts; ``None``: nothing does.
    """

    def __init__(
        self,
        *,
        account_id: int,
        data_provider_id: int,
        actions: Iterable[str],
        tells_names: bool,
        read_after: int,
        kept_in: Path | None,
    ) -> None:
        self.account_id = account_id
        self.data_provider_id = data_provider_id
        self.actions = frozenset(actions)
        self.tells_names = tells_names
        self.audiences: list[Audience] = []
        self.uploads: list[UploadedFile] = []
        self._read_after = read_after
        self._kept_in = kept_in
        self._addresses: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        if kept_in is not None and kept_in.exists():
            self._remember(json.loads(kept_in.read_bytes()))

    def create(self, wanted: dict[str, Any]) -> Audience:
        """Make an audience. Nobody promises that names are unique, and so they are not."""
        if not isinstance(wanted.get("name"), str) or not wanted["name"]:
            raise Refusal(400, "bad_request", "name")
        if wanted.get("accountId") != self.account_id or wanted.get("dataProviderId") != self.data_provider_id:
            raise Refusal(400, "bad_request", "accountId, dataProviderId")
        with self._lock:
            made = Audience(len(self.audiences) + 101, wanted["name"], self.account_id, self.data_provider_id)
            self.audiences.append(made)
            self._keep()
        return made

    def audience(self, number: int) -> Audience:
        """The audience with that id."""
        for audience in self.audiences:
            if audience.id == number and audience.status != "Deleted":
                return audience
        raise Refusal(404, "not_found", "Audience not found")

    def address(self, number: int, wanted: dict[str, Any]) -> str:
        """A signed path for one file."""
        self.audience(number)
        if wanted.get("identifierType") not in IDENTIFIERS or wanted.get("action") not in self.actions:
            raise Refusal(400, "bad_request", "Invalid upload query params: identifierType / action")
        signed = f"/signed/{secrets.token_urlsafe(16)}?signature={secrets.token_urlsafe(16)}"
        with self._lock:
            self._addresses[signed] = {**wanted, "audience": number}
        return signed

    def take(self, signed: str, content: bytes, fault: LiveIntentFault | None, content_type: str = "text/csv") -> None:
        """Keep what was put to a signed path; a path is for one file."""
        if content_type != "text/csv":
            raise Refusal(403, "forbidden", "Content-Type")
        with self._lock:
            wanted = self._addresses.pop(signed, None)
            if wanted is None:
                raise Refusal(403, "forbidden", "signature")
            audience = self.audience(wanted["audience"])
            lines = content.decode().removesuffix("\n").split("\n")
            new = set(lines) - audience.members
            self.uploads.append(
                UploadedFile(
                    audience=audience.id,
                    name=wanted.get("uploadName") or "",
                    identifiers=wanted["identifierType"],
                    action=wanted["action"],
                    email=wanted.get("notificationEmail") or "",
                    lines=lines,
                    fault=fault,
                    scheduled_at=datetime.now(UTC),
                    duplicates=len(lines) - len(new),
                    read_after=self._read_after,
                )
            )
            audience.members |= new
            self._keep()

    def listed(self, number: int) -> list[dict[str, Any]]:
        """The uploads of an audience as they stand, the latest first; looking moves each one step on."""
        self.audience(number)
        with self._lock:
            return [self._entry(upload) for upload in reversed(self.uploads) if upload.audience == number]

    def _entry(self, upload: UploadedFile) -> dict[str, Any]:
        status = upload.status
        upload.looks += 1
        ended = status in ("Finished", "Error")
        entry = {
            "status": status,
            "action": upload.action,
            "uploadType": upload.identifiers,
            "notificationEmail": upload.email or None,
            "lastUpdate": datetime.now(UTC).isoformat(),
            "scheduleAt": upload.scheduled_at.isoformat(),
            "uploadedHashesCount": len(upload.lines) if ended else 0,
            "invalidHashesCount": upload.invalid if ended else 0,
            "estimatedDuplicateCount": upload.duplicates if ended else 0,
        }
        return entry | ({"uploadName": upload.name} if self.tells_names else {})

    def _keep(self) -> None:
        if self._kept_in is not None:
            kept = {
                "audiences": [asdict(one) | {"members": sorted(one.members)} for one in self.audiences],
                "uploads": [asdict(one) | {"scheduled_at": one.scheduled_at.isoformat()} for one in self.uploads],
            }
            write_private(self._kept_in, json.dumps(kept).encode())

    def _remember(self, kept: dict[str, Any]) -> None:
        self.audiences = [Audience(**one | {"members": set(one["members"])}) for one in kept["audiences"]]
        for one in kept["uploads"]:
            fault = LiveIntentFault(one["fault"]) if one["fault"] else None
            moment = datetime.fromisoformat(one["scheduled_at"])
            self.uploads.append(UploadedFile(**one | {"fault": fault, "scheduled_at": moment}))
