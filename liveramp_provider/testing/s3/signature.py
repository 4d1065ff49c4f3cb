"""AWS Signature Version 4, as S3 checks it: who sent a request, and that nobody changed its headers."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from liveramp_provider.testing.s3.faults import Refusal

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?SignedHeaders=(?P<signed>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_MOST_SKEW = timedelta(minutes=15)


def check_signature(method: str, target: str, headers: Mapping[str, str], *, access_key: str, secret_key: str) -> None:
    """Return if the request is signed with these keys.

    :param target: Path and query, as they stand in the request line.
    :param headers: By lower-case name.
    :raises Refusal: It is not, or its clock is wrong.
    """
    given = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if given is None:
        raise Refusal(403, "AccessDenied")
    if given["key"] != access_key:
        raise Refusal(403, "InvalidAccessKeyId")
    sent_at = headers.get("x-amz-date", "")
    request = _canonical(method, target, headers, given["signed"])
    text = "\n".join(("AWS4-HMAC-SHA256", sent_at, given["scope"], hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (*given["scope"].split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), given["signature"]):
        raise Refusal(403, "SignatureDoesNotMatch")
    moment = datetime.strptime(sent_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - moment) > _MOST_SKEW:
        raise Refusal(403, "RequestTimeTooSkewed")


def _canonical(method: str, target: str, headers: Mapping[str, str], signed: str) -> str:
    path, _, query = target.partition("?")
    pairs = sorted((quote(name, "-_.~"), quote(value, "-_.~")) for name, value in parse_qsl(query, True))
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed.split(";")]
    content = headers.get("x-amz-content-sha256", "")
    return "\n".join((method, path, "&".join(map("=".join, pairs)), *lines, "", signed, content))
