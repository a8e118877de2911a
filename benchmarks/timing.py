"""Timing side by side: every round asks each candidate once, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Times:
    """Seconds of several calls of one candidate."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median."""
        return float(np.median(self.seconds))

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return float(np.percentile(self.seconds, 95))


def interleaved(
    candidates: Mapping[str, Callable[[int], float | None]],
    rounds: int,
    *,
    warm_up: int = 3,
    budget: float = 30.0,
    least: int = 5,
) -> dict[str, Times]:
    """Time candidates round by round.

    Args:
        candidates: Name -> a call that takes the number of the round. It may return the seconds it took, where it
            measured them itself (another process); otherwise the call is timed.
        rounds: How often each is called.
        warm_up: Calls before these that do not count.
        budget: Seconds after which a candidate stops, once it has ``least`` times.
        least: See ``budget``.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warm_up, rounds):
        for name, call in _rotated(candidates, number):
            if len(seconds[name]) >= least and sum(seconds[name]) > budget:
                continue
            start = time.perf_counter()
            reported = call(number % rounds)
            took = time.perf_counter() - start if reported is None else reported
            if number >= 0:
                seconds[name].append(took)
    return {name: Times(tuple(found)) for name, found in seconds.items()}


def _rotated(
    candidates: Mapping[str, Callable[[int], float | None]], number: int
) -> Sequence[tuple[str, Callable[[int], float | None]]]:
    """Start each round with another candidate: nobody always runs after the one that empties the caches."""
    items = list(candidates.items())
    at = number % len(items)
    return items[at:] + items[:at]


class Stopwatch:
    """Seconds of the block it was used around."""

    seconds = float("nan")


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block once."""
    watch = Stopwatch()
    start = time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start


def duration(seconds: float) -> str:
    """Write a duration with its unit and three figures."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
