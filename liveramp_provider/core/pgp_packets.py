"""What can be told of an encrypted file without any key: for whom it is, how it is protected, whether it is whole.

gpg lists the first packets. That a file was cut it tells only those who decrypt it, so the lengths of its parts are
followed to the end: RFC 4880, 4.2.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import EncryptionError

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.gpg import Gpg

# The packets before the content have some hundred bytes each.
_HEAD_BYTES = 1 << 14
_RECIPIENT = re.compile(r"^:pubkey enc packet: .* keyid ([0-9A-F]{16})$", re.MULTILINE)
_PROTECTED = re.compile(r"^:encrypted data packet:\n\t.*\n\tmdc_method: [1-9]|^:aead encrypted packet:", re.MULTILINE)


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


def check_sealed(path: Path, *, ring: Gpg, subkey: str) -> None:
    """Nothing, where the file at `path` is whole, for `subkey` and nobody else, and protected against changes.

    Of a large file only the beginning and the lengths of its parts are read.

    :param subkey: Fingerprint.
    :raises EncryptionError: It is not so; the file must not be sealed.
    """
    try:
        with path.open("rb") as file:
            _check_listing(ring.packets(io.BytesIO(file.read(_HEAD_BYTES))), subkey)
            _check_whole(_Bytes(file.fileno()), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise EncryptionError(f"what gpg has left cannot be read ({error.strerror}); nothing was sealed.") from None
    except _BrokenError:
        raise EncryptionError("what gpg has left is not a whole encrypted file; nothing was sealed.") from None


def _check_listing(listing: str, subkey: str) -> None:
    recipients = _RECIPIENT.findall(listing)
    if recipients != [subkey[-16:]]:
        found = ", ".join(recipients) or "nobody"
        raise EncryptionError(f"gpg has encrypted to {found} instead of {subkey[-16:]} alone; nothing was sealed.")
    if not _PROTECTED.search(listing):
        raise EncryptionError("gpg has encrypted without protection against changes; nothing was sealed.")


def _check_whole(content: _Bytes, size: int) -> None:
    """Nothing, where the file is a session key and its content, and ends with the content's last byte."""
    at = 0
    for _ in range(2):
        (tag,) = content[at : at + 1]
        if not tag & 0x80:
            raise _BrokenError
        at, is_part = _end(content, at + 1) if tag & 0x40 else _old_end(content, at + 1, 1 << (tag & 0x03))
        while is_part:
            at, is_part = _end(content, at)
    if at != size:
        raise _BrokenError


def _end(content: _Bytes, at: int) -> tuple[int, bool]:
    """Where the part ends whose length stands at `at`, and whether another one follows."""
    (first,) = content[at : at + 1]
    if first < 192:
        return at + 1 + first, False
    if first < 224:
        (second,) = content[at + 1 : at + 2]
        return at + 2 + ((first - 192) << 8) + second + 192, False
    if first == 255:
        return at + 5 + int.from_bytes(content[at + 1 : at + 5]), False
    return at + 1 + (1 << (first & 0x1F)), True


def _old_end(content: _Bytes, at: int, width: int) -> tuple[int, bool]:
    """The same of a packet of the older kind, which has one part, and its length in so many bytes."""
    if width > 4:  # up to the end, wherever that is: nobody could tell whether it is whole
        raise _BrokenError
    return at + width + int.from_bytes(content[at : at + width]), False
