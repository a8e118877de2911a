"""What tests ask of a forked child."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def child_does(work: Callable[[], object]) -> bool:
    """Run ``work`` in a fork: whether it returned something true within ten seconds."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    signal.alarm(10)
    try:
        os._exit(0 if work() else 1)
    finally:
        os._exit(2)
