"""Measurements in a process of their own, whose memory holds nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil  # type: ignore[import-untyped]

from bedside.types import Matrix
from peer import Peer
from timing import Times, interleaved, stopwatch

_T = TypeVar("_T")


@dataclass(frozen=True)
class Probe:
    """What opening and searching cost.

    Attributes:
        open: Seconds until it is open.
        first: Seconds of the first search after that.
        search: Times of the searches that follow.
        resident: Bytes of the process afterwards, mapped files included.
    """

    open: float
    first: float
    search: Times
    resident: int


def in_new_process(call: Callable[..., _T], *arguments: object) -> _T:
    """Run a module's function in a new interpreter and return what it returned."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def opened_and_searched(kind: type[Peer], folder: Path, queries: Matrix) -> Probe:
    """Open what is in ``folder`` and search it; to be called by :func:`in_new_process`."""
    peer = kind(folder)
    with stopwatch() as opening:
        peer.reopen()
    with stopwatch() as first:
        peer.search(queries[0], 10)

    def ask(number: int) -> None:
        peer.search(queries[number], 10)

    times = interleaved({"search": ask}, rounds=len(queries), budget=20.0)
    return Probe(opening.seconds, first.seconds, times["search"], resident())


def resident() -> int:
    """Bytes of memory that this process holds, mapped files included."""
    return int(psutil.Process().memory_info().rss)
