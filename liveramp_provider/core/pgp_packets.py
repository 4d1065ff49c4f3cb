"""What can be read of an encrypted file without any key: for whom it is, how it is protected, whether it is whole.

Source: RFC 4880 4.2 and 5.1, RFC 9580 5.13; the packet of type 20 is GnuPG's own, of draft-koch-openpgp.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, NamedTuple

from liveramp_provider.core.errors import EncryptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SESSION_KEY, _UNPROTECTED, _PROTECTED, _AUTHENTICATED = 1, 9, 18, 20
_KEY_ID = slice(1, 9)


class _Packet(NamedTuple):
    """A packet's type and the first bytes of its content."""

    kind: int
    head: bytes


class _BrokenError(Exception):
    """The bytes are no whole packets."""


def check_sealed(path: Path, *, subkey: str) -> None:
    """Nothing, where the file at `path` is whole, for `subkey` and nobody else, and protected against changes.

    Of a large file only the lengths of its parts are read.

    :param subkey: Fingerprint.
    :raises EncryptionError: It is not so; the file must not be sealed.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            packets = list(_packets(content))
    except (OSError, ValueError):
        raise EncryptionError("gpg has left nothing that can be read; no file was sealed.") from None
    except (_BrokenError, IndexError):
        raise EncryptionError("what gpg has left is not a whole encrypted file; nothing was sealed.") from None
    kinds = [packet.kind for packet in packets]
    recipients = [packet.head[_KEY_ID].hex().upper() for packet in packets if packet.kind == _SESSION_KEY]
    if recipients != [subkey[-16:]]:
        found = ", ".join(recipients) or "nobody"
        raise EncryptionError(f"gpg has encrypted to {found} instead of {subkey[-16:]} alone; nothing was sealed.")
    if kinds not in ([_SESSION_KEY, _PROTECTED], [_SESSION_KEY, _AUTHENTICATED]):
        protection = "without protection against changes" if _UNPROTECTED in kinds else f"in packets {kinds}"
        raise EncryptionError(f"gpg has encrypted {protection}; nothing was sealed.")


def _packets(content: mmap.mmap) -> Iterator[_Packet]:
    """Every packet up to the last byte."""
    at = 0
    while at < len(content):
        tag = content[at]
        if not tag & 0x80:
            raise _BrokenError
        is_new = bool(tag & 0x40)
        kind = tag & 0x3F if is_new else (tag >> 2) & 0x0F
        at, body, is_part = _part(content, at + 1) if is_new else _old_length(content, at + 1, tag & 0x03)
        packet = _Packet(kind, content[body : min(at, body + _KEY_ID.stop)])
        while is_part:
            at, _, is_part = _part(content, at)
        if at > len(content):
            raise _BrokenError
        yield packet


def _part(content: mmap.mmap, at: int) -> tuple[int, int, bool]:
    """Of the part whose length stands at `at`: where it ends and begins, and whether another one follows."""
    first = content[at]
    if first < 192:
        return at + 1 + first, at + 1, False
    if first < 224:
        return at + 2 + ((first - 192) << 8) + content[at + 1] + 192, at + 2, False
    if first == 255:
        return at + 5 + int.from_bytes(content[at + 1 : at + 5]), at + 5, False
    return at + 1 + (1 << (first & 0x1F)), at + 1, True


def _old_length(content: mmap.mmap, at: int, size: int) -> tuple[int, int, bool]:
    """The same of an older kind of packet, which is in one part."""
    if size == 3:  # up to the end, wherever that is: nobody could tell whether it is whole
        raise _BrokenError
    body = at + (1 << size)
    return body + int.from_bytes(content[at:body]), body, False
