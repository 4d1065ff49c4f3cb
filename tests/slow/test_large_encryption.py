"""Encrypts gigabytes."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import random
import resource
import subprocess
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from liveramp_provider.core.destination import Encryption
from liveramp_provider.core.pgp import encrypt
from tests.key_owner import KeyOwner

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


class Stream(io.RawIOBase):
    """So many MiB that are made as they are read, with their digest."""

    def __init__(self, size_mib: int) -> None:
        self._block = random.Random(8).randbytes(MIB)
        self._left = size_mib
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """One MiB, whatever is asked for."""
        if not self._left:
            return b""
        self._left -= 1
        content = self._left.to_bytes(8, "big") + self._block[8:]
        self.digest.update(content)
        return content


def encrypted(size_mib: int, encryption: Encryption, target: Path) -> tuple[str, int]:
    """The digest of what was encrypted, and the most memory this process and any gpg have had, in bytes."""
    stream = Stream(size_mib)
    source = cast("BinaryIO", stream)
    encrypt(source, encryption, target=target, inner_name="people.csv", now=datetime.now(UTC))
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return stream.digest.hexdigest(), sum(peaks) * 1024


def decrypted(owner: KeyOwner, sealed: Path) -> str:
    """The digest of what the receiver reads."""
    command = ["gpg", "--homedir", str(owner.home), "--batch", "--quiet", "--decrypt", str(sealed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as gpg:
        assert gpg.stdout is not None
        digest = hashlib.sha256()
        while content := gpg.stdout.read(MIB):
            digest.update(content)
    assert gpg.returncode == 0
    return digest.hexdigest()


def test_two_gib(tmp_path: Path) -> None:
    """2 GiB come back as they were, and take the memory that 64 MiB take."""
    owner = KeyOwner()
    try:
        primary, _ = owner.key()
        public_key = tmp_path / "receiver.asc"
        public_key.write_bytes(owner.public(primary))
        encryption = Encryption(recipients=(primary,), public_key=public_key, extension="gpg")
        peaks = {}
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            for size_mib in (64, 2_048):
                sealed = tmp_path / f"{size_mib}.gpg"
                sent, peaks[size_mib] = child.submit(encrypted, size_mib, encryption, sealed).result()
                assert decrypted(owner, sealed) == sent
                sealed.unlink()
    finally:
        owner.close()
    assert peaks[2_048] - peaks[64] < 32 * MIB, peaks
