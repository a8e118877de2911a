"""Exact pruning: a few rotated dimensions that tell which rows cannot be among the best.

For orthonormal columns ``Q`` [d, p], a row ``x`` and a query ``q``, ``x·q = (Qᵀx)·(Qᵀq) + r`` where ``|r|`` is at most
``|x - QQᵀx| · |q - QQᵀq|`` (Cauchy and Schwarz). Any ``Q`` gives a true bound; the principal axes of the rows give a
narrow one. Embeddings of real text have such axes, random vectors do not: whether pruning pays is measured on the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.blocks import Blocks
from bedside.engines.embedded.log.cache import Stored
from bedside.types import Matrix, Vector

SAMPLE = 4_096
"""Rows that the axes are learned from; more changed the share of candidates by under a tenth (MiniLM, 384-d)."""
_PROBES = 48
# The best two of the sample stand for the best ten of the four or more times as many rows of an index.
_TOP = 2
# Costs in units of a whole scan: a prefix of p dimensions reads p / d of it, a candidate row four times its share.
_PER_CANDIDATE = 4.0
_WORTH_BELOW = 0.6
# Prefix lengths to choose from, as parts of d. Of 384-d MiniLM vectors 1/6 left 6 % as candidates, 1/3 1.8 %; the
# shorter was faster (100k: 1.1 ms and 10 ms), because its prefixes fit the processor's cache.
_PARTS = (12, 8, 6, 4, 3, 2)


class Sketch:
    """For every row its first ``p`` rotated dimensions and the length of the rest, side by side as ``[n, p + 1]``.

    The bound of a row is then one dot product with the same numbers of the query.
    """

    def __init__(self, axes: Matrix, rows: Blocks | None = None) -> None:
        self.axes = axes
        # Projections are made in float64 and rounded once, so that the bound errs by the dot product alone.
        self._wide_axes = axes.astype(np.float64)
        self._rows = rows or Blocks(axes.shape[1] + 1)

    def __len__(self) -> int:
        return len(self._rows)

    def extend(self, unit: Matrix) -> None:
        """Append unit vectors ``[m, d]``."""
        self._rows.extend(self._projected(unit))

    def upper(self, unit: Vector, n: int) -> NDArray[np.float32]:
        """Return for each of the first ``n`` rows a number that its cosine with ``unit`` [d] is not above.

        Rounding is the caller's: the numbers are float32, with at most the error of a float32 dot product of
        ``d + 64`` numbers.
        """
        return self._rows.dot(self._projected(unit[None])[0], n)

    def to_arrays(self) -> dict[str, Stored]:
        """Return what :meth:`from_arrays` takes back from a file."""
        return {"axes": self.axes, "rows": self._rows.since(0)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Sketch:
        """Take back what :meth:`to_arrays` gave; memory maps serve."""
        axes = arrays["axes"]
        return cls(axes, Blocks(axes.shape[1] + 1, arrays["rows"]))

    def _projected(self, unit: Matrix) -> Matrix:
        prefix = unit.astype(np.float64) @ self._wide_axes
        return np.column_stack([prefix, _rest(prefix)]).astype(np.float32)


def learn_axes(sample: Matrix) -> Matrix | None:
    """Return the principal axes ``[d, p]`` that prune ``sample`` [m, d] at the least cost, or None where none pays."""
    d = sample.shape[1]
    values, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    ordered = vectors[:, np.argsort(values)[::-1]].astype(np.float32)
    # With the rest beside it, a row is a multiple of 64 bytes long.
    lengths = sorted({min(d, -(-d // part // 16) * 16 - 1) for part in _PARTS})
    costs = _costs(sample, ordered, lengths)
    best = min(lengths, key=lambda p: costs[p])
    return np.ascontiguousarray(ordered[:, :best]) if costs[best] < _WORTH_BELOW else None


def prunes(sample: Matrix, axes: Matrix) -> bool:
    """Tell whether pruning with ``axes`` pays on rows like ``sample``."""
    p = axes.shape[1]
    return _costs(sample, axes, [p])[p] < _WORTH_BELOW


def _costs(sample: Matrix, axes: Matrix, lengths: Sequence[int]) -> dict[int, float]:
    """Estimate what a search costs with the first ``p`` of ``axes``, for each length ``p``; a whole scan is 1.

    The queries are sums of eight rows: like a question, near to no row. For 384-d MiniLM vectors and 64, 96 and 128
    axes they leave 8, 2.6 and 0.8 % of the rows, real questions 11, 3.3 and 0.8 %; sums of two leave under 0.3 %.
    """
    spread = np.random.default_rng(0).permutation(len(sample))[: 8 * _PROBES]
    queries = sample[spread].reshape(_PROBES, 8, -1).sum(axis=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    least = np.partition(queries @ sample.T, -_TOP, axis=1)[:, -_TOP, None]
    rows, probes = sample @ axes, queries @ axes
    costs = {}
    for p in lengths:
        upper = probes[:, :p] @ rows[:, :p].T + np.outer(_rest(probes[:, :p]), _rest(rows[:, :p]))
        costs[p] = p / axes.shape[0] + _PER_CANDIDATE * float(np.mean(upper >= least))
    return costs


def _rest(prefix: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return how long the rest of each unit vector is, given its ``prefix`` [m, p].

    The pad covers the rounding of the vectors and of the axes: their lengths are 1 within 1e-6.
    """
    return np.asarray(np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->i", prefix, prefix), 0.0) + 1e-6))
