"""The HTTP side of the fake LiveIntent: one request in, one answer out, unless a fault gets in the way."""

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from liveramp_provider.testing.liveintent.faults import Call, LiveIntentFault, Refusal
from liveramp_provider.testing.serving import hang_up

if TYPE_CHECKING:
    from liveramp_provider.testing.liveintent import FakeLiveIntent

_CALLS: tuple[tuple[str, str, Call], ...] = (
    ("GET", r"/audiences", "ListAudiences"),
    ("POST", r"/audiences", "CreateAudience"),
    ("POST", r"/audiences/(\d+)/signed-urls", "SignedUrl"),
    ("GET", r"/audiences/(\d+)/uploads", "ListUploads"),
    ("GET", r"/audiences/(\d+)/counts", "Counts"),
    ("PUT", r"/signed/.+", "Put"),
)
_REFUSALS = {
    LiveIntentFault.INTERNAL_ERROR: Refusal(500, "internal", "failed"),
    LiveIntentFault.PATIENCE: Refusal(429, "too_many_requests", "1"),
    LiveIntentFault.MUCH_PATIENCE: Refusal(429, "too_many_requests", "3600"),
    LiveIntentFault.DENIED: Refusal(401, "unauthorized", "Token not provided"),
}


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    fake: "FakeLiveIntent"

    def do_GET(self) -> None:
        """Answer a request; so do all that follow."""
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call, number = _call(self.command, path)
        self.fake.count(call)
        fault = self.fake.faults.next(call)
        try:
            if fault in _REFUSALS:
                raise _REFUSALS[fault]
            if fault is LiveIntentFault.HANGS_UP:
                hang_up(self)
                return
            status, answer = self._answer(call, number, query, body, fault)
            if fault is LiveIntentFault.LATE_ERROR:
                raise _REFUSALS[LiveIntentFault.INTERNAL_ERROR]
        except Refusal as refusal:
            told = {"httpStatus": refusal.status, "message": refusal.message, "errorCode": refusal.code}
            self._send(refusal.status, {"errors": [told]}, retry_after=refusal.message)
            return
        if fault is LiveIntentFault.LOST_ANSWER:
            hang_up(self)
        else:
            self._send(status, "<html>" if fault is LiveIntentFault.NO_JSON else answer)

    do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: calls are counted instead."""

    def _answer(
        self, call: Call, number: int, query: str, body: bytes, fault: LiveIntentFault | None
    ) -> tuple[int, Any]:
        account = self.fake.account
        if call == "Put":
            account.take(self.path, body, fault, self.headers.get("Content-Type", ""))
            return 200, ""
        if self.headers.get("Authorization") != f"Bearer {self.fake.token}":
            raise _REFUSALS[LiveIntentFault.DENIED]
        match call:
            case "ListAudiences":
                return 200, _page([_shown(audience) for audience in account.audiences], query)
            case "CreateAudience":
                return 201, _shown(account.create(json.loads(body)))
            case "SignedUrl":
                return 201, {"signedUrl": f"{self.fake.url}{account.address(number, json.loads(body))}"}
            case "ListUploads":
                return 200, _page(account.listed(number), query)
            case "Counts":
                total = len(account.audience(number).members)
                days = (("2026-11-19", 0), ("2026-11-20", total)) if total else ()
                return 200, {"entries": [{"date": day, "totalCount": n, "matchCount": n} for day, n in days]}
        raise Refusal(404, "not_found", "no such call")

    def _send(self, status: int, answer: Any, *, retry_after: str = "") -> None:
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _call(command: str, path: str) -> tuple[Call, int]:
    for method, pattern, call in _CALLS:
        match = re.fullmatch(pattern, path)
        if match and method == command:
            return call, int(match[1]) if match.groups() else 0
    return "Other", 0


def _shown(audience: Any) -> dict[str, Any]:
    return {
        "id": audience.id,
        "name": audience.name,
        "accountId": audience.account_id,
        "dataProviderId": audience.data_provider_id,
        "status": audience.status,
        "createdAt": "2026-11-20T00:00:00Z",
        "updatedAt": "2026-11-20T00:00:00Z",
        "metadata": {},
    }


def _page(entries: list[dict[str, Any]], query: str) -> dict[str, Any]:
    """The part of `entries` that is asked for, pages counted from 1. None is larger than 30."""
    asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
    size = min(asked.get("pageSize", 30), 30)
    page = asked.get("page", 1)
    pages = -(-len(entries) // size)
    found = entries[(page - 1) * size : page * size]
    return {"entries": found, "page": page, "pages": pages, "pageSize": size, "totalCount": len(entries)}
