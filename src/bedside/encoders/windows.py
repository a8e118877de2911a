"""Token lists to windows, windows to batches, vectors of windows back to vectors of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.types import Matrix


def split(count: int, capacity: int, overlap: int) -> list[tuple[int, int]]:
    """Cut ``count`` tokens into the fewest windows of at most ``capacity``, equally long, each sharing ``overlap``.

    Equal windows instead of full ones and a short rest: attention costs less and no window lacks context.

    Returns:
        Half-open ranges that cover 0 to ``count`` in order.

    Example:
        >>> split(10, 6, 2)
        [(0, 6), (4, 10)]
    """
    if count <= capacity:
        return [(0, count)]
    windows = -(-(count - overlap) // (capacity - overlap))
    step = (count - overlap) / windows
    starts = [round(i * step) for i in range(windows)]
    return [(start, min(count, end + overlap)) for start, end in zip(starts, [*starts[1:], count], strict=True)]


def batches(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.intp]]:
    """Group items of similar length so that a padded batch stays within ``budget`` tokens.

    The longest come first, so that memory peaks at the start. An item longer than the budget goes alone.

    Yields:
        Positions into ``lengths``.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.intp), kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Stack token lists into ids ``[b, t]`` int64 and a mask ``[b, t]`` float32 (1 token, 0 padding)."""
    width = max(map(len, rows))
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.float32)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1.0
    return ids, mask


def merge(vectors: Matrix, owners: NDArray[np.intp], weights: NDArray[np.float32], count: int) -> Matrix:
    """Average the windows of each text, weighted by their token counts.

    Args:
        vectors: ``[w, d]``, one row per window, ordered by owner.
        owners: ``[w]``: which text each window belongs to; every text has at least one.
        weights: ``[w]``: token counts.
        count: Number of texts.

    Returns:
        ``[count, d]`` float32.
    """
    if len(vectors) == count:
        return vectors
    starts = np.searchsorted(owners, np.arange(count))
    sums = np.add.reduceat(vectors * weights[:, None], starts, axis=0)
    totals = np.add.reduceat(weights, starts)
    return (sums / totals[:, None]).astype(np.float32, copy=False)
