"""BM25 over postings that grow by what is added, with statistics of whatever rows are visible."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.postings import Growing, Postings, Rows, Segment, build, merge, runs
from bedside.errors import InvalidInputError
from bedside.search.assertion import contradicted
from bedside.search.bm25 import Corpus, contributions
from bedside.search.pool import Matches, SparseResult
from bedside.search.rank import Scores, added_up
from bedside.search.settings import check_bm25
from bedside.support.turns import taking_turns
from bedside.text.assertions import Polarity

__all__ = ["SparseIndex"]

_TAIL = 1 << 13  # tokens; the first search after an add builds the tail's postings, 0.5 ms when it is full
_BLOCK = 1 << 22  # tokens sealed at once; bounds the working memory of a bulk load to about 100 MB
# A segment is merged into its elder once it reaches a third of it: at most log3(postings / tail) segments.
_GROWTH = 3
_FEW = 8  # one row of so many: looking each up in the postings of a term is faster than reading all of them
_SEGMENT_ARRAYS = ("terms", "starts", "rows", "counts", "negated")

_NOTHING: Mapping[str, Polarity] = {}


class SparseIndex:
    """An inverted index scored with BM25 (:mod:`bedside.search.bm25`).

    Rows are numbered from 0 in the order added and are never removed; the caller masks them.

    Args:
        k1: Saturation of the term frequency, at least 0. 1.2 is Lucene's default.
        b: Weight of the length normalisation, 0 to 1. 0.75 is Lucene's default.

    Raises:
        InvalidInputError: ``k1`` or ``b`` is outside its range.

    Example:
        >>> index = SparseIndex()
        >>> index.extend([(["chest", "pain"], bytes(2), 2), (["no", "fever"], bytes([0, 1]), 2)])
        >>> index.score(["chest"]).rows.tolist()
        [0]
        >>> index.score(["fever"], asked={"fever": "present"}).contradicted.tolist()
        [1]
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        check_bm25(k1, b)
        self.k1, self.b = float(k1), float(b)
        self._terms = _Vocabulary()
        self._first = 0  # row of its first text
        self._segments: list[Segment] = []
        self._lengths = Growing()
        self._length = 0
        self._tail = [Growing(), Growing(), Growing()]  # what a segment is built of: terms, rows, negated
        self._open_segment: Segment | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._lengths)

    def beside(self) -> SparseIndex:
        """Return an empty index for the rows that follow, with the same terms; :meth:`absorb` takes it in."""
        part = SparseIndex(self.k1, self.b)
        part._terms, part._first = self._terms, self._first + len(self)
        return part

    def absorb(self, part: SparseIndex) -> None:
        """Append what :meth:`beside` was filled with; the cost is that of copying the rows' lengths."""
        self._seal_tail()
        self._segments = [*self._segments, *part._all_segments()]
        self._lengths.extend(part._lengths.view)
        self._length += part._length

    def settle(self) -> None:
        """Merge segments; a reader meanwhile sees those of before."""
        settled: list[Segment] = []
        for segment in taking_turns(self._segments):
            _push(settled, segment)
        self._segments = settled

    def since(self, row: int, terms: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give the rows from ``row`` on, and the vocabulary from its ``terms``-th term on, as :meth:`to_state` does."""
        segments = [part for segment in self._all_segments() if len((part := segment.since(row)).rows)]
        return self._state(segments, self._lengths.view[row - self._first :], terms)

    @property
    def terms(self) -> int:
        """How many terms are known."""
        return len(self._terms)

    def extend(self, records: Iterable[tuple[Sequence[str], bytes | bytearray, int]]) -> None:
        """Append rows.

        Costs what is added: new postings go to a small tail, which is sealed when full; sealed segments merge
        geometrically. If the iterable raises, no row is added.

        Args:
            records: Of each row, in row order: its terms, for each term 1 where it is negated, else 0, and how long it
                counts as. A row may be empty.
        """
        terms, sizes, lengths, negated = array("i"), array("i"), array("i"), bytearray()
        look_up = self._terms.__getitem__
        for tokens, marks, length in records:
            terms.extend(map(look_up, tokens))
            sizes.append(len(tokens))
            lengths.append(length)
            negated += marks
        self._lengths.extend(np.frombuffer(lengths, np.int32))
        self._length += sum(lengths)
        marked = np.frombuffer(negated, np.uint8)
        self._append(np.frombuffer(terms, np.int32), np.frombuffer(sizes, np.int32), marked)

    def score(
        self,
        terms: Sequence[str],
        visible: NDArray[np.bool_] | None = None,
        groups: Rows | None = None,
        asked: Mapping[str, Polarity] = _NOTHING,
    ) -> SparseResult:
        """Score the visible rows for a query.

        Args:
            terms: The query's terms, made by the tokenizer that made the rows'.
            visible: bool ``[rows]``, the rows that are the corpus for this search; ``None`` is all of them.
            groups: int32 ``[rows]``, numbers below twice that of rows: the visible rows of one number are scored as
                one text, and those of -1 are left out. ``None`` scores each row by itself.
            asked: Which of the terms are asked about, and whether they should be present or absent.

        Returns:
            Every visible row that holds a query term, with its score; with ``groups`` every visible row of a group
            that holds one, with the group's score and nothing to explain. With ``asked`` it says which rows, or rows
            of which groups, contradict it.

        Raises:
            InvalidInputError: ``visible`` is not a bool array with one entry per row.
        """
        if visible is not None and (visible.dtype != np.bool_ or visible.shape != (len(self),)):
            raise InvalidInputError(f"visible: expected bool [{len(self)}], got {visible.dtype} {list(visible.shape)}")
        if groups is not None:
            visible = groups >= 0 if visible is None else visible & (groups >= 0)
        known = {term: times for term, times in Counter(terms).items() if term in self._terms}
        numbers = [self._terms[term] for term in known]
        lengths = self._lengths.view
        if visible is None or np.count_nonzero(visible) * _FEW > len(self):
            return self._scored(known, self._postings(numbers), lengths, self._length, visible, groups, asked)
        # Of few rows among many, such as one patient's: as if these were all, so that it costs what they hold.
        seen = np.flatnonzero(visible)
        owners = None if groups is None else np.unique(groups[seen], return_inverse=True)[1].astype(np.int32)
        postings = self._postings(numbers, seen.astype(np.int32))
        lengths = lengths[seen]
        length = int(lengths.sum(dtype=np.int64))
        return self._scored(known, postings, lengths, length, None, owners, asked).of_rows(seen)

    def _scored(
        self,
        known: Mapping[str, int],
        postings: Postings,
        lengths: Rows,
        length: int,
        visible: NDArray[np.bool_] | None,
        groups: Rows | None,
        asked: Mapping[str, Polarity],
    ) -> SparseResult:
        """Score the visible ones of the rows of ``lengths``, ``length`` in all; with ``groups`` each is of one."""
        n = rows_in_all = len(lengths)
        if visible is not None:
            postings = postings.where(visible.take(postings.rows))
            n, length = int(np.count_nonzero(visible)), int((lengths * visible).sum(dtype=np.int64))
        if groups is not None:
            held = slice(None) if visible is None else visible
            postings = postings.summed(groups.take(postings.rows))
            lengths = np.bincount(groups[held], lengths[held], rows_in_all).astype(np.int32)
            n = len(np.unique(groups[held]))
        which, rows, counts, negated = postings
        corpus = Corpus(n, length, self.k1, self.b)
        weights, scores = contributions(corpus, known.values(), which, counts, lengths.take(rows))
        total: Scores = np.bincount(rows, scores, minlength=rows_in_all).astype(np.float64, copy=False)
        matches = Matches(tuple(known), which, rows, scores, counts, negated)
        against = contradicted(matches, weights, asked, rows_in_all)
        if groups is not None:
            total, against = total.take(groups), against.take(groups)
            if visible is not None:
                total, against = np.where(visible, total, 0.0), visible & against
            matches = matches._replace(rows=np.full_like(rows, -1))
        found = np.flatnonzero(total > 0)  # on floats flatnonzero is 8 times slower
        by_term = dict(zip(known, weights.tolist(), strict=True))
        return SparseResult(found, total[found], added_up(weights), matches, np.flatnonzero(against), asked, by_term)

    def to_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give the whole index as JSON values and arrays, for a cache.

        Returns:
            A header for JSON and named arrays; :meth:`load` takes both back. The arrays are not copies and are
            valid until the index changes.
        """
        return self._state(self._all_segments(), self._lengths.view, 0)

    def _state(
        self, segments: Sequence[Segment], lengths: Rows, terms: int
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        header = {"segments": len(segments)}
        arrays: dict[str, NDArray[Any]] = {"lengths": lengths, "terms": self._terms.to_array(terms)}
        for i, segment in enumerate(segments):
            arrays |= {f"{i}.{name}": getattr(segment, name) for name in _SEGMENT_ARRAYS}
        return header, arrays

    def load(self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Append the rows that :meth:`to_state` or :meth:`since` gave; they follow those that are here.

        The arrays may be read-only memory maps, and are read only where a search needs them.
        """
        lengths = np.asarray(arrays["lengths"])
        if len(self):
            self._lengths.extend(lengths)
        else:
            self._lengths = Growing(lengths)
        self._length += int(lengths.sum(dtype=np.int64))
        self._terms.extend(arrays["terms"])
        for i in range(header["segments"]):
            self._segments.append(Segment(*(np.asarray(arrays[f"{i}.{name}"]) for name in _SEGMENT_ARRAYS)))

    def _append(self, terms: Rows, sizes: Rows, negated: NDArray[np.uint8]) -> None:
        """Append the postings of the last rows; ``sizes`` says how many terms each has."""
        end = self._first + len(self)
        rows = np.repeat(np.arange(end - len(sizes), end, dtype=np.int32), sizes)
        self._open_segment = None
        if len(self._tail[0]) + len(terms) < _TAIL:
            for tail, values in zip(self._tail, (terms, rows, negated.astype(np.int32)), strict=True):
                tail.extend(values)
            return
        self._seal_tail()
        starts = np.append(0, np.cumsum(sizes, dtype=np.int64))
        for some in runs(starts, _BLOCK):
            block = slice(starts[some.start], starts[some.stop])
            _push(self._segments, build(terms[block], rows[block], negated[block]))

    def _seal_tail(self) -> None:
        self._open_segment = None
        if len(self._tail[0]):
            _push(self._segments, build(*(tail.view for tail in self._tail)))
            self._tail = [Growing(), Growing(), Growing()]

    def _all_segments(self) -> list[Segment]:
        """The sealed segments and one of the tail, built when it is first looked at."""
        if not len(self._tail[0]):
            return self._segments
        if self._open_segment is None:
            self._open_segment = build(*(tail.view for tail in self._tail))
        return [*self._segments, self._open_segment]

    def _postings(self, terms: Sequence[int], seen: Rows | None = None) -> Postings:
        """The postings of some terms; they are numbered as they are given.

        Args:
            terms: Which.
            seen: Ascending rows: only their postings are returned, under their places among these.
        """
        wanted = np.asarray(terms, np.int32)
        found = [segment.postings(span, seen) for segment in self._all_segments() for span in segment.spans(wanted)]
        if not found:
            return Postings(np.empty(0, np.intp), np.empty(0, np.int32), *2 * [np.empty(0, np.uint8)])
        which = (np.arange(len(found)) % len(terms)).repeat([len(rows) for rows, _, _ in found])
        return Postings(which, *map(np.concatenate, zip(*found, strict=True)))


def _push(segments: list[Segment], segment: Segment) -> None:
    while segments and len(segments[-1].rows) < _GROWTH * len(segment.rows):
        segment = merge(segments.pop(), segment)
    segments.append(segment)


class _Vocabulary(dict[str, int]):
    """Term -> number in order of first appearance."""

    def extend(self, stored: NDArray[np.uint8]) -> None:
        words = json.loads(stored.tobytes())
        self.update(zip(words, range(len(self), len(self) + len(words)), strict=True))

    def __missing__(self, term: str) -> int:
        self[term] = number = len(self)
        return number

    def to_array(self, first: int) -> NDArray[np.uint8]:
        return np.frombuffer(json.dumps(list(islice(self, first, None))).encode(), np.uint8)
