"""Locks for processes that fork.

A fork copies the memory and one thread. A lock that another thread held at that moment is held in the child too, by
nobody, so whoever takes it there waits for ever; and what that thread was changing may be half changed. So every lock
that outlives a call is made by :func:`in_each_process`, or is a :func:`fork_barrier`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from types import MethodType
from typing import TypeVar
from weakref import WeakMethod, finalize, ref

_W = TypeVar("_W")


def in_each_process(make: Callable[[], object]) -> None:
    """Call ``make`` now, and again in every forked child as long as its object lives.

    It makes the locks that the child must find free, and throws away what may be half changed. A ``with`` statement
    that the forking thread is in goes on with the lock that it took.

    Args:
        make: A bound method, of which only a weak reference is kept, or a function of a module.

    Example:
        >>> class Counter:
        ...     def __init__(self) -> None:
        ...         in_each_process(self._make_lock)
        ...
        ...     def _make_lock(self) -> None:
        ...         self._lock = threading.Lock()
        >>> counter = Counter()
    """
    make()
    if isinstance(make, MethodType):
        method: WeakMethod[Callable[[], object]] = WeakMethod(make)
        _keep(_methods, method, make.__self__)
    elif hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=make)


def fork_barrier() -> threading.RLock:
    """Return a lock that a fork waits for, so that the child finds whole what it guards.

    Hold it for moments only, and take no other lock and wait for nobody meanwhile: a fork would wait too.
    """
    lock = threading.RLock()
    _keep(_barriers, ref(lock), lock)
    return lock


# Numbered in the order of making, which every fork follows, and copied in one step while other threads add to them.
_methods: dict[int, WeakMethod[Callable[[], object]]] = {}
_barriers: dict[int, ref[threading.RLock]] = {}
_numbers = count()
_held = threading.local()


def _keep(where: dict[int, _W], what: _W, owner: object) -> None:
    """Keep a weak reference as long as its owner lives.

    Under a number: weak references compare themselves by names that are gone while the interpreter ends.
    """
    number = next(_numbers)
    where[number] = what
    finalize(owner, where.pop, number, None).atexit = False


def _take_barriers() -> None:
    _held.barriers = [lock for found in list(_barriers.values()) if (lock := found()) is not None]
    for lock in _held.barriers:
        lock.acquire()


def _let_go_of_barriers() -> None:
    for lock in _held.barriers:
        lock.release()
    _held.barriers = []


def _make_anew() -> None:
    _let_go_of_barriers()
    for found in list(_methods.values()):
        if (make := found()) is not None:
            make()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_take_barriers, after_in_parent=_let_go_of_barriers, after_in_child=_make_anew)
