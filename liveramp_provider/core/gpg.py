"""The gpg program under a deadline: python-gnupg has none."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from contextlib import suppress
from subprocess import PIPE, Popen, TimeoutExpired
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

import gnupg

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

# python-gnupg logs what gpg says, which may name files and user ids.
logging.getLogger("gnupg").setLevel(logging.CRITICAL)

#: How long gpg may neither take anything nor end. A slow disk may hold it up for a while.
SILENCE_S = 120.0

_OPTIONS = ["--no-autostart", "--no-tty", "--no-auto-check-trustdb"]


class Source:
    """What gpg is fed with, and since when it has had the last piece of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reading = Lock()
        self._is_over = False
        self.handed_over_at = monotonic()

    def read(self, size: int) -> bytes:
        """The next bytes. While they are being made, it is not gpg that keeps us waiting."""
        with self._reading:
            self.handed_over_at = float("inf")
            try:
                return b"" if self._is_over else self._file.read(size)
            finally:
                self.handed_over_at = monotonic()

    def end(self) -> None:
        """Hand nothing more over: the thread that feeds a gpg that has died reads on, and is not waited for."""
        with self._reading:
            self._is_over = True


class Gpg(gnupg.GPG):  # type: ignore[misc]  # it has no types
    """gpg with a key ring of its own, ended with all that it has started when it goes silent.

    :raises EncryptionKeyError: There is no gpg.
    :raises EncryptionError: It cannot be started.
    """

    silence_s = SILENCE_S

    def __init__(self, home: Path) -> None:
        self._source: Source | None = None
        self.went_silent = False
        if shutil.which("gpg") is None:
            raise EncryptionKeyError("there is no gpg program. Install it: apt-get install gnupg.")
        try:
            super().__init__(gnupghome=str(home), options=_OPTIONS)
        except (OSError, ValueError):
            raise EncryptionError("gpg cannot be started, or fails at once; no file was sealed.") from None

    def feed(self, file: BinaryIO) -> Source:
        """`file` as the source of the next call, so that its pace is known."""
        self._source = Source(file)
        return self._source

    def packets(self, message: BinaryIO) -> str:
        """What gpg lists of a message without opening it; of one that is cut, as far as it goes."""
        result = self.result_map["crypt"](self)
        # To its end it need not be read.
        with suppress(BrokenPipeError):
            self._handle_io(["--list-packets"], self.feed(message), result, binary=True)
        return bytes(result.data or b"").decode(errors="replace")

    def _open_subprocess(self, args: list[str], passphrase: bool = False) -> Popen[bytes]:
        """As in python-gnupg, in a process group of its own that is watched."""
        process = Popen(  # noqa: S603 - without a shell, and nothing in it comes from data
            self.make_args(args, passphrase), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self.env, start_new_session=True
        )
        Thread(target=self._watch, args=(process,), daemon=True).start()
        return process

    def _watch(self, process: Popen[bytes]) -> None:
        started = monotonic()
        while True:
            with suppress(TimeoutExpired):
                process.wait(min(1.0, self.silence_s / 4))
                return
            heard = max(started, self._source.handed_over_at if self._source else started)
            if monotonic() - heard > self.silence_s:
                self.went_silent = True
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return
