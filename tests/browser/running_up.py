"""``make up`` as somebody runs it: a process that prints where it is, and ends on a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

_PATIENCE_S = 120


class RunningUp:
    """The command in a process and a folder of its own; a context manager that stops it by Ctrl-C.

    :param home: The folder; what the command prints lies beside it.
    """

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self._printed = home.with_suffix(".out")
        with self._printed.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "liveramp_provider.testing.up", "--home", home, *arguments],
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Wait until it says that it is ready."""
        patience = time.monotonic() + _PATIENCE_S
        try:
            while "Ctrl-C stops everything" not in self.printed:
                if self._process.poll() is not None or time.monotonic() > patience:
                    raise RuntimeError(f"make up did not get ready:\n{self.printed}")
                time.sleep(0.2)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, ending: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and wait; returns the exit code."""
        with suppress(ProcessLookupError):
            self._process.send_signal(ending)
        return self.wait()

    def wait(self) -> int:
        """Wait until it ends by itself; returns the exit code."""
        return self._process.wait(_PATIENCE_S)

    @property
    def printed(self) -> str:
        """All that it has printed."""
        return self._printed.read_text()

    @property
    def url(self) -> str:
        """Where it says the UI is."""
        return self._said(r"^(http://\S+)   user")

    @property
    def password(self) -> str:
        """The password that it says."""
        return self._said(r"password (\S+)$")

    @property
    def receiver(self) -> str:
        """Where it says LiveRamp in a box listens."""
        return self._said(r"listens on ([^\s;]+)")

    def sessions(self) -> set[int]:
        """The sessions of all processes it has started."""
        return {os.getsid(child.pid) for child in psutil.Process(self._process.pid).children(recursive=True)}

    def kill(self, component: str) -> None:
        """Kill that component of Airflow as soon as it runs, as the system does when memory is short."""
        patience = time.monotonic() + _PATIENCE_S
        while not (part := self._part(component)):
            if time.monotonic() > patience:
                raise TimeoutError(component)
            time.sleep(0.1)
        part.kill()

    def _part(self, name: str) -> psutil.Process | None:
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.cmdline()[-1:] == [name]:
                    return child
        return None

    def _said(self, pattern: str) -> str:
        match = re.search(pattern, self.printed, re.MULTILINE)
        assert match, self.printed
        return match[1]


def alive_in(sessions: set[int]) -> dict[int, str]:
    """The processes of these sessions by pid."""
    found = {}
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process.name()
    return found
