"""Answers that come in another order than the questions, as the protocol allows."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncssh

#: How long answers are gathered.
_MOMENT_S = 0.005


class BackwardAnswers:
    """From now on, what is answered on a channel within a moment goes out together, the last answer first."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._send = channel.write
        self._held: list[tuple[Any, ...]] = []
        # One call is one answer: asyncssh writes each as a whole.
        setattr(channel, "write", self._hold)  # noqa: B010 - a method of one channel is replaced on purpose

    def _hold(self, *answer: Any) -> None:
        if not self._held:
            asyncio.get_running_loop().call_later(_MOMENT_S, self._let_go)
        self._held.append(answer)

    def _let_go(self) -> None:
        # The client may have gone meanwhile.
        with suppress(BrokenPipeError):
            while self._held:
                self._send(*self._held.pop())
        self._held.clear()
