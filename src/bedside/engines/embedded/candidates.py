"""The rows of the index that one search may be answered with, as the ranking asks about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.dense import DenseIndex
from bedside.engines.embedded.index.rows import Index
from bedside.engines.embedded.index.segments import NO_DATE
from bedside.engines.embedded.log.log import Log
from bedside.engines.embedded.state import document
from bedside.search.pool import Signal, Top
from bedside.search.rank import Rows, Scores
from bedside.types import Document, Matrix, Vector


@dataclass(frozen=True)
class IndexCandidates:
    """A mask over the rows that there were when the search began; what is added later lies behind it.

    Attributes:
        allowed: bool ``[n]``.
        dense: The vectors; ``None`` in a collection of texts without vectors.
        index: Where a row's line lies.
        log: The log of the rows.
        numbers: The number of each row's group, int64 ``[n]``; ``None`` where the search has no groups.
        times: By key, when each row's date begins, int64 ``[n]``; :data:`NO_DATE` where it has none.
        newest: Whether a row is the newest of its value, bool ``[n]``; ``None`` where the search has no ``latest_by``.
    """

    allowed: NDArray[np.bool_]
    dense: DenseIndex | None
    index: Index
    log: Log
    numbers: NDArray[np.int64] | None = None
    times: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    newest: NDArray[np.bool_] | None = None

    @property
    def has_vectors(self) -> bool:
        """False in a collection of texts without vectors."""
        return self.dense is not None

    @property
    def exact(self) -> bool:
        """Every row is looked at."""
        return True

    def allows(self, rows: Rows) -> NDArray[np.bool_]:
        """Say which of ``rows`` are among the candidates."""
        return self.allowed.take(rows)

    def top(self, vectors: Matrix, k: int, weight: float, signals: Sequence[Signal]) -> list[Top]:
        """Return for each vector the ``k`` best rows by ``weight * cosine + signal``, exactly."""
        given = [signal if len(signal.rows) else None for signal in signals]
        return self._dense.top_many(vectors, k, self.allowed, weight, given)

    def cosines(self, vector: Vector, rows: Rows) -> Scores:
        """Return the exact cosine of each of ``rows``."""
        return self._dense.cosines(vector, rows)

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors of ``rows``."""
        return self._dense.vectors(rows)

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of the group that each of ``rows`` belongs to."""
        return self._numbers[rows]

    def without(self, groups: NDArray[np.int64]) -> IndexCandidates:
        """Return the candidates that are in none of ``groups``."""
        return replace(self, allowed=self.allowed & ~np.isin(self._numbers, groups))

    def dates(self, key: str) -> tuple[Rows, NDArray[np.int64]]:
        """Return the candidates that have a date at a key, ascending, and when it begins."""
        times = self.times[key]
        rows = np.flatnonzero(self.allowed & (times != NO_DATE))
        return rows, times[rows]

    def latest(self) -> tuple[IndexCandidates, IndexCandidates]:
        """Return the candidates that are the newest of their value, and all others."""
        if self.newest is None:
            raise RuntimeError("candidates without a latest_by were asked for the newest")
        return replace(self, allowed=self.allowed & self.newest), replace(self, allowed=self.allowed & ~self.newest)

    def documents(self, rows: Sequence[int]) -> list[Document]:
        """Read rows from the log, in the order given."""
        return [document(self.log, self.index.span(row)) for row in rows]

    @property
    def _dense(self) -> DenseIndex:
        if self.dense is None:
            raise RuntimeError("candidates without vectors were asked for cosines")
        return self.dense

    @property
    def _numbers(self) -> NDArray[np.int64]:
        if self.numbers is None:
            raise RuntimeError("candidates without groups were asked for them")
        return self.numbers
