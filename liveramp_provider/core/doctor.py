"""Whether a destination can be delivered to, and how well: everything preflight checks, and what the server allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import LiveRampError
from liveramp_provider.core.ledger import EVIDENCE, Probe
from liveramp_provider.core.transports.sftp import SftpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liveramp_provider.core.destination import Destination
    from liveramp_provider.core.transports import Transport
    from liveramp_provider.core.transports.sftp_probe import Abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    :param good: ``False``: the destination cannot be delivered to as it is configured.
    :param probe: What is kept of it for preflight.
    """

    good: bool
    words: str
    probe: Probe | None = None


def examine(destination: Destination, transport: Callable[[Destination], Transport]) -> Iterator[Finding]:
    """Look at everything that can be looked at; nothing of anybody is sent.

    :param transport: The way to a destination.
    """
    for look in (_key, _door, _abilities):
        try:
            yield from look(destination, transport)
        except LiveRampError as error:
            yield Finding(good=False, words=str(error))
            if look is _door:
                return


def _key(destination: Destination, _: Callable[[Destination], Transport]) -> Iterator[Finding]:
    if destination.encryption is None:
        yield Finding(good=True, words="files are not encrypted")
        return
    from liveramp_provider.core.pgp import check_key

    key = check_key(destination.encryption, now=datetime.now(UTC))
    until = f", valid until {key.expires:%F}" if key.expires else ""
    yield Finding(good=True, words=f"encrypts to subkey {key.subkey} of {key.primary}{until}")


def _door(destination: Destination, transport: Callable[[Destination], Transport]) -> Iterator[Finding]:
    transport(destination).check(destination.path)
    if destination.by_messages:
        words = (
            f"the connection has all it needs. Whether {destination.receiver} takes the keys, only a message can tell"
        )
    elif destination.by_api:
        words = f"{destination.receiver}'s API takes the token; nothing was made there"
    elif destination.on_s3:
        words = (
            "there are credentials. Whether they may write can only be told by an upload: whatever lies under the "
            "prefix is collected, so nothing is tried there"
        )
    else:
        words = "host key and login are right"
    yield Finding(good=True, words=words)


def _abilities(destination: Destination, transport: Callable[[Destination], Transport]) -> Iterator[Finding]:
    way = transport(destination)
    if not isinstance(way, SftpTransport):
        return
    found = way.probe(destination.path)
    direct = destination.upload == "direct"
    if found.keeps:
        yield _renames(destination, found)
    else:
        words = "takes a file away before it is renamed, although its name begins with a dot"
        way_out = f". Ask {destination.receiver} to leave such names alone, or agree on `upload: direct`"
        yield Finding(good=direct, words=words + ("" if direct else way_out))
    if direct or (found.keeps and found.renames):
        grade = "E5" if direct else "E3" if found.tells_sizes else "E4"
        yield Finding(good=True, words=f"deliveries will have evidence {grade}: {EVIDENCE[grade]}")
    for path in found.left:
        yield Finding(good=True, words=f"does not let us remove: {path} is left there, and so is what breaks off")


def _renames(destination: Destination, found: Abilities) -> Finding:
    probe = Probe(
        conn_id=destination.conn_id,
        folder=destination.path,
        server=found.server,
        renames=found.renames,
        tells_sizes=found.tells_sizes,
        removes=not found.left,
        at=datetime.now(UTC),
    )
    where = f"lets us write in {destination.path}"
    if found.renames:
        return Finding(good=True, words=f"{where} and rename there: `upload: rename` works", probe=probe)
    words = f"{where}, but lets nothing be renamed"
    if destination.upload == "direct":
        return Finding(good=True, words=f"{words}: `upload: direct` is the only way", probe=probe)
    way_out = f"Ask {destination.receiver} to allow it, or agree on `upload: direct`, which promises less"
    return Finding(good=False, words=f"{words}. {way_out}", probe=probe)
