"""What can be read of an encrypted file without any key: for whom it is, how it is protected, whether it is whole.

Source: RFC 4880 4.2 and 5.1, RFC 9580 5.13; the packet of type 20 is GnuPG's own, of draft-koch-openpgp.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A file as bytes to look at, of which only those are read that are asked for."""

    descriptor: int

    def __getitem__(self, where: slice) -> bytes:
        size = where.stop - where.start
        found = os.pread(self.descriptor, size, where.start)
        if len(found) < size:
            raise _BrokenError
        return found


def check_sealed(path: Path, *, subkey: str) -> None:
    """Nothing, where the file at `path` is whole, for `subkey` and nobody else, and protected against changes.

    Of a large file only the lengths of its parts are read.

    :param subkey: Fingerprint.
    :raises EncryptionError: It is not so; the file must not be sealed.
    """
    try:
        with path.open("rb") as file:
            packets = list(_packets(_Bytes(file.fileno()), os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise EncryptionError(f"what gpg has left cannot be read ({error.strerror}); nothing was sealed.") from None
    except _BrokenError:
        raise EncryptionError("what gpg has left is not a whole encrypted file; nothing was sealed.") from None
    kinds = [packet.kind for packet in packets]
    recipients = [packet.head[_KEY_ID].hex().upper() for packet in packets if packet.kind == _SESSION_KEY]
    if recipients != [subkey[-16:]]:
        found = ", ".join(recipients) or "nobody"
        raise EncryptionError(f"gpg has encrypted to {found} instead of {subkey[-16:]} alone; nothing was sealed.")
    if kinds not in ([_SESSION_KEY, _PROTECTED], [_SESSION_KEY, _AUTHENTICATED]):
        protection = "without protection against changes" if _UNPROTECTED in kinds else f"in packets {kinds}"
        raise EncryptionError(f"gpg has encrypted {protection}; nothing was sealed.")


def _packets(content: _Bytes, size: int) -> Iterator[_Packet]:
    """Every packet up to the last byte."""
    at = 0
    while at < size:
        (tag,) = content[at : at + 1]
        if not tag & 0x80:
            raise _BrokenError
        is_new = bool(tag & 0x40)
        kind = tag & 0x3F if is_new else (tag >> 2) & 0x0F
        body, at, is_part = _part(content, at + 1) if is_new else _whole(content, at + 1, 1 << (tag & 0x03))
        packet = _Packet(kind, content[body : min(at, body + _KEY_ID.stop)])
        while is_part:
            _, at, is_part = _part(content, at)
        if at > size:
            raise _BrokenError
        yield packet


def _part(content: _Bytes, at: int) -> tuple[int, int, bool]:
    """Of the part whose length stands at `at`: where it begins and ends, and whether another one follows."""
    (first,) = content[at : at + 1]
    if first < 192:
        return at + 1, at + 1 + first, False
    if first < 224:
        (second,) = content[at + 1 : at + 2]
        return at + 2, at + 2 + ((first - 192) << 8) + second + 192, False
    if first == 255:
        return at + 5, at + 5 + int.from_bytes(content[at + 1 : at + 5]), False
    return at + 1, at + 1 + (1 << (first & 0x1F)), True


def _whole(content: _Bytes, at: int, width: int) -> tuple[int, int, bool]:
    """The same of a packet of the older kind, which has one part, and its length in so many bytes."""
    if width > 4:  # up to the end, wherever that is: nobody could tell whether it is whole
        raise _BrokenError
    return at + width, at + width + int.from_bytes(content[at : at + width]), False
