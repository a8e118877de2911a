"""One progress bar for everything that takes long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Total: TypeAlias = int | Callable[[], int | None] | None


@contextmanager
def progress(total: Total, what: str, unit: str) -> Iterator[Callable[[int], object]]:
    """Show a bar on standard error once two seconds have passed; none where that is not a terminal.

    Args:
        total: Units in all, or what counts them, which is asked on a terminal alone; ``None`` where nobody knows.
        what: The bar's name.
        unit: What is counted.

    Yields:
        A function that moves the bar by a number of units.
    """
    # Asked here and not by tqdm, whose bars take a lock even where they are not shown: a fork may leave it held.
    bar_type = _bar_type() if sys.stderr is not None and sys.stderr.isatty() else None
    if bar_type is None:
        yield lambda _: None
        return
    units = total() if callable(total) else total
    with bar_type(total=units, desc=what, unit=unit, unit_scale=True, delay=2.0, leave=False) as bar:
        yield bar.update


def counting(items: Iterable[T], total: Total, what: str, unit: str) -> Iterator[T]:
    """Yield the items, and show how many were taken."""
    with progress(total, what, unit) as step:
        for item in items:
            yield item
            step(1)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show the seconds that one long call of another library takes, which cannot say how far it is."""
    done = threading.Event()

    def tick(step: Callable[[int], object]) -> None:
        while not done.wait(1):
            step(1)

    with progress(None, what, "s") as step:
        ticking = threading.Thread(target=tick, args=[step], daemon=True)
        ticking.start()
        try:
            yield
        finally:
            done.set()
            ticking.join()


@cache
def _bar_type() -> Any:
    """The bar of tqdm; ``None`` where that is not installed: a bar is a courtesy, not a reason to fail."""
    try:
        return import_module("tqdm").tqdm
    except ModuleNotFoundError:
        return None
