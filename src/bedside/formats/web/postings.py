"""The postings of a page's texts, packed: a page that brings them along opens without cutting its texts into terms."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from bedside.text.analyzer import Analyzer
from bedside.types import Document


class PagePostings:
    """Gathers the terms of documents while they are written; :meth:`packed` gives their postings.

    Args:
        analyzer: The collection's.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._numbers: dict[str, int] = {}
        self._terms, self._sizes, self._lengths, self._negated = array("i"), array("i"), array("i"), bytearray()

    def add(self, documents: Iterable[Document]) -> None:
        """Take in the next documents of the page."""
        numbers = self._numbers
        for document in documents:
            terms, negated, length = self._analyzer.terms(document.text, document.metadata)
            self._terms.extend([numbers.setdefault(term, len(numbers)) for term in terms])
            self._sizes.append(len(terms))
            self._lengths.append(length)
            self._negated += negated

    def packed(self) -> Iterator[bytes]:
        """Yield a line of JSON, all terms, and then numbers as :func:`varints` writes them.

        Of each document its length; of each term how many documents hold it; of each posting, those of a term together,
        how far its document is behind the one before (the first: its row), how often it holds the term, and how often
        it negates it. A row is a document's place in the page, from 0.
        """
        yield json.dumps(list(self._numbers)).encode() + b"\n"
        yield varints(self._lengths)
        if not self._terms:
            return
        count = len(self._sizes)
        tokens = np.frombuffer(self._terms, np.int32).astype(np.int64) * count + np.repeat(
            np.arange(count), self._sizes
        )
        order = np.argsort(tokens, kind="stable")
        firsts = np.flatnonzero(np.diff(tokens[order], prepend=-1))
        terms, rows = np.divmod(tokens[order[firsts]], count)
        marks = np.frombuffer(self._negated, np.uint8)[order].astype(np.int64)
        gaps = np.diff(rows, prepend=0)
        begins = np.flatnonzero(np.diff(terms, prepend=-1))
        gaps[begins] = rows[begins]
        yield varints(np.bincount(terms))
        yield varints(gaps)
        yield varints(np.diff(firsts, append=len(order)))
        yield varints(np.add.reduceat(marks, firsts))


def varints(values: ArrayLike) -> bytes:
    """Write whole numbers below 2**32, seven bits a byte, the lowest first; the last byte of each is below 128.

    Example:
        >>> list(varints([5, 300]))
        [5, 172, 2]
    """
    numbers = np.asarray(values, np.uint32)
    sizes = np.ones(numbers.shape, np.int64)
    for bits in (7, 14, 21, 28):
        sizes += numbers >= 1 << bits
    ends = np.cumsum(sizes)
    found = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    for place in range(5):
        there = sizes > place
        goes_on = np.where(sizes[there] > place + 1, 128, 0)
        found[(ends - sizes)[there] + place] = numbers[there] >> 7 * place & 127 | goes_on
    return found.tobytes()
