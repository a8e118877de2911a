"""What an open collection remembers of the scopes that were asked about last.

All of it follows from a scope's records, and is kept by the ``state`` that it was read in: every change of the scope,
whoever makes it, gives it another one, and every search begins by reading it. So what is remembered is never stale.
It is numbers (rows, groups, dates, counts of terms under their hashes) and the values that facets count; never texts,
vectors or what a filter asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

_SCOPES = 256
_MOST = 64 * 2**20
"""Bytes, of all scopes together."""
_ENTRY = 256
"""Bytes of an entry beside its value."""
_T = TypeVar("_T")


class Remembered:
    """What was read of one scope in one state."""

    def __init__(self, sid: int = 0, state: UUID | None = None) -> None:
        self.sid = sid
        self.state = state
        self.bytes = 0
        self._values: dict[Hashable, Any] = {}

    def of(self, what: Hashable, read: Callable[[], _T]) -> _T:
        """Return what is remembered under a name, or what ``read`` reads now; nobody may change it."""
        found: _T | None = self.known(what)
        if found is None:
            found = read()
            self.keep(what, found)
        return found

    def known(self, what: Hashable) -> Any:
        """Return what is remembered under a name, or ``None``."""
        return self._values.get(what)

    def keep(self, what: Hashable, value: Any) -> None:
        """Remember a value, unless it is too large; where there is no more room, begin anew.

        Threads need no lock: the worst is that one of them reads once more, or that a few bytes are not counted.
        """
        size = _ENTRY + _bytes(value)
        if what in self._values or size > _MOST:
            return
        if self.bytes + size > _MOST:
            self._values, self.bytes = {}, 0
        self._values[what] = value
        self.bytes += size


class Memory:
    """What is remembered of each scope, those that were asked about last first."""

    def __init__(self) -> None:
        self._kept: tuple[Remembered, ...] = ()

    def of(self, sid: int, state: UUID) -> Remembered:
        """Return what is remembered of a scope in a state; another state of it is forgotten."""
        before = self._kept
        found = next((each for each in before if each.sid == sid and each.state == state), None)
        kept = [found or Remembered(sid, state)]
        room = _MOST - kept[0].bytes
        for each in before[:_SCOPES]:
            if each.sid != sid and (room := room - each.bytes) >= 0:
                kept.append(each)
        self._kept = tuple(kept)  # one assignment, so that threads need no lock here either
        return kept[0]

    def forget(self) -> None:
        """Forget everything, as after an erasure."""
        self._kept = ()


def _bytes(value: Any) -> int:
    """Return about how many bytes a value takes."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, list | tuple):
        return sys.getsizeof(value) + sum(map(_bytes, value))
    if is_dataclass(value):
        return sum(_bytes(getattr(value, each.name)) for each in fields(value))
    return sys.getsizeof(value)
