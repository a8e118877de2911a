"""Exact cosine search over float32 rows.

A search estimates every candidate from above, in float32 at memory speed: by the whole product, or by a sketch that
reads a part of it. The exact scores of a few of the highest give a threshold that the answer cannot fall below; what
could lie above it, rounding included, is scored in float64. So the answer does not depend on how it was found: whole
scan, sketch, gathered rows or batch give the same rows, order and scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.blocks import Blocks
from bedside.engines.embedded.index.sketch import SAMPLE, Sketch, learn_axes, prunes
from bedside.engines.embedded.log.cache import Stored
from bedside.search.pool import Signal, Top
from bedside.search.rank import Rows, Scores, best
from bedside.support.turns import taking_turns
from bedside.types import Matrix, Vector

# A gathered row costs about four times a row of a whole scan.
_GATHER_BELOW = 0.2
_EXACT_ROWS = 4_096
_NARROW_FROM = 256
# Rows made float64 at once: 768 dimensions of 128 stay in the processor's cache (a third of the time of all at once).
_UNIT_ROWS = 128
# Under 16,384 rows a scan takes about a millisecond and a sketch gains nothing.
_SKETCH_FROM = 16_384
_RELEARN_AFTER = 4
# The highest of each so many estimates seeds the threshold: one cheap pass instead of a partition (100k: 7 µs, 101 µs).
_GROUP = 64
# A high estimate is not always a high cosine: with 24 more seeds than wanted the threshold left 1,600 and not 3,600 of
# 100k MiniLM rows in the mean of 200 questions, 320 and not 440 in the median.
_SPARE_SEEDS = 24
# So many are all scored at once, as of one patient: to find a threshold first takes twice as long.
_FEW = 64
# From so many queries on, one matrix product is faster than a sketch for each (100k x 384: 2.0 ms a query at 8).
_BATCH_FROM = 8
_BATCH = 64


class DenseIndex:
    """Unit vectors in row order."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._vectors = Blocks(dimension)
        self._sketch: Sketch | None = None
        self._tried_at = _SKETCH_FROM // _RELEARN_AFTER

    def __len__(self) -> int:
        return len(self._vectors)

    def extend(self, vectors: Matrix) -> None:
        """Append rows: ``[m, d]`` float32, finite and not zero; each is stored divided by its length."""
        self._append(unit_rows(vectors))

    def _append(self, unit: Matrix) -> None:
        self._vectors.extend(unit)
        if self._sketch is not None:
            self._sketch.extend(unit)
        if len(self) >= _RELEARN_AFTER * self._tried_at:
            self._learn()

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors of ``rows`` as float32 ``[m, d]``."""
        return self._vectors.gather(rows)

    def cosines(self, query: Vector, rows: Rows) -> Scores:
        """Return the exact cosine of each of ``rows`` with ``query`` as float64 ``[m]``."""
        return self._cosines(_unit(query), rows)

    def _cosines(self, unit: Scores, rows: Rows) -> Scores:
        out = np.empty(len(rows))
        for start in range(0, len(rows), _EXACT_ROWS):
            part = rows[start : start + _EXACT_ROWS]
            # einsum and not a matrix product: it adds up every row in the same order, so equal rows stay equal.
            out[start : start + len(part)] = np.einsum("ij,j->i", self.vectors(part).astype(np.float64), unit)
        return np.minimum(np.maximum(out, -1.0), 1.0)  # np.clip takes 4 µs of a search of few rows

    def top(
        self, query: Vector, k: int, allowed: NDArray[np.bool_], weight: float = 1.0, prior: Signal | None = None
    ) -> Top:
        """Return the ``k`` best rows by ``weight * cosine + prior``, exactly.

        Args:
            query: ``[d]`` float32, any length but zero.
            k: How many rows at most.
            allowed: ``[n]`` bool: the candidates. Its length also says how many rows this search knows of.
            weight: Of the cosine.
            prior: Added to the weighted cosine; its rows are among the allowed ones, ascending.
        """
        unit = _unit(query)
        return self._winners(unit, self._upper(unit, allowed), k, weight, prior)

    def top_many(
        self, queries: Matrix, k: int, allowed: NDArray[np.bool_], weight: float, priors: Sequence[Signal | None]
    ) -> list[Top]:
        """Answer many queries ``[q, d]`` as :meth:`top` answers each; many of them share one matrix product."""
        if len(queries) < _BATCH_FROM or np.count_nonzero(allowed) < _GATHER_BELOW * len(allowed):
            return [self.top(query, k, allowed, weight, prior) for query, prior in zip(queries, priors, strict=True)]
        found: list[Top] = []
        for start in range(0, len(queries), _BATCH):
            units = [_unit(query) for query in queries[start : start + _BATCH]]
            uppers = self._scan_many(np.stack(units).astype(np.float32), allowed)
            chosen = priors[start : start + _BATCH]
            for unit, upper, prior in zip(units, uppers, chosen, strict=True):
                found.append(self._winners(unit, (None, upper), k, weight, prior))
        return found

    def to_arrays(self) -> dict[str, Stored]:
        """Return what :meth:`from_arrays` takes back from a file."""
        sketch = {} if self._sketch is None else self._sketch.to_arrays()
        return {**self.since(0), **{f"sketch.{name}": array for name, array in sketch.items()}}

    def since(self, row: int) -> dict[str, Stored]:
        """Return the unit vectors from ``row`` on, for :meth:`load`."""
        return {"vectors": self._vectors.since(row)}

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Append what :meth:`since` gave."""
        self._append(arrays["vectors"])

    def absorb(self, part: DenseIndex) -> None:
        """Append the rows of another index. A search meanwhile sees the rows that it knows of, and no more."""
        for _, block in taking_turns(part._vectors.parts(len(part))):
            self._append(block)

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> DenseIndex:
        """Take back what :meth:`to_arrays` gave; memory maps serve."""
        index = cls(arrays["vectors"].shape[1])
        index._vectors = Blocks(index.dimension, arrays["vectors"])
        index._tried_at = max(index._tried_at, len(index))
        parts = {name.removeprefix("sketch."): array for name, array in arrays.items() if name.startswith("sketch.")}
        index._sketch = Sketch.from_arrays(parts) if parts else None
        return index

    def _learn(self) -> None:
        """Keep the sketch while it prunes; else learn one from rows spread over all, if there is one that does."""
        self._tried_at = len(self)
        sample = self.vectors(np.linspace(0, len(self) - 1, SAMPLE).astype(np.int64))
        if self._sketch is not None and prunes(sample, self._sketch.axes):
            return
        axes = learn_axes(sample)
        sketch = None if axes is None else Sketch(axes)
        if sketch is not None:
            for _, block in self._vectors.parts(len(self)):
                sketch.extend(block)
        self._sketch = sketch

    def _upper(self, exact: Scores, allowed: NDArray[np.bool_]) -> tuple[Rows | None, NDArray[np.float32]]:
        """Return rows (None: all) and for each a number its cosine is not above by more than :meth:`_error`."""
        unit = exact.astype(np.float32)
        n, count = len(allowed), np.count_nonzero(allowed)
        if count < _GATHER_BELOW * n:
            rows = np.flatnonzero(allowed)
            return rows, self._products(unit, rows)
        sketch = self._sketch  # read once: a thread that adds may learn another, or that none pays
        upper = self._vectors.dot(unit, n) if sketch is None else sketch.upper(unit, n)
        if count < n:
            upper[~allowed] = -np.inf
        return None, upper

    def _scan_many(self, units: Matrix, allowed: NDArray[np.bool_]) -> Matrix:
        out = np.empty((len(units), len(allowed)), np.float32)
        for start, block in self._vectors.parts(len(allowed)):
            np.matmul(units, block.T, out=out[:, start : start + len(block)])
        out[:, ~allowed] = -np.inf
        return out

    def _winners(
        self,
        unit: Scores,
        upper: tuple[Rows | None, NDArray[np.float32]],
        k: int,
        weight: float,
        prior: Signal | None,
    ) -> Top:
        """Return the ``k`` best rows, given bounds from above on their cosines."""
        rows, bounds = upper
        if weight != 1.0:
            bounds *= np.float32(weight)
        if prior is not None:
            at = prior.rows if rows is None else np.searchsorted(rows, prior.rows)
            bounds[at] += prior.values.astype(np.float32)
        if len(bounds) > _FEW and len(seeds := _highest(bounds, k + _SPARE_SEEDS)) >= k:
            scores = self._scored(unit, seeds if rows is None else rows[seeds], weight, prior).scores
            least = float(np.partition(scores, -k)[-k])
            places = np.flatnonzero(bounds >= np.float32(least - self._error(weight)))
            places = self._narrowed(unit, places, rows, least, weight, prior)
        else:
            places = np.flatnonzero(bounds > -np.inf)
        found = self._scored(unit, places if rows is None else rows[places], weight, prior)
        return found.take(best(found.rows, found.scores, k))

    def _narrowed(
        self, unit: Scores, places: Rows, rows: Rows | None, least: float, weight: float, prior: Signal | None
    ) -> Rows:
        """Drop places that a sketch could not rule out and a float32 product can; float64 is for the few left."""
        if len(places) < _NARROW_FROM:
            return places
        chosen = places if rows is None else rows[places]
        estimates = weight * self._products(unit.astype(np.float32), chosen).astype(np.float64) + _prior_of(
            prior, chosen
        )
        return places[estimates >= least - self._error(weight)]

    def _products(self, unit: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return the float32 product of each of ``rows`` with ``unit``, by whichever way reads less."""
        if len(rows) > _GATHER_BELOW * len(self):
            return self._vectors.dot(unit, int(rows[-1]) + 1)[rows]
        return self._vectors.dot_some(unit, rows)

    def _scored(self, unit: Scores, rows: Rows, weight: float, prior: Signal | None) -> Top:
        cosines = self._cosines(unit, rows)
        return Top(rows, weight * cosines + _prior_of(prior, rows), cosines)

    def _error(self, weight: float) -> float:
        """Bound the rounding error of a float32 bound: Higham, Accuracy and Stability, §3.1, for unit vectors."""
        return float((weight * (self.dimension + 64) + 8) * 2.0**-24)


def unit_rows(vectors: Matrix) -> Matrix:
    """Return each row of ``[m, d]`` divided by its length, in float64 and rounded once to float32."""
    out = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), _UNIT_ROWS):
        wide = vectors[start : start + _UNIT_ROWS].astype(np.float64)
        wide /= np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
        out[start : start + len(wide)] = wide
    return out


def _highest(bounds: NDArray[np.float32], k: int) -> Rows:
    """Return ``k`` places with high values, fewer where fewer are candidates: one each of the best groups, or the best.

    The members of a group lie far apart, so that neighbours alike, the parts of one note, are not rivals for one seed.
    """
    groups = len(bounds) // _GROUP
    if len(bounds) <= k:
        found = np.arange(len(bounds))
    elif groups < 2 * k:
        found = np.argpartition(bounds, -k)[-k:]
    else:
        whole = bounds[: groups * _GROUP].reshape(_GROUP, groups)
        highest = whole.max(axis=0)
        chosen = np.argpartition(highest, groups - k)[groups - k :]
        found = whole[:, chosen].argmax(axis=0) * groups + chosen
    return found[bounds[found] > -np.inf]


def _unit(query: Vector) -> Scores:
    wide = np.asarray(query, dtype=np.float64)
    return np.asarray(wide / np.sqrt(wide @ wide))


def _prior_of(prior: Signal | None, rows: Rows) -> Scores | float:
    return 0.0 if prior is None else prior.at(rows)
