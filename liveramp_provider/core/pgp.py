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
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError
from liveramp_provider.core.gpg import Gpg
from liveramp_provider.core.pgp_packets import check_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from liveramp_provider.core.audience import Encryption

log = logging.getLogger(__name__)

_REVOKED, _EXPIRED, _INVALID = "r", "e", "i"
# Their places among the counts of an import.
_IMPORTED, _SECRET_KEYS_READ = 2, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A key that has passed every check: the subkey to encrypt to, and until when it may be used."""

    primary: str
    subkey: str
    expires: datetime | None


@dataclass(slots=True, kw_only=True)
class _Key:
    """A key in a key ring as gpg lists it: itself, or one of its subkeys."""

    fingerprint: str
    validity: str
    created: int
    expires: datetime | None
    capabilities: str
    subkeys: list[_Key]


def check_key(encryption: Encryption, *, now: datetime) -> EncryptionKey:
    """The subkey to encrypt to, of the first pinned key that is in the file and can be used.

    :raises EncryptionKeyError: The file is no key, no pinned one, or none of them can encrypt at `now`.
    :raises EncryptionError: gpg failed.
    """
    with _key_ring() as ring:
        return _chosen(ring, encryption, now=now)


def encrypt(
    source: Iterable[bytes], encryption: Encryption, *, target: Path, inner_name: str, now: datetime
) -> EncryptionKey:
    """Encrypt all of `source` into the file `target`, and check what that has become; when it fails, nothing is left.

    :param inner_name: File name that the receiver finds inside; never the local path.
    :raises EncryptionKeyError: See :func:`check_key`.
    :raises EncryptionError: gpg failed, or the file is not for that subkey alone.
    """
    with _key_ring() as ring:
        key = _chosen(ring, encryption, now=now)
        try:
            answer = ring.run(
                *("--yes", "--always-trust", "--recipient", f"{key.subkey}!", "--output", str(target)),
                # Compressed bytes do not shrink again, and gpg's own compression is five times slower than the rest.
                *("--compress-algo", "none", "--set-filename", inner_name, "--encrypt"),
                source=source,
            )
            if answer.code or not answer.took_all or answer.said("END_ENCRYPTION") is None:
                raise EncryptionError(f"gpg could not encrypt to {key.subkey} ({answer.ending}); no file was sealed.")
            check_sealed(target, subkey=key.subkey)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return key


@contextmanager
def _key_ring() -> Iterator[Gpg]:
    # A short path: gpg's agent socket lies in it and may have 108 characters at most.
    home = Path(tempfile.mkdtemp(prefix="lr-"))
    try:
        yield Gpg(home=home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _chosen(ring: Gpg, encryption: Encryption, *, now: datetime) -> EncryptionKey:
    """The first of the pinned keys that can be used, and a word in the log where it is not the first."""
    name, keys = encryption.public_key.name, _imported(ring, encryption.public_key)
    pinned = [keys[recipient] for recipient in encryption.recipients if recipient in keys]
    if not pinned:
        raise EncryptionKeyError(
            f"{name} holds {', '.join(sorted(keys))}, but the audience file pins {' or '.join(encryption.recipients)}. "
            "Compare them with the receiver before you change either."
        )
    faults: list[EncryptionKeyError] = []
    for key in pinned:
        try:
            chosen = _usable_subkey(key, name=name, now=now)
        except EncryptionKeyError as error:
            faults.append(error)
            continue
        for fault in faults:
            log.warning(f"pgp: {fault} Meanwhile the other pinned key is used, {chosen.primary}.")
        if chosen.primary != encryption.recipients[0] and not faults:
            log.info(f"pgp: {name} does not hold {encryption.recipients[0]}; the other pinned key is used")
        return chosen
    raise EncryptionKeyError("\n".join(map(str, faults)))


def _imported(ring: Gpg, path: Path) -> dict[str, _Key]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EncryptionKeyError(f"{path} cannot be read: {error.strerror}.") from None
    # With a path too long for the agent's socket gpg reports a failure, and has imported all the same.
    counts = ring.run("--import", source=[content]).said("IMPORT_RES")
    if counts is None or len(counts) <= _SECRET_KEYS_READ:
        raise EncryptionError(f"gpg could not read {path.name}; no file was sealed.")
    if counts[_SECRET_KEYS_READ] != "0":
        raise EncryptionKeyError(
            f"{path.name} holds a secret key, and whoever has that can read every delivery. "
            "Tell the receiver, and ask for the public key alone."
        )
    try:
        keys = {key.fingerprint: key for key in _listed(ring)}
    except (IndexError, ValueError):
        raise EncryptionError("gpg's list of keys cannot be read; no file was sealed.") from None
    if not keys and counts[_IMPORTED] != "0":
        raise EncryptionError(f"gpg has lost the keys of {path.name}; no file was sealed.")
    if not keys:
        raise EncryptionKeyError(
            f"{path.name} holds no PGP public key. Ask the receiver for it and export it with --armor."
        )
    return keys


def _listed(ring: Gpg) -> list[_Key]:
    """The keys of the ring; the columns are those of GnuPG's doc/DETAILS."""
    answer = ring.run("--with-colons", "--fixed-list-mode", "--list-keys")
    if answer.code:
        raise EncryptionError(f"gpg could not list keys ({answer.ending}); no file was sealed.")
    keys: list[_Key] = []
    for columns in (line.split(":") for line in answer.output.splitlines()):
        if columns[0] == "pub":
            keys.append(_key(columns))
        elif columns[0] == "sub":
            keys[-1].subkeys.append(_key(columns))
        elif columns[0] == "fpr":
            latest = keys[-1].subkeys[-1] if keys[-1].subkeys else keys[-1]
            latest.fingerprint = columns[9]
    return keys


def _key(columns: list[str]) -> _Key:
    return _Key(
        fingerprint="",
        validity=columns[1],
        created=int(columns[5]),
        expires=datetime.fromtimestamp(int(columns[6]), UTC) if columns[6] else None,
        capabilities=columns[11],
        subkeys=[],
    )


def _usable_subkey(key: _Key, *, name: str, now: datetime) -> EncryptionKey:
    if key.validity == _REVOKED:
        raise EncryptionKeyError(f"{name}: the key {key.fingerprint} is revoked. Ask the receiver for the current one.")
    if key.validity == _EXPIRED or (key.expires is not None and key.expires <= now):
        when = f" since {key.expires:%Y-%m-%d}" if key.expires else ""
        raise EncryptionKeyError(
            f"{name}: the key {key.fingerprint} has expired{when}. Ask the receiver for the current one."
        )
    usable = [
        subkey
        for subkey in key.subkeys
        if "e" in subkey.capabilities
        and subkey.validity not in (_REVOKED, _EXPIRED, _INVALID)
        and (subkey.expires is None or subkey.expires > now)
    ]
    if not usable:
        raise EncryptionKeyError(
            f"{name}: the key {key.fingerprint} has no encryption subkey that is valid today. "
            "Ask the receiver for the current one."
        )
    newest = max(usable, key=lambda subkey: subkey.created)
    until = min((expiry for expiry in (key.expires, newest.expires) if expiry is not None), default=None)
    return EncryptionKey(primary=key.fingerprint, subkey=newest.fingerprint, expires=until)
