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

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError
from liveramp_provider.core.gpg import Gpg
from liveramp_provider.core.pgp_packets import check_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from liveramp_provider.core.destination import Encryption

log = logging.getLogger(__name__)

_REVOKED, _EXPIRED, _INVALID = "r", "e", "i"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKey:
    """A key that has passed every check: the subkey to encrypt to, and until when it may be used."""

    primary: str
    subkey: str
    expires: datetime | None


def check_key(encryption: Encryption, *, now: datetime) -> EncryptionKey:
    """The subkey to encrypt to, of the first pinned key that is in the file and can be used.

    :raises EncryptionKeyError: The file is no key, no pinned one, or none of them can encrypt at `now`.
    :raises EncryptionError: gpg failed.
    """
    with _key_ring() as ring:
        return _chosen(ring, encryption, now=now)


def encrypt(source: BinaryIO, encryption: Encryption, *, target: Path, inner_name: str, now: datetime) -> EncryptionKey:
    """Encrypt all of `source` into the file `target`, and check what that has become; when it fails, nothing is left.

    :param inner_name: File name that the receiver finds inside; never the local path.
    :raises EncryptionKeyError: See :func:`check_key`.
    :raises EncryptionError: gpg failed, or the file is not for that subkey alone.
    """
    with _key_ring() as ring:
        key = _chosen(ring, encryption, now=now)
        try:
            _run(ring, source, key, target=target, inner_name=inner_name)
            check_sealed(target, ring=ring, subkey=key.subkey)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return key


def _run(ring: Gpg, source: BinaryIO, key: EncryptionKey, *, target: Path, inner_name: str) -> None:
    feed = ring.feed(source)
    try:
        result = ring.encrypt_file(
            feed,
            [f"{key.subkey}!"],
            armor=False,
            always_trust=True,
            output=str(target),
            # Compressed bytes do not shrink again, and gpg's own compression is five times slower than all the rest.
            extra_args=["--compress-algo", "none", "--set-filename", inner_name],
        )
    except BrokenPipeError:
        raise EncryptionError(f"gpg could not encrypt to {key.subkey} ({_ending(ring, 'stopped half-way')}).") from None
    finally:
        feed.end()
    if not result.ok or result.returncode:
        ending = _ending(ring, result.status or f"exit code {result.returncode}")
        raise EncryptionError(f"gpg could not encrypt to {key.subkey} ({ending}); no file was sealed.")


def _ending(ring: Gpg, words: str) -> str:
    return f"ended after it was silent for {ring.silence_s:g} s" if ring.went_silent else words


@contextmanager
def _key_ring() -> Iterator[Gpg]:
    # A short path: gpg's agent socket lies in it and may have 108 characters at most.
    home = Path(tempfile.mkdtemp(prefix="lr-"))
    try:
        yield Gpg(home)
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


def _imported(ring: Gpg, path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EncryptionKeyError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        found = ring.import_keys(content)
        keys = {key["fingerprint"]: key for key in ring.list_keys()}
    except (BrokenPipeError, LookupError, TypeError, ValueError):
        raise EncryptionError(f"gpg could not read {path.name} ({_ending(ring, 'stopped half-way')}).") from None
    if ring.went_silent or "IMPORT_RES" not in getattr(found, "stderr", "") or (found.imported and not keys):
        raise EncryptionError(f"gpg could not read {path.name} ({_ending(ring, f'exit code {found.returncode}')}).")
    if found.sec_read:
        raise EncryptionKeyError(
            f"{path.name} holds a secret key, and whoever has that can read every delivery. "
            "Tell the receiver, and ask for the public key alone."
        )
    if not keys:
        raise EncryptionKeyError(
            f"{path.name} holds no PGP public key. Ask the receiver for it and export it with --armor."
        )
    return keys


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
