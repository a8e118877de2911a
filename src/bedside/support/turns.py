"""Long work that makes way for searches.

A thread that waits for one that computes gets the interpreter only after the switch interval of 5 ms, and a search
waits some twenty times, whenever NumPy lets go of it: beside an import a search of 8 ms took over 100 ms. So a search
says when it begins and ends (:func:`going_first`), and long work stops meanwhile (:func:`taking_turns`), but never for
longer than it worked before: where searches never pause, it still gets half of the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from bedside.support.fork import in_each_process

_T = TypeVar("_T")
_TURN = 0.001
"""Seconds of work between two turns."""


class _Searches:
    """How many searches are at work in this process."""

    def __init__(self) -> None:
        in_each_process(self._make)

    def _make(self) -> None:
        self._changed, self._count = threading.Condition(threading.Lock()), 0

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count = max(0, self._count - 1)  # a child that was forked inside of the block begins at none
            if not self._count:
                self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        with self._changed:
            if self._count:
                self._changed.wait(seconds)


_searches = _Searches()


def going_first() -> AbstractContextManager[None]:
    """Have long work of other threads wait while the block runs."""
    return _searches


def taking_turns(items: Iterable[_T]) -> Iterator[_T]:
    """Yield items, letting other threads have the interpreter after every millisecond of work, and searches finish."""
    begun, last = time.perf_counter(), time.thread_time()
    for item in items:
        yield item
        if time.perf_counter() - begun <= _TURN:  # no thread works longer than time passes, which costs less to ask
            continue
        worked = time.thread_time() - last
        if worked > _TURN:
            if threading.active_count() > 1:
                time.sleep(0)  # sched_yield is cheaper, but lets go of the interpreter only to take it back first
                _searches.wait(worked)
            begun, last = time.perf_counter(), time.thread_time()
