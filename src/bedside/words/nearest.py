"""The exact ``k`` best rows of a large float32 matrix under four metrics, without sorting all scores.

A score is computed in float32 for every row, block by block, and only each block's best is kept. The k-th highest of
those is a floor for the answer, so only the blocks that reach it (about ``k``) are looked at again, in float64. What
float32 may have rounded away is allowed for, so the answer is that of a float64 scan.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidInputError
from bedside.types import Matrix, Vector

Metric: TypeAlias = Literal["cosine", "dot", "euclidean", "manhattan"]
"""Cosine and dot product: higher is closer. Euclidean and Manhattan distance: lower is closer."""
METRICS: tuple[Metric, ...] = get_args(Metric)
DISTANCES = frozenset({"euclidean", "manhattan"})

_BLOCK = 64  # rows whose best score stands for them
_TILE = 2_048  # rows multiplied at once: 8 MB of scores beside _QUERIES queries
_QUERIES = 1_024
_EPS = 2.0**-23

_Floats: TypeAlias = NDArray[np.float64]


class Table(NamedTuple):
    """Rows ``[n, d]`` float32 and their lengths ``[n]`` float32, none of them zero."""

    rows: Matrix
    norms: Vector


class Best(NamedTuple):
    """Row numbers, best first, and their exact scores (or distances) in float64."""

    rows: NDArray[np.int64]
    scores: _Floats


def check_metric(metric: str) -> None:
    """Raise :class:`InvalidInputError` for a metric that is none of the four."""
    if metric not in METRICS:
        raise InvalidInputError(f"metric={metric!r}: expected one of {', '.join(METRICS)}")


def measure(a: NDArray[np.floating], b: NDArray[np.floating], metric: Metric) -> _Floats:
    """Score rows ``[m, d]`` against ``b`` ``[d]`` in float64: ``[m]``; a cosine with a zero vector is 0."""
    wide, other = a.astype(np.float64), b.astype(np.float64)
    if metric == "manhattan":
        return np.asarray(np.abs(wide - other).sum(axis=1))
    if metric == "euclidean":
        return np.asarray(np.sqrt(np.square(wide - other).sum(axis=1)))
    products: _Floats = np.einsum("ij,j->i", wide, other)
    if metric == "dot":
        return products
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide) * (other @ other))
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.asarray(np.clip(cosines, -1.0, 1.0))


def best_rows(table: Table, queries: Matrix, k: int, metric: Metric) -> list[Best]:
    """Find the ``k`` best rows for each query.

    Args:
        table: What is searched.
        queries: ``[q, d]`` float32. Many share one matrix product (not for ``"manhattan"``, which has none).
        k: How many rows; fewer where the table is smaller.
        metric: Cosine and dot product give the highest first, the distances the lowest.

    Returns:
        One :class:`Best` for each query. Ties go to the earlier row.
    """
    k = min(k, len(table.rows))
    if k == 0:
        return [Best(np.empty(0, np.int64), np.empty(0))] * len(queries)
    found: list[Best] = []
    for start in range(0, len(queries), _QUERIES):
        part = queries[start : start + _QUERIES]
        highest = _block_highest(table, part, metric)
        slack = _slack(table, part, metric)
        found += [_pick(table, q, highest[:, i], k, metric, float(slack[i])) for i, q in enumerate(part)]
    return found


def _block_highest(table: Table, queries: Matrix, metric: Metric) -> Matrix:
    """``[ceil(n / _BLOCK), q]``: the highest float32 score (distances negated) in each block of rows."""
    n = len(table.rows)
    if len(queries) == 1:
        return _by_block(_scores(table, slice(0, n), queries, metric))
    tiles = [slice(start, min(start + _TILE, n)) for start in range(0, n, _TILE)]
    return np.concatenate([_by_block(_scores(table, tile, queries, metric)) for tile in tiles])


def _by_block(scores: Matrix) -> Matrix:
    whole = len(scores) // _BLOCK * _BLOCK
    parts = [scores[:whole].reshape(-1, _BLOCK, scores.shape[1]).max(axis=1)]
    if whole < len(scores):
        parts.append(scores[whole:].max(axis=0, keepdims=True))
    return np.concatenate(parts)


def _scores(table: Table, part: slice, queries: Matrix, metric: Metric) -> Matrix:
    """float32 ``[rows, q]``, higher is closer; monotone in the metric and not the metric itself."""
    rows, norms = table.rows[part], table.norms[part]
    if metric == "manhattan":
        return np.stack([_manhattan(rows, query) for query in queries], axis=1)
    if metric == "cosine" and len(queries) > rows.shape[1]:
        return np.asarray((rows / norms[:, None]) @ queries.T)  # a row has fewer numbers than there are queries
    products: Matrix = rows @ queries.T
    if metric == "cosine":
        products /= norms[:, None]
    if metric == "euclidean":
        products -= np.square(norms)[:, None] / 2
    return products


def _manhattan(rows: Matrix, query: Vector) -> Vector:
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _TILE):  # the differences of a tile stay in the processor's cache
        part = rows[start : start + _TILE]
        out[start : start + len(part)] = -np.abs(part - query).sum(axis=1)
    return out


def _slack(table: Table, queries: Matrix, metric: Metric) -> _Floats:
    """``[q]``: more than float32 arithmetic can have moved any score of each query, twice over."""
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    longest = 1.0 if metric == "cosine" else float(table.norms.max())
    scale = lengths * longest
    if metric == "euclidean":
        scale = scale + longest**2
    if metric == "manhattan":
        scale = (lengths + longest) * np.sqrt(queries.shape[1])
    return np.asarray(2 * (queries.shape[1] + 8) * _EPS * scale)


def _pick(table: Table, query: Vector, highest: Vector, k: int, metric: Metric, slack: float) -> Best:
    blocks = _reaching(highest, k, slack)
    rows = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
    rows = rows[: len(rows) - max(0, int(rows[-1]) + 1 - len(table.rows))]
    near = _scores(Table(table.rows[rows], table.norms[rows]), slice(None), query[None], metric)[:, 0]
    rows = rows[_reaching(near, k, slack)]
    scores = measure(table.rows[rows], query, metric)
    order = np.lexsort((rows, scores if metric in DISTANCES else -scores))[:k]
    return Best(rows[order].astype(np.int64), scores[order])


def _reaching(scores: Vector, k: int, slack: float) -> NDArray[np.intp]:
    """Positions, ascending, of the scores that are not below the ``k``-th highest by more than ``slack``."""
    if len(scores) <= k:
        return np.arange(len(scores))
    floor = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= floor - np.float32(slack))
