"""BM25 of a scope from its postings, summed in the order of the embedded index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.rows import term_key
from bedside.search.assertion import contradicted
from bedside.search.bm25 import Corpus, contributions
from bedside.search.pool import Matches, SparseResult
from bedside.search.rank import Rows, added_up
from bedside.text.assertions import Polarity


@dataclass(frozen=True)
class Statistics:
    """What BM25 knows of a scope, and the scope's number.

    Attributes:
        sid: The scope.
        corpus: Of the records that count.
        rows: These records, ascending; ``None``: all of the scope.
    """

    sid: int
    corpus: Corpus
    rows: Rows | None = None


@dataclass(frozen=True)
class Grouped:
    """Rows that are scored as one text: all int64 ``[m]``, rows ascending; rows of no group are not among them."""

    rows: Rows
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def among(self, rows: Rows | None) -> Grouped:
        """Return those of some rows; of ``None`` all."""
        if rows is None:
            return self
        held = np.isin(self.rows, rows)
        return Grouped(self.rows[held], self.numbers[held], self.lengths[held])


def score(
    connection: Connection[Any],
    statistics: Statistics,
    terms: Sequence[str],
    grouped: Grouped | None,
    asked: Mapping[str, Polarity],
) -> SparseResult:
    """Score every record of a scope that holds a term, or with ``grouped`` every row of a group that holds one.

    Args:
        connection: Of the transaction.
        statistics: Of the scope.
        terms: Those of the query.
        grouped: Rows that are scored as one text.
        asked: Which of the terms are asked about, and whether they should be present or absent.
    """
    counted = Counter(terms)
    keys = {term_key(statistics.sid, term): term for term in counted}
    found = {
        keys[key]: columns
        for key, *columns in connection.cursor(binary=True).execute(
            "select key, array_agg(row order by row), array_agg(tf order by row), array_agg(dl order by row),"
            " array_agg(negated order by row) "
            "from post where key = any(%s) and sid = %s group by key",
            (Int8s(np.array(list(keys), np.int64)), statistics.sid),
        )
    }
    known = [term for term in counted if term in found]
    which = np.repeat(np.arange(len(known)), [len(found[term][0]) for term in known])
    rows, counts, lengths, negated = (_joined([found[term][i] for term in known]) for i in range(4))
    if statistics.rows is not None:
        held = np.isin(rows, statistics.rows)
        which, rows, counts, lengths, negated = (each[held] for each in (which, rows, counts, lengths, negated))
    corpus = statistics.corpus
    if grouped is not None:
        which, rows, counts, lengths, negated = _as_groups(which, rows, counts, negated, grouped)
        corpus = corpus._replace(n=len(np.unique(grouped.numbers)), tokens=int(grouped.lengths.sum()))
    weights, scores = contributions(corpus, (counted[term] for term in known), which, counts, lengths)
    owners, at = np.unique(rows, return_inverse=True)
    total = np.bincount(at, scores, minlength=len(owners)).astype(np.float64)
    matches = Matches(tuple(known), which, at, scores, counts, negated)  # type: ignore[arg-type]  # 64 bits here
    against = owners[contradicted(matches, weights, asked, len(owners))]
    if grouped is not None:
        owners, total = _each_row(grouped, owners, total)
        against = grouped.rows[np.isin(grouped.numbers, against)]
        rows = np.full_like(rows, -1)
    matches = matches._replace(rows=rows)  # type: ignore[arg-type]  # as above
    by_term = dict(zip(known, weights.tolist(), strict=True))
    return SparseResult(owners, total, added_up(weights), matches, against, asked, by_term)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _as_groups(
    which: NDArray[np.int64],
    rows: Rows,
    counts: NDArray[np.int64],
    negated: NDArray[np.int64],
    grouped: Grouped,
) -> tuple[NDArray[np.int64], ...]:
    """Add up the postings of one term and one group; returns term, group, count, length and negations of each."""
    held = np.isin(rows, grouped.rows)
    which, rows, counts, negated = which[held], rows[held], counts[held], negated[held]
    owners = grouped.numbers[np.searchsorted(grouped.rows, rows)]
    span = int(grouped.numbers.max(initial=0)) + 1
    keys, at = np.unique(which * span + owners, return_inverse=True)
    summed, found = np.divmod(keys, span)
    lengths = np.bincount(grouped.numbers, grouped.lengths, span).astype(np.int64)
    counts, negated = (np.bincount(at, each, len(keys)).astype(np.int64) for each in (counts, negated))
    return summed, found, counts, lengths[found], negated


def _each_row(grouped: Grouped, owners: Rows, total: NDArray[np.float64]) -> tuple[Rows, NDArray[np.float64]]:
    """Return the rows of the groups that scored, with their group's score."""
    by_group = np.zeros(int(grouped.numbers.max(initial=0)) + 1)
    by_group[owners] = total
    scores = by_group[grouped.numbers]
    return grouped.rows[scores > 0], scores[scores > 0]
