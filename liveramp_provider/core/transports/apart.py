"""An event loop in a thread of its own, so that whoever ends a task in the middle gets a tidy end."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Result = TypeVar("_Result")

#: How long one step of tidying up may take: a worker that is told to go has half a minute in all.
_TIDY_S = 5


def run_apart(work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of `work`.

    Airflow ends a task by an error that the handler of a signal raises, wherever the main thread just is. Inside an
    event loop that may be any callback: there the error gets lost, or breaks the session so that nothing can be tidied
    up. So the main thread only waits. When it is called away, `work` is cancelled, and has a few seconds for each step
    of its tidying up.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner, ThreadPoolExecutor(1) as thread:
        loop = runner.get_loop()
        task = loop.create_task(work)
        # The thread begins before there is anything to leave running.
        thread.submit(bool).result()
        try:
            return thread.submit(loop.run_until_complete, task).result()
        except BaseException:
            if not task.done():
                loop.call_soon_threadsafe(_end, loop, task)
            raise


def _end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Cancel, and cancel again what then waits for somebody who does not answer."""
    task.cancel()
    loop.call_later(_TIDY_S, _end, loop, task)
