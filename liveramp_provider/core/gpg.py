"""The gpg program: fed and listened to under a deadline; what it says to people is kept back.

Its words may name files, keys and people, so only its status lines come through.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveramp_provider.core.errors import EncryptionError, EncryptionKeyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: How long gpg may neither take nor say anything while we wait for it. A slow disk may hold it up for a while.
SILENCE_S = 120.0

_OPTIONS = ("--batch", "--no-tty", "--no-autostart", "--no-auto-check-trustdb", "--status-fd", "2")
_STATUS = "[GNUPG:] "
_MAX_SAID_BYTES = 4_000_000
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a call of gpg ended.

    :param code: 0 where all went well; negative where a signal ended it.
    :param took_all: Whether it has read all that it was fed.
    :param output: What it gave, as far as it is text.
    :param status: Its status lines, keyword first.
    """

    code: int
    took_all: bool
    output: str
    status: tuple[tuple[str, ...], ...]

    def said(self, keyword: str) -> tuple[str, ...] | None:
        """What follows on the keyword in the last status line with it; ``None`` where there is none."""
        return next((words[1:] for words in reversed(self.status) if words[0] == keyword), None)

    @property
    def ending(self) -> str:
        """How it ended, for people."""
        return f"ended by signal {-self.code}" if self.code < 0 else f"exit code {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpg:
    """gpg with a key ring of its own.

    :param home: The key ring's folder.
    """

    home: Path
    silence_s: float = SILENCE_S

    def run(self, *arguments: str, source: Iterable[bytes] = ()) -> Answer:
        """Call gpg with `source` at its entrance, and wait for its end; nothing of it runs on when that fails.

        What `source` raises comes out as it is, after gpg was ended.

        :raises EncryptionKeyError: There is no gpg.
        :raises EncryptionError: It cannot be started, went silent, or does not stop talking.
        """
        with self._started(arguments) as process:
            talk = _Conversation(process, silence_s=self.silence_s)
            took_all = talk.hold(iter(source))
            try:
                code = process.wait(self.silence_s)
            except subprocess.TimeoutExpired:
                raise _silent(self.silence_s) from None
        lines = talk.errors.decode(errors="replace").splitlines()
        status = [line.removeprefix(_STATUS).split() for line in lines if line.startswith(_STATUS)]
        return Answer(
            code=code,
            took_all=took_all,
            output=talk.output.decode(errors="replace"),
            status=tuple(tuple(words) for words in status if words),
        )

    @contextmanager
    def _started(self, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        program = shutil.which("gpg")
        if program is None:
            raise EncryptionKeyError("there is no gpg program. Install it: apt-get install gnupg.")
        command = [program, "--homedir", str(self.home), *_OPTIONS, *arguments]
        try:
            process = subprocess.Popen(  # noqa: S603 - without a shell, and nothing in it comes from data
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise EncryptionError(f"gpg cannot be started ({error.strerror}); no file was sealed.") from None
        with process:
            try:
                yield process
            except BaseException:
                # With whatever it has started: that belongs to the same group.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise


class _Conversation:
    """Bytes in and bytes out at once, so that neither side waits for the other for ever."""

    def __init__(self, process: subprocess.Popen[bytes], *, silence_s: float) -> None:
        self._entrance, *exits = (end.fileno() for end in (process.stdin, process.stdout, process.stderr) if end)
        self.output, self.errors = bytearray(), bytearray()
        self._said = dict(zip(exits, (self.output, self.errors), strict=True))
        self._close = process.stdin.close if process.stdin else lambda: None
        self._silence_s = silence_s
        self._rest = memoryview(b"")

    def hold(self, source: Iterator[bytes]) -> bool:
        """Feed `source` and listen until gpg has nothing more to say; whether it took everything."""
        os.set_blocking(self._entrance, False)
        with selectors.DefaultSelector() as ends:
            ends.register(self._entrance, selectors.EVENT_WRITE)
            for exit_ in self._said:
                ends.register(exit_, selectors.EVENT_READ)
            while ends.get_map():
                # Only gpg's own silence counts: the source may take its time.
                ready = ends.select(self._silence_s)
                if not ready:
                    raise _silent(self._silence_s)
                for key, _ in ready:
                    more = self._feed(source) if key.fd == self._entrance else self._listen(key.fd)
                    if not more:
                        ends.unregister(key.fd)
        return not self._rest

    def _feed(self, source: Iterator[bytes]) -> bool:
        """Whether there may be more to feed; else the entrance is closed, which tells gpg so."""
        self._rest = self._rest or memoryview(next((piece for piece in source if piece), b""))
        try:
            written = os.write(self._entrance, self._rest[:_PIECE_BYTES]) if self._rest else 0
        except BrokenPipeError:
            written = 0
        self._rest = self._rest[written:]
        if not written:
            self._close()
        return bool(written)

    def _listen(self, exit_: int) -> bool:
        """Whether more may come."""
        piece = os.read(exit_, _PIECE_BYTES)
        self._said[exit_] += piece
        if len(self._said[exit_]) > _MAX_SAID_BYTES:
            raise EncryptionError("gpg does not stop talking; it was ended, and no file was sealed.")
        return bool(piece)


def _silent(silence_s: float) -> EncryptionError:
    return EncryptionError(
        f"gpg has neither taken nor said anything for {silence_s:g} s; it was ended, and no file was sealed."
    )
