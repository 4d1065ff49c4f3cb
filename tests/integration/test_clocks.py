"""Workers whose clock is a day ahead, a day behind, or jumps, far from the audience's time zone: real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liveramp_provider.core.ledger import State
from liveramp_provider.core.ledger.reading import recorded
from liveramp_provider.testing.sftp import Fault, FaultySftp
from tests.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND = "2026-11-20", "2026-11-21"
DAY_LONG = timedelta(days=1)


@dataclass
class Workers:
    """Workers of one installation, each with a clock of its own."""

    home: Path
    sftp: FaultySftp

    def start(self, day: str, *, clock: str, zone: str, holder: str) -> subprocess.Popen[str]:
        """A worker whose clock is off by `clock`, until :meth:`jump`."""
        self.jump(clock)
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        connection = json.loads(self.sftp.connection_json())
        way = connection | connection.pop("extra") | {"folder": self.sftp.folder}
        command = [sys.executable, "-m", "tests.integration.clock_worker", str(self.home), day, json.dumps(way), holder]
        clocks = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "TZ": zone,
        }
        return subprocess.Popen(command, env=os.environ | clocks, stdout=subprocess.PIPE, text=True)

    def work(self, day: str, *, clock: str, zone: str, holder: str) -> str:
        """What such a worker says of a file that it has delivered."""
        said, _ = self.start(day, clock=clock, zone=zone, holder=holder).communicate()
        return said.strip()

    def jump(self, clock: str) -> None:
        """From now on the clock of the worker that runs is off by that."""
        self._clock.write_text(f"{clock}\n")

    @property
    def _clock(self) -> Path:
        return self.home / "clock"

    @property
    def ledger_file(self) -> Path:
        return self.home / "ledger" / "ledger.sqlite"


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with FaultySftp(tmp_path / "sftp") as sftp:
        yield Workers(tmp_path, sftp)


def name_of(day: str) -> str:
    return f"3242_vip-PII_{day}.csv.gz"


def test_wrong_clocks(workers: Workers) -> None:
    """The file's day is the run's, each day arrives once, and a lease of tomorrow keeps nobody waiting until then."""
    workers.sftp.misbehave(Fault.STALL_WRITE)
    ahead = workers.start(FIRST, clock="+1d", zone="Pacific/Kiritimati", holder="run 1")
    wait_until(lambda: workers.sftp.calls["write"], "the upload to begin")
    ahead.kill()
    ahead.communicate()
    (left,) = recorded(workers.ledger_file)
    assert left.state is State.UPLOADING
    assert left.lease_until > datetime.now(UTC) + DAY_LONG

    assert workers.work(FIRST, clock="-1d", zone="Etc/GMT+12", holder="run 2") == f"{name_of(FIRST)} {FIRST} True"
    assert workers.work(FIRST, clock="+1d", zone="Asia/Tokyo", holder="run 3") == f"{name_of(FIRST)} {FIRST} False"

    workers.sftp.misbehave(Fault.SLOW, at=400)
    jumping = workers.start(SECOND, clock="+1d", zone="America/New_York", holder="run 1")
    for clock in ("-1d", "+2d", "-2d"):
        wait_until(lambda: workers.sftp.calls["write"] > 3, "the upload to begin")
        workers.jump(clock)
    said, _ = jumping.communicate()
    assert said.strip() == f"{name_of(SECOND)} {SECOND} True"

    workers.sftp.poll()
    assert [name for name, _ in workers.sftp.taken] == [name_of(FIRST), name_of(SECOND)]
    assert workers.sftp.leftovers == ()
