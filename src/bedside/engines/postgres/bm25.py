"""BM25 of a scope from its postings, with the formula and the order of summing of the embedded index.

See :class:`bedside.engines.embedded.index.bm25.SparseIndex` for the formula.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.rows import term_key
from bedside.search.pool import Matches, SparseResult
from bedside.search.rank import Rows


@dataclass(frozen=True)
class Statistics:
    """What BM25 knows of a scope: its number, records and tokens, and its constants."""

    sid: int
    n: int
    tokens: int
    k1: float
    b: float


@dataclass(frozen=True)
class Grouped:
    """Rows that are scored as one text: all int64 ``[m]``, rows ascending; rows of no group are not among them."""

    rows: Rows
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]


def score(
    connection: Connection[Any], statistics: Statistics, terms: Sequence[str], grouped: Grouped | None = None
) -> SparseResult:
    """Score every record of a scope that holds a term, or with ``grouped`` every row of a group that holds one."""
    counted = Counter(terms)
    keys = {term_key(statistics.sid, term): term for term in counted}
    found = {
        keys[key]: (rows, tf, dl)
        for key, rows, tf, dl in connection.cursor(binary=True).execute(
            "select key, array_agg(row order by row), array_agg(tf order by row), array_agg(dl order by row) "
            "from post where key = any(%s) and sid = %s group by key",
            (Int8s(np.array(list(keys), np.int64)), statistics.sid),
        )
    }
    known = [term for term in counted if term in found]
    which = np.repeat(np.arange(len(known)), [len(found[term][0]) for term in known])
    rows, counts, lengths = (_joined([found[term][i] for term in known]) for i in range(3))
    n, tokens = statistics.n, statistics.tokens
    if grouped is not None:
        which, rows, counts, lengths = _as_groups(which, rows, counts, grouped)
        n, tokens = len(np.unique(grouped.numbers)), int(grouped.lengths.sum())
    df = np.bincount(which, minlength=len(known))
    times = np.array([counted[term] for term in known], np.float64)
    idf = times * np.log1p((n - df + 0.5) / (df + 0.5))
    scores = idf[which] * _saturation(statistics, lengths, counts, tokens / max(n, 1))
    owners, at = np.unique(rows, return_inverse=True)
    total = np.bincount(at, scores, minlength=len(owners)).astype(np.float64)
    if grouped is not None:
        owners, total = _each_row(grouped, owners, total)
        rows = np.full_like(rows, -1)
    matches = Matches(tuple(known), which, rows, scores)  # type: ignore[arg-type]  # rows outgrow 32 bits here
    return SparseResult(owners, total, float(idf[df > 0].sum()), matches)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _saturation(
    statistics: Statistics, lengths: NDArray[np.int64], counts: NDArray[np.int64], average: float
) -> NDArray[np.float64]:
    norms = np.multiply(lengths, statistics.k1 * statistics.b / (average or 1), dtype=np.float64)
    norms += statistics.k1 * (1 - statistics.b)
    norms += counts
    return np.asarray(counts / norms)


def _as_groups(
    which: NDArray[np.int64], rows: Rows, counts: NDArray[np.int64], grouped: Grouped
) -> tuple[NDArray[np.int64], ...]:
    """Add up the postings of one term and one group; returns term, group, count and length of each."""
    held = np.isin(rows, grouped.rows)
    which, rows, counts = which[held], rows[held], counts[held]
    owners = grouped.numbers[np.searchsorted(grouped.rows, rows)]
    span = int(grouped.numbers.max(initial=0)) + 1
    keys, at = np.unique(which * span + owners, return_inverse=True)
    summed, found = np.divmod(keys, span)
    lengths = np.bincount(grouped.numbers, grouped.lengths, span).astype(np.int64)
    return summed, found, np.bincount(at, counts, len(keys)).astype(np.int64), lengths[found]


def _each_row(grouped: Grouped, owners: Rows, total: NDArray[np.float64]) -> tuple[Rows, NDArray[np.float64]]:
    """Return the rows of the groups that scored, with their group's score."""
    by_group = np.zeros(int(grouped.numbers.max(initial=0)) + 1)
    by_group[owners] = total
    scores = by_group[grouped.numbers]
    return grouped.rows[scores > 0], scores[scores > 0]
