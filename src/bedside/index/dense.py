"""Exact cosine search over float32 rows.

The scan runs in float32 at memory speed; every row that could be among the best, given the rounding error of such a
scan, is scored again in float64. So the answer does not depend on how it was found: a whole scan and gathered rows
give the same rows, order and scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside.rank import Rows, Scores, best
from bedside.types import Matrix, Vector

_BLOCK_ROWS = 16_384
# A gathered row costs about four times a row of a whole scan.
_GATHER_BELOW = 0.2
_EXACT_ROWS = 4_096


class Prior(NamedTuple):
    """What is added to a row's weighted cosine: float64 ``values`` for ``rows``, zero elsewhere."""

    rows: Rows
    values: Scores


class Top(NamedTuple):
    """Rows best first, with their scores and exact cosines."""

    rows: Rows
    scores: Scores
    cosines: Scores


class DenseIndex:
    """Unit vectors in row order, in blocks that never move, so that an add costs what it adds."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[Matrix] = []
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def extend(self, vectors: Matrix) -> None:
        """Append rows: ``[m, d]`` float32, finite and not zero; each is stored divided by its length."""
        wide = vectors.astype(np.float64)
        unit = (wide / np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]).astype(np.float32)
        while len(unit):
            at = self._n % _BLOCK_ROWS
            if at == 0:
                self._blocks.append(np.empty((_BLOCK_ROWS, self.dimension), np.float32))
            part = unit[: _BLOCK_ROWS - at]
            self._blocks[-1][at : at + len(part)] = part
            self._n += len(part)
            unit = unit[len(part) :]

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors of ``rows`` as float32 ``[m, d]``."""
        out = np.empty((len(rows), self.dimension), np.float32)
        blocks = rows // _BLOCK_ROWS
        for number in np.unique(blocks):
            here = blocks == number
            out[here] = self._blocks[number][rows[here] % _BLOCK_ROWS]
        return out

    def cosines(self, query: Vector, rows: Rows) -> Scores:
        """Return the exact cosine of each of ``rows`` with ``query`` as float64 ``[m]``."""
        unit = _unit(query)
        out = np.empty(len(rows))
        for start in range(0, len(rows), _EXACT_ROWS):
            part = rows[start : start + _EXACT_ROWS]
            # einsum and not a matrix product: it adds up every row in the same order, so equal rows stay equal.
            out[start : start + len(part)] = np.einsum("ij,j->i", self.vectors(part).astype(np.float64), unit)
        return np.clip(out, -1.0, 1.0)

    def top(
        self,
        query: Vector,
        k: int,
        allowed: NDArray[np.bool_],
        weight: float = 1.0,
        prior: Prior | None = None,
    ) -> Top:
        """Return the ``k`` best rows by ``weight * cosine + prior``, exactly.

        Args:
            query: ``[d]`` float32, any length but zero.
            k: How many rows at most.
            allowed: ``[n]`` bool: the candidates. Its length also says how many rows this search knows of.
            weight: Of the cosine.
            prior: Added to the weighted cosine; its rows are among the allowed ones.
        """
        rows, estimates = self._estimate(query, allowed, weight, prior)
        if k < len(rows):
            kth = np.partition(estimates, len(rows) - k)[len(rows) - k]
            rows = rows[estimates >= kth - 2 * self._error(weight)]
        cosines = self.cosines(query, rows)
        scores = weight * cosines + _prior_of(prior, rows)
        order = best(rows, scores, k)
        return Top(rows[order], scores[order], cosines[order])

    def _estimate(
        self, query: Vector, allowed: NDArray[np.bool_], weight: float, prior: Prior | None
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Return the allowed rows, ascending, and their scores within :meth:`_error`."""
        rows = np.flatnonzero(allowed)
        unit = _unit(query).astype(np.float32)
        if len(rows) < _GATHER_BELOW * len(allowed):
            scores = self._estimate_gathered(unit, rows)
        else:
            scores = self._scan(unit, len(allowed))
            scores = scores if len(rows) == len(allowed) else scores[rows]
        if weight != 1.0:
            scores *= np.float32(weight)
        if prior is not None:
            scores[np.searchsorted(rows, prior.rows)] += prior.values.astype(np.float32)
        return rows, scores

    def _estimate_gathered(self, unit: Vector, rows: Rows) -> NDArray[np.float32]:
        out = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _EXACT_ROWS):
            part = rows[start : start + _EXACT_ROWS]
            out[start : start + len(part)] = self.vectors(part) @ unit
        return out

    def _scan(self, unit: Vector, n: int) -> NDArray[np.float32]:
        out = np.empty(n, np.float32)
        for number, start in enumerate(range(0, n, _BLOCK_ROWS)):
            stop = min(start + _BLOCK_ROWS, n)
            np.dot(self._blocks[number][: stop - start], unit, out=out[start:stop])
        return out

    def _error(self, weight: float) -> float:
        """Bound the rounding error of a float32 estimate: Higham, Accuracy and Stability, §3.1, for unit vectors."""
        return float(weight * (self.dimension + 4) * 2.0**-24 + 2.0**-22)


def _unit(query: Vector) -> Scores:
    wide = np.asarray(query, dtype=np.float64)
    return np.asarray(wide / np.sqrt(wide @ wide))


def _prior_of(prior: Prior | None, rows: Rows) -> Scores | float:
    if prior is None or not len(prior.rows):
        return 0.0
    at = np.minimum(np.searchsorted(prior.rows, rows), len(prior.rows) - 1)
    return np.where(prior.rows[at] == rows, prior.values[at], 0.0)
