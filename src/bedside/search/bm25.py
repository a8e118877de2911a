"""The formula of BM25, in Lucene's variant; each engine finds the postings, and all of them score with this.

``score(d) = sum over query terms t of idf(t) * tf / (tf + k1 * (1 - b + b * dl / avgdl))`` with
``idf(t) = ln(1 + (N - df + 0.5) / (df + 0.5))``, as in Lucene's ``BM25Similarity`` since version 8; a term that the
query repeats counts as often. ``N``, ``df`` and ``avgdl`` are those of the visible rows, so rows that a search may not
see (another scope's, deleted ones) leave no trace in its scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside.search.rank import Scores


class Corpus(NamedTuple):
    """The visible rows as BM25 sees them: how many they are, their terms in all, and the two constants."""

    n: int
    tokens: int
    k1: float
    b: float


class Contributions(NamedTuple):
    """What a query's terms give.

    Attributes:
        weights: float64 ``[terms]``: the most that each gives to a row; 0 for one that no row holds.
        scores: float64 ``[postings]``: what each posting gives to its row.
    """

    weights: Scores
    scores: Scores


def contributions(
    corpus: Corpus,
    times: Iterable[int],
    which: NDArray[np.integer[Any]],
    counts: NDArray[np.integer[Any]],
    lengths: NDArray[np.integer[Any]],
    df: NDArray[np.integer[Any]] | None = None,
) -> Contributions:
    """Score the postings that a query met.

    Args:
        corpus: The visible rows.
        times: ``[terms]``, how often the query holds each.
        which: ``[postings]``, the term of each, by its place in ``times``.
        counts: ``[postings]``, how often its row holds the term.
        lengths: ``[postings]``, how many terms its row has.
        df: ``[terms]``, how many visible rows hold each; ``None`` where ``which`` has all of their postings.
    """
    repeated = np.fromiter(times, np.float64)
    df = np.bincount(which, minlength=len(repeated)) if df is None else df
    idf = repeated * np.log1p((corpus.n - df + 0.5) / (df + 0.5))
    saturation = _saturation(corpus, counts, lengths)
    return Contributions(np.where(df > 0, idf, 0.0), idf.take(which) * saturation)


def _saturation(corpus: Corpus, counts: NDArray[np.integer[Any]], lengths: NDArray[np.integer[Any]]) -> Scores:
    """``tf / (tf + k1 * (1 - b + b * dl / avgdl))`` for each posting, in one array: there may be millions."""
    average = corpus.tokens / max(corpus.n, 1)
    norms: Scores = np.multiply(lengths, corpus.k1 * corpus.b / (average or 1), dtype=np.float64)
    norms += corpus.k1 * (1 - corpus.b)
    norms += counts
    np.divide(counts, norms, out=norms)
    return norms
