"""An upload ended as by Airflow's timeout: the handler of a signal raises, wherever the program just is."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.transports import apart
from tests.deliveries import NAME, Delivering, listing, sealed_file, way_to
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import OpenSshServer

MIB = 1024 * 1024
CONTENT = random.Random(9).randbytes(40 * MIB)


class Ended(BaseException):
    """No error that anybody catches."""


@pytest.fixture(autouse=True)
def ending() -> Iterator[None]:
    """SIGUSR1 ends what runs."""

    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, before)


def deliver_and_wait(delivering: Delivering) -> None:
    delivering.deliver()
    signal.pause()


def test_tidying_up_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of tidying up has its time, however many there are, and then the error comes out."""
    monkeypatch.setattr(apart, "_TIDY_S", 0.05)
    ended = []

    async def work() -> None:
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGUSR1)
        for step in range(3):
            try:
                await asyncio.sleep(2)
            except asyncio.CancelledError:
                ended.append(step)

    with pytest.raises(Ended):
        apart.run_apart(work())
    assert ended == [0, 1, 2]


def test_ended_while_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is called away while the work is handed over leaves nothing running, and its error comes out."""
    start = threading.Thread.start

    def start_and_end(thread: threading.Thread) -> None:
        start(thread)
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(threading.Thread, "start", start_and_end)
    with pytest.raises(Ended):
        apart.run_apart(asyncio.sleep(2))


@pytest.mark.parametrize("at_mib", [0, 1, 4, 8, 13, 20])
def test_ended(at_mib: int, server: OpenSshServer, folder: Path, tmp_path: Path) -> None:
    """However much has arrived: the error comes out, nothing lies at the server, and another run can send at once."""
    file = sealed_file(tmp_path / "sealed", CONTENT)
    delivering = Delivering(file, tmp_path / "ledger" / "ledger.sqlite", str(folder), way_to(server))

    def tell() -> None:
        wait_until(lambda: sum(path.stat().st_size for path in folder.iterdir()) > at_mib * MIB, "bytes to arrive")
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=tell, daemon=True).start()
    with pytest.raises(Ended):
        deliver_and_wait(delivering)
    assert listing(folder) == {}
    assert delivering.recorded().lease_until < datetime.now(UTC)
    delivering.deliver(holder="run 2")
    assert listing(folder) == {NAME: CONTENT}
