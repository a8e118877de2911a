"""Which stretch of a log each file of the cache holds, and when one is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from bedside.engines.embedded.index.rows import Index
from bedside.engines.embedded.log.cache import SUFFIX, read_cache, write_cache
from bedside.engines.embedded.log.log import Log, Position


class Checkpoints:
    """The checkpoints of one log, in order: a whole one and what came since, until that is as large as the whole.

    Args:
        folder: The cache's folder; ``None`` in memory, where there are none.
        key: Returns what seals the files by now; ``None`` of a plain collection.
    """

    def __init__(self, folder: Path | None, key: Callable[[], bytes | None]) -> None:
        self._folder, self._key = folder, key
        self.end = Position()
        self._sizes: list[int] = []
        self._rows = self._terms = 0

    def of_another_log(self) -> Checkpoints:
        """Return the checkpoints of a log that has none yet."""
        return Checkpoints(self._folder, self._key)

    def load(self, index: Index, key: Mapping[str, Any], log: Log) -> Position:
        """Fill an empty index with what the files hold of ``log``; return how far that leads.

        Whoever gets the position of nothing takes a new index: this one may be half filled.
        """
        self.end, self._sizes, self._rows, self._terms = Position(), [], 0, 0
        while self._folder is not None and (found := read_cache(self._file(key, len(self._sizes)), key, self._key())):
            facts, arrays = found
            position = Position(*facts["position"])
            if Position(*facts["from"]) != self.end or not log.ends_at(position):
                break
            index.load(facts["state"], arrays)
            self._done(index, position, sum(array.nbytes for array in arrays.values()))
        if self._sizes:
            index.drop_dead()
        return self.end

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
            self._done(index, position, sum(array.nbytes for array in arrays.values()))
            self._remove_later(key)

    def _done(self, index: Index, position: Position, size: int) -> None:
        self.end, self._rows, self._terms = position, index.rows, index.sparse.terms
        self._sizes.append(size)

    def _file(self, key: Mapping[str, Any], number: int) -> Path:
        return Path(self._folder or "", f"{Path(key['log']).stem}-{number}{SUFFIX}")

    def _remove_later(self, key: Mapping[str, Any]) -> None:
        """Delete the files that followed an older checkpoint of this number."""
        number = len(self._sizes)
        while (later := self._file(key, number)).exists():
            later.unlink(missing_ok=True)
            number += 1
