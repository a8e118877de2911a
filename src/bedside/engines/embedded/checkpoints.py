"""Which stretch of a log each file of the cache holds, and when one is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from bedside.engines.embedded.index.rows import Index
from bedside.engines.embedded.log.cache import SUFFIX, Arrays, Stored, parts_of, read_cache, write_cache
from bedside.engines.embedded.log.log import Log, Position
from bedside.errors import CorruptCacheError

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one log, in order: a whole one and what came since, until that is as large as the whole.

    Args:
        folder: The cache's folder; ``None`` in memory, where there are none.
        key: Returns what seals the files by now; ``None`` of a plain collection.

    Attributes:
        end: How far the files lead that were read or written.
        damaged: Whether a file was met that is not what was written, and none was written in its place since.
    """

    def __init__(self, folder: Path | None, key: Callable[[], bytes | None]) -> None:
        self._folder, self._key = folder, key
        self.end, self.damaged = Position(), False
        self._sizes: list[int] = []
        self._rows = self._terms = 0

    def of_another_log(self) -> Checkpoints:
        """Return the checkpoints of a log that has none yet."""
        return Checkpoints(self._folder, self._key)

    def load(self, index: Index, key: Mapping[str, Any], log: Log) -> Position:
        """Fill an empty index with what the files hold of ``log``; return how far that leads.

        Whoever gets the position of nothing takes a new index: this one may be half filled.
        """
        self.end, self.damaged, self._sizes, self._rows, self._terms = Position(), False, [], 0, 0
        while found := self._read(key, len(self._sizes)):
            facts, arrays = found
            position = Position(*facts["position"])
            if Position(*facts["from"]) != self.end or not log.ends_at(position):
                break
            index.load(facts["state"], arrays)
            self._done(index, position, _size(arrays))
        if self._sizes:
            index.drop_dead()
        return self.end

    def _read(self, key: Mapping[str, Any], number: int) -> tuple[dict[str, Any], Arrays] | None:
        if self._folder is None:
            return None
        try:
            return read_cache(self._file(key, number), key, self._key())
        except CorruptCacheError as error:
            self.damaged = True
            _log.warning("%s: %s", self._folder.parent, error)
            return None

    def check(self, key: Mapping[str, Any]) -> None:
        """Read every file there is of a log, also those behind one that is missing.

        Raises:
            CorruptCacheError: One of them is not what was written.
        """
        for file in sorted(self._folder.glob(f"{_stem(key)}-*{SUFFIX}")) if self._folder else ():
            read_cache(file, key, self._key())

    def write(self, index: Index, key: Mapping[str, Any], position: Position) -> None:
        """Write what came since the last checkpoint, or everything if there is none or more came than was there."""
        if self._folder is None or position == self.end:
            return
        if not self._sizes or sum(self._sizes[1:]) > self._sizes[0]:
            self.end, self._sizes, self._rows, self._terms = Position(), [], 0, 0
        state, arrays = index.since(self._rows, self._terms) if self._sizes else index.to_state()
        facts = {**key, "from": list(astuple(self.end)), "position": list(astuple(position)), "state": state}
        file = self._file(key, len(self._sizes))
        if write_cache(file, facts, arrays, self._key()):
            self._done(index, position, _size(arrays))
            self._remove_later(key)
            self.damaged = False

    def _done(self, index: Index, position: Position, size: int) -> None:
        self.end, self._rows, self._terms = position, index.rows, index.sparse.terms
        self._sizes.append(size)

    def _file(self, key: Mapping[str, Any], number: int) -> Path:
        return Path(self._folder or "", f"{_stem(key)}-{number}{SUFFIX}")

    def _remove_later(self, key: Mapping[str, Any]) -> None:
        """Delete the files that followed an older checkpoint of this number."""
        number = len(self._sizes)
        while (later := self._file(key, number)).exists():
            later.unlink(missing_ok=True)
            number += 1


def _size(arrays: Mapping[str, Stored]) -> int:
    return sum(part.nbytes for array in arrays.values() for part in parts_of(array))


def _stem(key: Mapping[str, Any]) -> str:
    return Path(key["log"]).stem
