"""Blocking work off the event loop: so much at once, so many waiting, so long for an answer.

What encodes and writes has a pool of its own, and so has what searches: however much waits elsewhere, searches find
their threads free.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from bedside.audit import acting_as
from bedside.serving.access import Access
from bedside.serving.limits import Limits
from bedside.serving.service import Service

T = TypeVar("T")


class TooBusyError(RuntimeError):
    """More requests wait than the limit allows."""


class TooSlowError(RuntimeError):
    """The work took longer than the limit; it goes on, and its outcome is not known."""


class Pool:
    """Worker threads with a bounded queue.

    Args:
        running: Threads.
        waiting: How much may wait for them.
        seconds: Until an answer; infinite for what takes as long as it takes.
    """

    def __init__(self, running: int, waiting: int, seconds: float) -> None:
        self._running, self._most, self._seconds = running, running + waiting, seconds
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="bedside")
        self._unfinished = 0

    @classmethod
    def of(cls, limits: Limits) -> Pool:
        """Return the pool of what reads, or of everything where there is one."""
        return cls(limits.running, limits.waiting, limits.seconds)

    @property
    def at_work(self) -> int:
        """How much is being done."""
        return min(self._unfinished, self._running)

    @property
    def queued(self) -> int:
        """How much waits."""
        return max(0, self._unfinished - self._running)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return what it returns; raises what :meth:`start` and :meth:`wait` raise."""
        return await self.wait(self.start(work))

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Put ``work`` into the queue.

        Raises:
            TooBusyError: The queue is full; nothing was begun.
        """
        if self._unfinished >= self._most:
            raise TooBusyError("too many requests at once; try again later")
        self._unfinished += 1
        # Threads know nothing of who acts in the task that waits for them, unless they are told.
        future = asyncio.get_running_loop().run_in_executor(self._threads, partial(copy_context().run, work))
        future.add_done_callback(self._finished)
        return future

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Return what the work of ``future`` returns; several may wait for one.

        Raises:
            TooSlowError: The limit of time is over.
        """
        done, _ = await asyncio.wait([future], timeout=None if self._seconds == math.inf else self._seconds)
        if not done:
            raise TooSlowError(f"no answer within {self._seconds:g} seconds; the work goes on")
        return future.result()

    def close(self) -> None:
        """Wait for what has begun; what has not is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _finished(self, future: asyncio.Future[T]) -> None:
        self._unfinished -= 1
        if not future.cancelled():
            future.exception()  # retrieved, so that the loop does not report what the caller no longer waits for


class Doors:
    """Lets requests in to collections: while one is first opened, a single thread is at work for all who wait for it.

    Opening a large collection takes seconds, in which its callers would otherwise keep every thread from others.

    Args:
        reading: Where what reads is done, and opening.
        searching: Where searches are done.
        writing: Where what encodes documents and writes is done.
        service: Whose verbs are run.
        tell: Is awaited with the name of a collection that was changed, before the change is answered.
    """

    def __init__(
        self,
        reading: Pool,
        searching: Pool,
        writing: Pool,
        service: Service,
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        self._reading, self._searching, self._writing = reading, searching, writing
        self._service, self._tell = service, tell
        self._opening: dict[str, asyncio.Future[None]] = {}

    async def read(self, verb: Callable[..., T], access: Access, name: str, *arguments: Any, **options: Any) -> T:
        """Run a verb of the service that reads a collection.

        Raises:
            TooBusyError: The queue is full; nothing was begun.
            TooSlowError: The limit of time is over, which counts anew for the verb once the collection is open.
        """
        return await self._run(self._reading, partial(verb, access, name, *arguments, **options), access, name)

    async def search(self, verb: Callable[..., T], access: Access, name: str, *arguments: Any, **options: Any) -> T:
        """Run a verb of the service that searches a collection; raises as :meth:`read`."""
        return await self._run(self._searching, partial(verb, access, name, *arguments, **options), access, name)

    async def write(self, verb: Callable[..., T], access: Access, name: str, *arguments: Any, **options: Any) -> T:
        """Run a verb of the service that changes a collection; raises as :meth:`read`."""
        done = await self._run(self._writing, partial(verb, access, name, *arguments, **options), access, name)
        await self._tell(name)
        return done

    async def _run(self, pool: Pool, work: Callable[[], T], access: Access, name: str) -> T:
        if self._service.shelf.must_open(access, name):
            await self._reading.wait(self._opening.get(name) or self._open(name))
        with acting_as(access.name, purpose=access.purpose):
            return await pool.run(work)

    def _open(self, name: str) -> asyncio.Future[None]:
        future = self._opening[name] = self._reading.start(partial(self._service.shelf.open, name))
        future.add_done_callback(lambda _: self._opening.pop(name, None))
        return future
