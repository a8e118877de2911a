"""What tests ask of a forked child."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


@contextmanager
def held_by_a_thread(lock: AbstractContextManager[Any], seconds: float = 60) -> Iterator[None]:
    """Have another thread hold a lock, for so long at most: a fork may wait until it lets go."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    try:
        yield
    finally:
        done.set()
        thread.join()


def child_does(work: Callable[[], object]) -> bool:
    """Run ``work`` in a fork: whether it returned something true within ten seconds."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    signal.alarm(10)
    try:
        os._exit(0 if work() else 1)
    finally:
        os._exit(2)
