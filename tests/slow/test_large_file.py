"""What takes minutes and gigabytes."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.deliveries import NAME, Delivering, sealed_file, way_to
from tests.servers import OpenSshServer

if TYPE_CHECKING:
    from pathlib import Path

    from liveramp_provider.core.artifacts import SealedFile

MIB = 1024 * 1024


def large_file(path: Path, size_mib: int) -> SealedFile:
    """A sealed file in which no two stretches are alike."""
    block, digest = random.Random(8).randbytes(MIB), hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size_mib):
            content = number.to_bytes(8, "big") + block[8:]
            file.write(content)
            digest.update(content)
    small = sealed_file(path.with_suffix(".small"))
    return replace(small, path=path, size_bytes=size_mib * MIB, sha256=digest.hexdigest())


def peak_after(delivering: Delivering) -> int:
    """The most memory this process has had, in bytes, once it has delivered."""
    delivering.deliver()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_more_than_four_gib(tmp_path: Path) -> None:
    """A file of 4.1 GiB arrives as it is, with new keys on the way, in the memory that a small one needs."""
    with OpenSshServer(tmp_path / "openssh", config=["RekeyLimit 256M"]) as server:
        peaks = {}
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            for size_mib in (64, 4_200):
                folder = server.root / str(size_mib)
                folder.mkdir()
                file = large_file(tmp_path / f"{size_mib}.sealed", size_mib)
                ledger_file = tmp_path / f"ledger-{size_mib}" / "ledger.sqlite"
                delivering = Delivering(file, ledger_file, str(folder), way_to(server))
                peaks[size_mib] = child.submit(peak_after, delivering).result()
                with (folder / NAME).open("rb") as arrived:
                    assert hashlib.file_digest(arrived, "sha256").hexdigest() == file.sha256
                file.path.unlink()
                (folder / NAME).unlink()
    assert peaks[4_200] - peaks[64] < 32 * MIB
