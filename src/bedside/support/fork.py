"""Locks for processes that fork.

A fork copies the memory and one thread. A lock that another thread held at that moment is held in the child too, by
nobody, so whoever takes it there waits for ever; and what that thread was changing may be half changed. So every lock
that outlives a call is made by :func:`in_each_process`, or is a :func:`fork_barrier`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import MethodType
from weakref import WeakMethod, ref


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
        _methods[WeakMethod(make, _forget_method)] = None
    elif hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=make)


def fork_barrier() -> threading.RLock:
    """Return a lock that a fork waits for, so that the child finds whole what it guards.

    Hold it for moments only, and take no other lock and wait for nobody meanwhile: a fork would wait too.
    """
    lock = threading.RLock()
    _barriers[ref(lock, _forget_barrier)] = None
    return lock


# Keys alone: in the order of making, which every fork follows, and copied in one step while other threads add to them.
_methods: dict[WeakMethod[Callable[[], object]], None] = {}
_barriers: dict[ref[threading.RLock], None] = {}
_held = threading.local()


def _forget_method(gone: WeakMethod[Callable[[], object]]) -> None:
    _methods.pop(gone, None)


def _forget_barrier(gone: ref[threading.RLock]) -> None:
    _barriers.pop(gone, None)


def _take_barriers() -> None:
    _held.barriers = [lock for found in list(_barriers) if (lock := found()) is not None]
    for lock in _held.barriers:
        lock.acquire()


def _let_go_of_barriers() -> None:
    for lock in _held.barriers:
        lock.release()
    _held.barriers = []


def _make_anew() -> None:
    _let_go_of_barriers()
    for found in list(_methods):
        if (make := found()) is not None:
            make()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_take_barriers, after_in_parent=_let_go_of_barriers, after_in_child=_make_anew)
