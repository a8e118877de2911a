"""Long work that leaves room for other threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_TURN = 0.001
"""Seconds between two turns. Giving one away takes 0.06 ms, and nothing where there is no other thread."""


def taking_turns(items: Iterable[_T]) -> Iterator[_T]:
    """Yield items, letting another thread have the interpreter every millisecond.

    A thread that waits for one that computes gets the interpreter only after the switch interval of 5 ms, and a search
    waits some fifty times, whenever NumPy lets go of it: beside an import a search of 12 ms took over 100 ms.
    """
    last = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - last > _TURN:
            if threading.active_count() > 1:
                time.sleep(
                    0
                )  # what is cheaper, such as sched_yield, lets go of the interpreter but takes it back first
            last = time.perf_counter()
