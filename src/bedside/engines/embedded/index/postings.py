"""Postings of terms in immutable segments, and arrays that grow at their end: what BM25 keeps its rows in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.support.turns import taking_turns

_RUN = 1 << 16
"""Postings that are moved at once when segments are joined: a millisecond of work."""
Rows: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True)
class Segment:
    """Postings of a run of rows by term; those of ``terms[i]`` lie at ``starts[i]:starts[i + 1]``.

    ``terms`` int32 ascending, ``starts`` int64 with one more entry, ``rows`` int32 ascending within a term,
    ``counts`` in the smallest unsigned type that holds them, and so ``negated``: how many of the occurrences that were
    counted are negated.
    """

    terms: NDArray[np.int32]
    starts: NDArray[np.int64]
    rows: Rows
    counts: NDArray[Any]
    negated: NDArray[Any]

    def spans(self, terms: NDArray[np.int32]) -> list[slice]:
        """Return where the postings of each of some terms lie; an empty slice for a term that has none."""
        places = self.terms.searchsorted(terms)
        held = self.terms[np.minimum(places, len(self.terms) - 1)] == terms
        return list(map(slice, self.starts[places].tolist(), self.starts[places + held].tolist()))

    def postings(self, span: slice, seen: Rows | None = None) -> tuple[Rows, NDArray[Any], NDArray[Any]]:
        """Return rows, counts and negated of a term; with ``seen`` of these rows only, under their places in it."""
        rows, counts, negated = self.rows[span], self.counts[span], self.negated[span]
        if seen is None or not len(rows):
            return rows, counts, negated
        places = np.minimum(rows.searchsorted(seen), len(rows) - 1)
        held = np.flatnonzero(rows[places] == seen)
        places = places[held]
        return held.astype(np.int32), counts[places], negated[places]

    def since(self, row: int) -> Segment:
        """Return the postings of the rows from ``row`` on."""
        kept = self.rows >= row
        ends = np.append(0, np.cumsum(kept))[self.starts]
        sizes = np.diff(ends)
        held = sizes > 0
        starts = np.append(0, np.cumsum(sizes[held]))
        return Segment(self.terms[held], starts, self.rows[kept], self.counts[kept], self.negated[kept])


class Postings(NamedTuple):
    """Postings of several terms: which of the terms, the row, how often it holds it, and how often negated."""

    which: NDArray[np.intp]
    rows: Rows
    counts: NDArray[Any]
    negated: NDArray[Any]

    def where(self, chosen: NDArray[np.bool_]) -> Postings:
        """Return those that are chosen."""
        return Postings(self.which[chosen], self.rows[chosen], self.counts[chosen], self.negated[chosen])

    def summed(self, owners: Rows) -> Postings:
        """Add up the postings of one term and one owner, who stands for the row, in the order of the terms."""
        span = int(owners.max(initial=0)) + 1
        keys, at = np.unique(self.which * span + owners, return_inverse=True)
        which, found = np.divmod(keys, span)
        return Postings(which, found.astype(np.int32), np.bincount(at, self.counts), np.bincount(at, self.negated))


class Growing:
    """An int32 array that grows at its end at constant cost per element; its start is not copied until then."""

    def __init__(self, start: NDArray[np.int32] | None = None) -> None:
        self._buffer = np.empty(0, np.int32) if start is None else start
        self._size = len(self._buffer)

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> NDArray[np.int32]:
        """What it holds, int32 ``[n]``, not copied."""
        return self._buffer[: self._size]

    def extend(self, values: NDArray[np.int32]) -> None:
        """Append int32 ``[m]``."""
        end = self._size + len(values)
        if end == self._size:
            return  # the start may be a read-only map
        if end > len(self._buffer):
            grown = np.empty(max(end, len(self._buffer) * 3 // 2), np.int32)
            grown[: self._size] = self.view
            self._buffer = grown
        self._buffer[self._size : end] = values
        self._size = end


def build(terms: NDArray[np.int32], rows: Rows, negated: NDArray[Any]) -> Segment:
    """Sort (term, row) pairs into postings and count equal ones; ``negated`` is 1 for those that are, else 0."""
    first, span = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1
    keys = (terms.astype(np.int64) * span + (rows - first)) << 1 | negated
    keys.sort()
    marks = keys & 1
    keys >>= 1
    postings = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(postings, append=len(keys))
    term, row = np.divmod(keys[postings], span)
    starts = np.flatnonzero(np.diff(term, prepend=-1))
    times = np.add.reduceat(marks, postings)
    return Segment(
        term[starts].astype(np.int32),
        np.append(starts, len(term)),
        (row + first).astype(np.int32),
        counts.astype(np.min_scalar_type(counts.max())),
        times.astype(np.min_scalar_type(times.max())),
    )


def merge(a: Segment, b: Segment) -> Segment:
    """Join two segments, all rows of the first below those of the second; searches of other threads go first."""
    both = np.concatenate((a.terms, b.terms))
    both.sort(kind="stable")  # two ascending runs, which this merges; np.union1d hashes them first
    terms = both[np.flatnonzero(np.diff(both, prepend=-1))]
    sizes = np.zeros((2, len(terms)), np.int64)
    for size, segment in zip(sizes, (a, b), strict=True):
        size[np.searchsorted(terms, segment.terms)] = np.diff(segment.starts)
    starts = np.append(0, np.cumsum(sizes.sum(0)))
    rows = np.empty(starts[-1], np.int32)
    counts = np.empty(starts[-1], np.result_type(a.counts, b.counts))
    negated = np.empty(starts[-1], np.result_type(a.negated, b.negated))
    for segment, size, first in ((a, sizes[0], starts[:-1]), (b, sizes[1], starts[:-1] + sizes[0])):
        for run, places in taking_turns(_places(segment.starts, first[size > 0])):
            rows[places], counts[places], negated[places] = segment.rows[run], segment.counts[run], segment.negated[run]
    return Segment(terms, starts, rows, counts, negated)


def _places(starts: NDArray[np.int64], first: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield runs of postings, and where those of each run go when those of term ``i`` begin at ``first[i]``.

    NumPy holds the interpreter while it repeats, and the memory for it is made meanwhile: 5,000,000 postings in one
    run had searches wait for 50 to 170 ms.
    """
    shifts = first - starts[:-1]
    for some in runs(starts, _RUN):
        run = slice(*starts[[some.start, some.stop]].tolist())
        yield run, np.arange(run.start, run.stop) + np.repeat(shifts[some], np.diff(starts[some.start : some.stop + 1]))


def runs(starts: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Cut what begins at ``starts[:-1]`` and ends at ``starts[-1]`` into runs of about ``size``; nothing is cut."""
    first = 0
    while starts[first] < starts[-1]:
        last = min(int(np.searchsorted(starts, starts[first] + size)), len(starts) - 1)
        yield slice(first, last)
        first = last
