"""How many processors this process may use."""

from __future__ import annotations

import os


def processors() -> int:
    """Processors that this process may run on, as far as the system tells; at least 1.

    Example:
        >>> processors() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
