"""Blocking work off the event loop: so much at once, so many waiting, so long for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bedside.serving.service import Limits

T = TypeVar("T")


class TooBusyError(RuntimeError):
    """More requests wait than the limit allows."""


class TooSlowError(RuntimeError):
    """The work took longer than the limit; it goes on, and its outcome is not known."""


class Pool:
    """Worker threads with a bounded queue.

    Args:
        limits: Of threads, queue and time.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(limits.running, thread_name_prefix="bedside")
        self._unfinished = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return what it returns.

        Raises:
            TooBusyError: The queue is full; nothing was begun.
            TooSlowError: The limit of time is over.
        """
        if self._unfinished >= self.limits.running + self.limits.waiting:
            raise TooBusyError("too many requests at once; try again later")
        self._unfinished += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._finished)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.limits.seconds)
        except (TimeoutError, asyncio.TimeoutError):
            if future.done():
                raise  # the work itself said so
            raise TooSlowError(f"no answer within {self.limits.seconds:g} seconds; the work goes on") from None

    def close(self) -> None:
        """Wait for what has begun; what has not is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _finished(self, future: asyncio.Future[T]) -> None:
        self._unfinished -= 1
        if not future.cancelled():
            future.exception()  # retrieved, so that the loop does not report what the caller no longer waits for
