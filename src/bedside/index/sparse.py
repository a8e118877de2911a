"""BM25 over postings that grow by what is added, with statistics of whatever rows are visible."""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.errors import FormatVersionError, InvalidInputError

__all__ = ["SparseIndex", "SparseResult"]

_VERSION = 1
_TAIL = 1 << 15  # tokens; scanning a full tail for one term takes 10 µs, sealing it 2 ms
_BLOCK = 1 << 22  # tokens sealed at once; bounds the working memory of a bulk load to about 100 MB
# A segment is merged into its elder once it reaches a third of it: at most log3(postings / tail) segments.
_GROWTH = 3

_Rows: TypeAlias = NDArray[np.int32]
_Floats: TypeAlias = NDArray[np.float64]


class _Part(NamedTuple):
    """What one query term gives to the rows that hold it."""

    term: str
    rows: _Rows
    scores: _Floats


@dataclass(frozen=True)
class SparseResult:
    """The rows that hold at least one query term, and their BM25 scores.

    Attributes:
        rows: int64 ``[m]``, ascending; each is visible and scores above zero.
        scores: float64 ``[m]``, BM25 in its own units.
        bound: The most any document could score for this query: the sum of its known terms' idf, 0 without
        any.
    """

    rows: NDArray[np.int64]
    scores: _Floats
    bound: float
    _parts: tuple[_Part, ...] = ()

    def explain(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> list[dict[str, float]]:
        """Give each query term's part of the scores of some rows.

        Args:
            rows: Row numbers, in any order; they need not be among :attr:`rows`.

        Returns:
            One dict per row, term -> part, in the order of the query and only for terms the row holds. The
            parts of a row sum to its score within 1e-9.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        explained: list[dict[str, float]] = [{} for _ in wanted]
        for part in self._parts:
            places = np.searchsorted(part.rows, wanted)
            held = np.flatnonzero(part.rows[np.minimum(places, len(part.rows) - 1)] == wanted)
            for i in held:
                explained[i][part.term] = float(part.scores[places[i]])
        return explained


@dataclass(frozen=True)
class _Segment:
    """Postings of a run of rows, by term: those of term ``t`` lie at ``starts[t]:starts[t + 1]``.

    ``starts`` int64 ``[terms + 1]``, ``rows`` int32 ``[postings]`` ascending within a term, ``counts``
    ``[postings]`` in the smallest unsigned type that holds them.
    """

    starts: NDArray[np.int64]
    rows: _Rows
    counts: NDArray[np.unsignedinteger[Any]]

    def postings(self, term: int) -> tuple[_Rows, NDArray[Any]]:
        if term + 1 >= len(self.starts):
            return self.rows[:0], self.counts[:0]
        span = slice(self.starts[term], self.starts[term + 1])
        return self.rows[span], self.counts[span]


class SparseIndex:
    """An inverted index scored with BM25 in Lucene's variant.

    ``score(d) = sum over query terms t of idf(t) * tf / (tf + k1 * (1 - b + b * dl / avgdl))`` with
    ``idf(t) = ln(1 + (N - df + 0.5) / (df + 0.5))``, as in Lucene's ``BM25Similarity`` since version 8; a
    term that the query repeats counts as often. ``N``, ``df`` and ``avgdl`` are those of the visible rows, so
    rows that a search may not see (another scope's, deleted ones) leave no trace in its scores.

    Rows are numbered from 0 in the order added and are never removed; the caller masks them.

    Args:
        k1: Saturation of the term frequency, at least 0. 1.2 is Lucene's default.
        b: Weight of the length normalisation, 0 to 1. 0.75 is Lucene's default.

    Raises:
        InvalidInputError: ``k1`` or ``b`` is outside its range.

    Example:
        >>> index = SparseIndex()
        >>> index.extend([["chest", "pain"], ["no", "fever"]])
        >>> index.score(["chest"]).rows.tolist()
        [0]
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        if not (math.isfinite(k1) and k1 >= 0):
            raise InvalidInputError(f"k1: expected a finite number of at least 0, got {k1!r}")
        if not 0 <= b <= 1:
            raise InvalidInputError(f"b: expected a number from 0 to 1, got {b!r}")
        self.k1, self.b = float(k1), float(b)
        self._terms = _Vocabulary()
        self._segments: list[_Segment] = []
        self._lengths = _Growing(np.int32)
        self._tail_terms = _Growing(np.int32)
        self._tail_rows = _Growing(np.int32)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._lengths)

    def extend(self, token_lists: Iterable[Sequence[str]]) -> None:
        """Append rows.

        Costs what is added: new postings go to a small tail, which is sealed when full; sealed segments merge
        geometrically. If the iterable raises, no row is added.

        Args:
            token_lists: The terms of each row, in row order. A row may be empty.
        """
        terms, lengths = array("i"), array("i")
        look_up = self._terms.__getitem__
        for tokens in token_lists:
            terms.extend(map(look_up, tokens))
            lengths.append(len(tokens))
        self._append(np.frombuffer(terms, np.int32), np.frombuffer(lengths, np.int32))

    def score(self, terms: Sequence[str], visible: NDArray[np.bool_] | None = None) -> SparseResult:
        """Score the visible rows for a query.

        Args:
            terms: The query's terms, made by the tokenizer that made the rows'.
            visible: bool ``[rows]``, the rows that are the corpus for this search; ``None`` is all of them.

        Returns:
            Every visible row that holds a query term, with its score.

        Raises:
            InvalidInputError: ``visible`` is not a bool array with one entry per row.
        """
        if visible is not None and (visible.dtype != np.bool_ or visible.shape != (len(self),)):
            raise InvalidInputError(f"visible: expected bool [{len(self)}], got {visible.dtype} {list(visible.shape)}")
        lengths = self._lengths.view
        n = len(self) if visible is None else int(np.count_nonzero(visible))
        total = int(np.sum(lengths, dtype=np.int64, where=True if visible is None else visible))
        parts, bound = [], 0.0
        for term, times in Counter(terms).items():
            rows, counts = self._postings(term, visible)
            if len(rows):
                idf = times * math.log1p((n - len(rows) + 0.5) / (len(rows) + 0.5))
                bound += idf
                parts.append(_Part(term, rows, idf * self._saturation(counts, lengths[rows], total / n)))
        return SparseResult(*_sum(parts, len(self)), bound, tuple(parts))

    def to_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give the whole index as JSON values and arrays, for a cache.

        Returns:
            A header for JSON and named arrays; :meth:`from_state` takes both back. The arrays are not copies
            and are valid until the index changes.
        """
        self._seal_tail()
        header = {"version": _VERSION, "k1": self.k1, "b": self.b, "segments": len(self._segments)}
        arrays: dict[str, NDArray[Any]] = {"lengths": self._lengths.view, "terms": self._terms.to_array()}
        for i, segment in enumerate(self._segments):
            arrays |= {
                f"{i}.starts": segment.starts,
                f"{i}.rows": segment.rows,
                f"{i}.counts": segment.counts,
            }
        return header, arrays

    @classmethod
    def from_state(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SparseIndex:
        """Take back what :meth:`to_state` gave.

        Args:
            header: The header.
            arrays: The arrays; read-only memory maps serve and are read only where a search needs them.

        Returns:
            An index that answers and grows like the one it was taken from.

        Raises:
            FormatVersionError: The header is another version's.
        """
        if header.get("version") != _VERSION:
            raise FormatVersionError(f"sparse index version {header.get('version')!r}: this release reads {_VERSION}")
        index = cls(header["k1"], header["b"])
        index._lengths = _Growing(np.int32, arrays["lengths"])
        index._terms = _Vocabulary(arrays["terms"])
        names = range(header["segments"])
        index._segments = [_Segment(*(arrays[f"{i}.{name}"] for name in ("starts", "rows", "counts"))) for i in names]
        return index

    def _append(self, terms: NDArray[np.int32], lengths: NDArray[np.int32]) -> None:
        first = len(self)
        rows = np.repeat(np.arange(first, first + len(lengths), dtype=np.int32), lengths)
        self._lengths.extend(lengths)
        if len(self._tail_terms) + len(terms) < _TAIL:
            self._tail_terms.extend(terms)
            self._tail_rows.extend(rows)
            return
        self._seal_tail()
        for start, end in _blocks(lengths):
            self._push(_build(terms[start:end], rows[start:end], len(self._terms)))

    def _seal_tail(self) -> None:
        if len(self._tail_terms):
            self._push(_build(self._tail_terms.view, self._tail_rows.view, len(self._terms)))
            self._tail_terms, self._tail_rows = _Growing(np.int32), _Growing(np.int32)

    def _push(self, segment: _Segment) -> None:
        while self._segments and len(self._segments[-1].rows) < _GROWTH * len(segment.rows):
            segment = _merge(self._segments.pop(), segment)
        self._segments.append(segment)

    def _postings(self, term: str, visible: NDArray[np.bool_] | None) -> tuple[_Rows, NDArray[Any]]:
        number = self._terms.get(term)
        if number is None:
            return np.empty(0, np.int32), np.empty(0, np.uint8)
        found = [segment.postings(number) for segment in self._segments]
        if len(self._tail_terms):
            tail = self._tail_rows.view[self._tail_terms.view == number]
            found.append(np.unique(tail, return_counts=True))
        rows, counts = (pair[0] if len(pair) == 1 else np.concatenate(pair) for pair in zip(*found, strict=True))
        if visible is None:
            return rows, counts
        seen = visible[rows]
        return rows[seen], counts[seen]

    def _saturation(self, counts: NDArray[Any], lengths: NDArray[np.int32], average: float) -> _Floats:
        norms: _Floats = self.k1 * (1 - self.b) + (self.k1 * self.b / average) * lengths
        norms += counts
        np.divide(counts, norms, out=norms)
        return norms


class _Vocabulary(dict[str, int]):
    """Term -> number in order of first appearance; a stored one is read at its first use."""

    def __init__(self, stored: NDArray[np.uint8] | None = None) -> None:
        super().__init__()
        if stored is not None:
            words = json.loads(stored.tobytes())
            self.update(zip(words, range(len(words)), strict=True))

    def __missing__(self, term: str) -> int:
        self[term] = number = len(self)
        return number

    def to_array(self) -> NDArray[np.uint8]:
        return np.frombuffer(json.dumps(list(self)).encode(), np.uint8)


class _Growing:
    """An array that grows at its end at constant cost per element; its start is not copied until then."""

    def __init__(self, dtype: type[np.int32], start: NDArray[np.int32] | None = None) -> None:
        self._buffer = np.empty(0, dtype) if start is None else start
        self._size = len(self._buffer)

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> NDArray[np.int32]:
        return self._buffer[: self._size]

    def extend(self, values: NDArray[np.int32]) -> None:
        end = self._size + len(values)
        if end > len(self._buffer):
            grown = np.empty(max(end, len(self._buffer) * 3 // 2), self._buffer.dtype)
            grown[: self._size] = self.view
            self._buffer = grown
        self._buffer[self._size : end] = values
        self._size = end


def _blocks(lengths: NDArray[np.int32]) -> Iterable[tuple[int, int]]:
    """Cut rows of these lengths into runs of about ``_BLOCK`` tokens; no row is cut."""
    ends = np.cumsum(lengths, dtype=np.int64)
    start, total = 0, int(lengths.sum(dtype=np.int64))
    while start < total:
        end = int(ends[min(int(np.searchsorted(ends, start + _BLOCK)), len(ends) - 1)])
        yield start, end
        start = end


def _build(terms: NDArray[np.int32], rows: _Rows, n_terms: int) -> _Segment:
    """Sort (term, row) pairs into postings and count equal ones."""
    first, span = int(rows[0]), int(rows[-1]) - int(rows[0]) + 1
    keys = terms.astype(np.int64) * span + (rows - first)
    keys.sort()
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(starts, append=len(keys))
    term, row = np.divmod(keys[starts], span)
    return _Segment(
        np.searchsorted(term, np.arange(n_terms + 1)),
        (row + first).astype(np.int32),
        counts.astype(np.min_scalar_type(counts.max())),
    )


def _merge(a: _Segment, b: _Segment) -> _Segment:
    """Join two segments, all rows of the first below those of the second."""
    n_terms = max(len(a.starts), len(b.starts))
    a_starts, b_starts = (np.pad(s.starts, (0, n_terms - len(s.starts)), "edge") for s in (a, b))
    starts = a_starts + b_starts
    rows = np.empty(len(a.rows) + len(b.rows), np.int32)
    counts = np.empty(len(rows), np.result_type(a.counts, b.counts))
    # A posting of the first moves up by what the second has before its term; one of the second, by what the
    # first has up to and including it.
    for segment, own, shift in ((a, a_starts, b_starts[:-1]), (b, b_starts, a_starts[1:])):
        places = np.arange(len(segment.rows)) + np.repeat(shift, np.diff(own))
        rows[places], counts[places] = segment.rows, segment.counts
    return _Segment(starts, rows, counts)


def _sum(parts: Sequence[_Part], n: int) -> tuple[NDArray[np.int64], _Floats]:
    """Add up the parts by row."""
    total = np.zeros(n)
    for part in parts:
        total[part.rows] += part.scores
    rows = np.flatnonzero(total)
    return rows, total[rows]
