"""Rows of float32 that grow at their end: in blocks that never move, so an add costs what it adds.

The first block may be a read-only memory map of any length; those after it have a fixed capacity.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bedside.types import Matrix, Vector

BLOCK_BYTES = 48 * 2**20
"""Size of a block: 16,384 rows at 768-d. Each block costs a scan 40 µs, and a quarter of its memory's reading time."""

_GATHERED = 128
"""Rows that are gathered for a product at once: of 32 to 1,000 the fastest at 768-d, by a tenth."""


class Blocks:
    """A float32 matrix ``[n, width]`` that only grows."""

    def __init__(self, width: int, start: Matrix | None = None) -> None:
        self.width = width
        self._capacity = max(1, BLOCK_BYTES // (4 * width))
        self._blocks: list[Matrix] = []
        self._starts: list[int] = []
        self._n = 0
        if start is not None and len(start):
            self._blocks, self._starts, self._n = [start], [0], len(start)
        self._room = 0

    def __len__(self) -> int:
        return self._n

    def extend(self, rows: Matrix) -> None:
        """Append ``[m, width]`` rows."""
        while len(rows):
            if self._room == 0:
                self._blocks.append(np.empty((self._capacity, self.width), np.float32))
                self._starts.append(self._n)
                self._room = self._capacity
            part = rows[: self._room]
            at = self._n - self._starts[-1]
            self._blocks[-1][at : at + len(part)] = part
            self._n += len(part)
            self._room -= len(part)
            rows = rows[len(part) :]

    def parts(self, n: int) -> Iterator[tuple[int, Matrix]]:
        """Yield the first ``n`` rows as (first row, block)."""
        for start, block in zip(self._starts, self._blocks, strict=False):
            if start < n:
                yield start, block[: n - start]

    def gather(self, rows: NDArray[np.int64]) -> Matrix:
        """Return some rows as ``[m, width]``.

        Ascending rows are split where the blocks begin; ``take`` copies them in 0.7 of an index array's time
        (6,000 rows of 384: 0.6 ms and 0.85 ms), clipped as it then writes to its place without a copy between.
        """
        if len(self._blocks) > 1 and (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows)
            out = np.empty((len(rows), self.width), np.float32)
            out[order] = self.gather(rows[order])
            return out
        out = np.empty((len(rows), self.width), np.float32)
        for block, inside, at in self._by_block(rows):
            np.take(block, inside, axis=0, out=out[at : at + len(inside)], mode="clip")
        return out

    def dot_some(self, vector: Vector, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the product of some ascending rows with ``vector`` ``[width]``, in parts that stay in the cache."""
        out = np.empty(len(rows), np.float32)
        room = np.empty((min(len(rows), _GATHERED), self.width), np.float32)
        for block, inside, at in self._by_block(rows):
            for start in range(0, len(inside), _GATHERED):
                part = inside[start : start + _GATHERED]
                np.take(block, part, axis=0, out=room[: len(part)], mode="clip")
                np.vecdot(room[: len(part)], vector, out=out[at + start : at + start + len(part)])
        return out

    def _by_block(self, rows: NDArray[np.int64]) -> Iterator[tuple[Matrix, NDArray[np.int64], int]]:
        """Yield each block that holds some of ascending ``rows``, their places in it, and that of the first in all."""
        edges = [0, *rows.searchsorted(self._starts[1:]).tolist(), len(rows)]
        for block, start, low, high in zip(self._blocks, self._starts, edges, edges[1:], strict=False):
            if low < high:
                yield block, rows[low:high] - start, low

    def dot(self, vector: Vector, n: int) -> NDArray[np.float32]:
        """Return the product of the first ``n`` rows with ``vector`` ``[width]``.

        Row by row, on this thread: a matrix product would wait for the library's other threads, which took 0.1 s where
        an import or another program kept the processors busy. Reading the rows is what takes the time, and one thread
        does that as fast as two (100,000 rows of 384: 5 ms, and 6 ms by ``np.dot`` on two processors).
        """
        out = np.empty(n, np.float32)
        for start, block in self.parts(n):
            np.vecdot(block, vector, out=out[start : start + len(block)])
        return out

    def since(self, row: int) -> list[Matrix]:
        """Return the rows from ``row`` on as parts of one matrix, at least one; they are not copies."""
        parts = [block[max(0, row - start) :] for start, block in self.parts(self._n)]
        return [part for part in parts if len(part)] or [np.empty((0, self.width), np.float32)]
