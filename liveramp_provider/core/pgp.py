"""PGP through the gpg program: the pinned key is checked first, then bytes are encrypted as they stream by.

Each use has a key ring of its own that is thrown away, so nothing on the machine can change who is encrypted to.
Source: LiveRamp, "Encrypting Files for Uploading": encrypt to the current encryption subkey.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gnupg

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from liveramp_provider.core.audience import Encryption

# python-gnupg logs what gpg says, which may name files and user ids.
logging.getLogger("gnupg").setLevel(logging.CRITICAL)

_REVOKED, _EXPIRED, _INVALID = "r", "e", "i"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A key that has passed every check: the subkey to encrypt to, and until when it may be used."""

    primary: str
    subkey: str
    expires: datetime | None


def check_key(encryption: Encryption, *, now: datetime) -> EncryptionKey:
    """The subkey to encrypt to.

    :raises EncryptionKeyError: The file is no key, not the pinned one, or it cannot encrypt at `now`.
    """
    with _key_ring() as ring:
        return _import(ring, encryption, now=now)


def encrypt(source: BinaryIO, encryption: Encryption, *, target: Path, inner_name: str, now: datetime) -> EncryptionKey:
    """Encrypt all of `source` into the file `target`.

    A source that raises leaves a file that decrypts to a torso, so `target` must not have its final name.

    :param inner_name: File name that the receiver finds inside; never the local path.
    :raises EncryptionKeyError: See :func:`check_key`.
    :raises EncryptionError: gpg failed.
    """
    with _key_ring() as ring:
        key = _import(ring, encryption, now=now)
        try:
            # Compressed bytes do not shrink again, and gpg's own compression is five times slower than all the rest.
            result = ring.encrypt_file(
                source,
                [f"{key.subkey}!"],
                armor=False,
                always_trust=True,
                output=str(target),
                extra_args=["--compress-algo", "none", "--set-filename", inner_name],
            )
        except BrokenPipeError:
            raise EncryptionError(f"gpg could not encrypt to {key.subkey} (it stopped half-way).") from None
    if not result.ok:
        raise EncryptionError(f"gpg could not encrypt to {key.subkey} ({result.status or 'no status'}).")
    return key


@contextmanager
def _key_ring() -> Iterator[gnupg.GPG]:
    # A short path: gpg's agent socket lies in it and may have 108 characters at most.
    home = Path(tempfile.mkdtemp(prefix="lr-"))
    try:
        if shutil.which("gpg") is None:
            raise EncryptionKeyError("there is no gpg program. Install it: apt-get install gnupg.")
        yield gnupg.GPG(gnupghome=str(home), options=["--no-autostart", "--no-tty", "--no-auto-check-trustdb"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _import(ring: gnupg.GPG, encryption: Encryption, *, now: datetime) -> EncryptionKey:
    name = encryption.public_key.name
    try:
        found = ring.import_keys(encryption.public_key.read_bytes())
    except OSError as error:
        raise EncryptionKeyError(f"{encryption.public_key} cannot be read: {error.strerror}.") from None
    if found.sec_read:
        raise EncryptionKeyError(
            f"{name} holds a secret key, and whoever has that can read every delivery. "
            "Tell the receiver, and ask for the public key alone."
        )
    keys = {key["fingerprint"]: key for key in ring.list_keys()}
    if not keys:
        raise EncryptionKeyError(f"{name} holds no PGP public key. Ask the receiver for it and export it with --armor.")
    key = keys.get(encryption.recipient)
    if key is None:
        raise EncryptionKeyError(
            f"{name} holds {', '.join(sorted(keys))}, but the audience file pins {encryption.recipient}. "
            "Compare both with the receiver before you change either."
        )
    return _usable_subkey(key, name=name, now=now)


def _usable_subkey(key: dict[str, Any], *, name: str, now: datetime) -> EncryptionKey:
    fingerprint = key["fingerprint"]
    if key["trust"] == _REVOKED:
        raise EncryptionKeyError(f"{name}: the key {fingerprint} is revoked. Ask the receiver for the current one.")
    expiry = _expiry(key)
    if key["trust"] == _EXPIRED or (expiry is not None and expiry <= now):
        when = f" since {expiry:%Y-%m-%d}" if expiry else ""
        raise EncryptionKeyError(
            f"{name}: the key {fingerprint} has expired{when}. Ask the receiver for the current one."
        )
    usable = [
        (int(subkey["date"]), subkey)
        for subkey in key.get("subkey_info", {}).values()
        if "e" in subkey["cap"]
        and subkey["trust"] not in (_REVOKED, _EXPIRED, _INVALID)
        and ((until := _expiry(subkey)) is None or until > now)
    ]
    if not usable:
        raise EncryptionKeyError(
            f"{name}: the key {fingerprint} has no encryption subkey that is valid today. "
            "Ask the receiver for the current one."
        )
    newest = max(usable, key=lambda pair: pair[0])[1]
    until = min((e for e in (expiry, _expiry(newest)) if e is not None), default=None)
    return EncryptionKey(primary=fingerprint, subkey=newest["fingerprint"], expires=until)


def _expiry(key: dict[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(int(key["expires"]), UTC) if key["expires"] else None
