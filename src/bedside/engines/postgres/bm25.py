"""BM25 of a scope from its postings, summed in the order of the embedded index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.memory import Remembered
from bedside.engines.postgres.rows import term_key
from bedside.search.assertion import contradicted
from bedside.search.bm25 import Corpus, contributions
from bedside.search.pool import Matches, SparseResult
from bedside.search.rank import Rows, added_up
from bedside.text.assertions import Polarity

_FEW = 0.25
"""Of a scope's rows: where more are allowed, all postings are read."""
_RARE = 1_000
"""Rows that hold a term: of so many or fewer, as in a patient's scope, the postings are remembered."""
_FREQUENT = 2.5
"""Rows that hold a term for each one that is allowed: looking one up takes the time of reading so many in a row."""
_CLOSE = 16
"""Numbers for each row between the lowest and the highest."""


@dataclass(frozen=True)
class Statistics:
    """What BM25 knows of a scope, and the scope's number.

    Attributes:
        sid: The scope.
        corpus: Of the records that count.
        remembered: What was read of the scope in its state of now.
        left_out: Those that do not count, ascending; ``None`` where all do.
    """

    sid: int
    corpus: Corpus
    remembered: Remembered = field(default_factory=Remembered)
    left_out: Rows | None = None

    def without(self, left_out: Rows, tokens: int) -> Statistics:
        """Return what is known of the scope without some of its records, which hold so many terms."""
        corpus = self.corpus._replace(n=self.corpus.n - len(left_out), tokens=self.corpus.tokens - tokens)
        return replace(self, corpus=corpus, left_out=left_out)


@dataclass(frozen=True)
class Grouped:
    """Rows that are scored as one text: all int64 ``[m]``, rows ascending; rows of no group are not among them."""

    rows: Rows
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def without(self, rows: Rows | None) -> Grouped:
        """Return those that are none of some rows."""
        if rows is None:
            return self
        held = np.isin(self.rows, rows, invert=True)
        return Grouped(self.rows[held], self.numbers[held], self.lengths[held])


def score(
    connection: Connection[Any],
    statistics: Statistics,
    terms: Sequence[str],
    grouped: Grouped | None,
    asked: Mapping[str, Polarity],
    allowed: Rows | None,
) -> SparseResult:
    """Score the records of a scope that hold a term, or with ``grouped`` every row of a group that holds one.

    Args:
        connection: Of the transaction.
        statistics: Of the scope.
        terms: Those of the query.
        grouped: Rows that are scored as one text.
        asked: Which of the terms are asked about, and whether they should be present or absent.
        allowed: Those that may be an answer; others may be left out. ``None``: all.
    """
    counted = Counter(terms)
    if grouped is not None or statistics.left_out is not None:
        allowed = None  # how many rows of those that count hold a term is told by all of its postings
    found = _postings(connection, statistics, counted, allowed)
    known = [term for term in counted if term in found]
    which = np.repeat(np.arange(len(known)), [len(found[term].rows) for term in known])
    rows, counts, lengths, negated = (
        np.concatenate([np.zeros(0, np.int64), *(found[term][i] for term in known)]) for i in range(4)
    )
    df = None if allowed is None else np.array([found[term].held for term in known], np.int64)
    if statistics.left_out is not None:
        held = np.isin(rows, statistics.left_out, invert=True)
        which, rows, counts, lengths, negated = (each[held] for each in (which, rows, counts, lengths, negated))
    corpus = statistics.corpus
    if grouped is not None:
        which, rows, counts, lengths, negated = _as_groups(which, rows, counts, negated, grouped)
        corpus = corpus._replace(n=len(np.unique(grouped.numbers)), tokens=int(grouped.lengths.sum()))
    weights, scores = contributions(corpus, (counted[term] for term in known), which, counts, lengths, df)
    owners, at = _numbered(rows)
    total = np.bincount(at, scores, minlength=len(owners)).astype(np.float64)
    matches = Matches(tuple(known), which, at, scores, counts, negated)  # type: ignore[arg-type]  # 64 bits here
    against = owners[contradicted(matches, weights, asked, len(owners))]
    if grouped is not None:
        owners, total = _each_row(grouped, owners, total)
        against = grouped.rows[np.isin(grouped.numbers, against)]
        rows = np.full_like(rows, -1)
    matches = matches._replace(rows=rows)
    by_term = dict(zip(known, weights.tolist(), strict=True))
    return SparseResult(owners, total, added_up(weights), matches, against, asked, by_term)


class _Postings(NamedTuple):
    """Those of one term: int64 ``[m]`` each, rows ascending, and how many rows hold the term in all."""

    rows: Rows
    counts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    negated: NDArray[np.int64]
    held: int


_EMPTY = np.zeros(0, np.int64)
_NONE = _Postings(_EMPTY, _EMPTY, _EMPTY, _EMPTY, 0)


def _postings(
    connection: Connection[Any], statistics: Statistics, terms: Iterable[str], allowed: Rows | None
) -> dict[str, _Postings]:
    """Read the postings of terms, where few rows are allowed only theirs; those of rare terms are remembered."""
    keys = {term_key(statistics.sid, term): term for term in terms}
    remembered = {key: statistics.remembered.known(("postings", key)) for key in keys}
    new = [key for key, postings in remembered.items() if postings is None]
    if not new:
        found = {}
    elif allowed is None or len(allowed) > _FEW * statistics.corpus.n:
        found = _every(connection, statistics, new)
    else:
        found = _few(connection, statistics, new, allowed)
    return {term: held for key, term in keys.items() if (held := found.get(key, remembered[key])).held}


def _every(connection: Connection[Any], statistics: Statistics, keys: Sequence[int]) -> dict[int, _Postings]:
    read = _read(
        connection,
        f"select key, null, {_packed()} from post where key = any(%s) and sid = %s group by key",  # noqa: S608 - every value is bound
        (_sent(keys), statistics.sid),
    )
    found = {key: read.get(key, _NONE) for key in keys}
    for key, postings in found.items():
        if postings.held <= _RARE:
            statistics.remembered.keep(("postings", key), postings)
    return _counted(statistics, found)


def _few(
    connection: Connection[Any], statistics: Statistics, keys: Sequence[int], allowed: Rows
) -> dict[int, _Postings]:
    """Read the postings of some rows: of frequent terms row by row, where it is known how many hold them in all."""
    held = {key: statistics.remembered.known(("held", key)) for key in keys}
    frequent = [key for key, number in held.items() if number is not None and number > _FREQUENT * len(allowed)]
    others = [key for key in keys if key not in frequent]
    rows, found = Int8s(allowed), dict.fromkeys(keys, _NONE)
    if others:
        found |= _read(
            connection,
            f"select key, count(*), {_packed('row = any(%s)')} from post where key = any(%s) and sid = %s group by key",  # noqa: S608 - every value is bound
            (rows, rows, _sent(others), statistics.sid),
        )
    if frequent:
        # Of 1 % of a million rows in 24 ms and not 59; no planner looks rows up by itself.
        found |= _read(
            connection,
            f"select key, null, {_packed()} from unnest(%s) as asked(key), lateral (select row, dl, tf, negated"  # noqa: S608 - every value is bound
            " from post where post.key = asked.key and row = any(%s) and sid = %s offset 0) as held group by key",
            (_sent(frequent), rows, statistics.sid),
        )
        found |= {key: found[key]._replace(held=held[key]) for key in frequent}
    return _counted(statistics, found)


def _counted(statistics: Statistics, found: dict[int, _Postings]) -> dict[int, _Postings]:
    """Remember how many rows hold each term."""
    for key, postings in found.items():
        statistics.remembered.keep(("held", key), postings.held)
    return found


def _packed(among: str = "") -> str:
    """Return the columns that hold postings, of the rows of which a condition holds.

    What the server must write costs most: two numbers go in one, and few occurrences are negated. An order without a
    filter costs nothing: the index has it.
    """
    kept, negated = (f"filter (where {among})", f"negated > 0 and {among}") if among else ("", "negated > 0")
    return (
        f"string_agg(int8send(row) || int8send(dl::bigint << 32 | tf), '' order by row) {kept},"
        f" string_agg(int8send(row) || int8send(negated), '' order by row) filter (where {negated})"
    )


def _read(connection: Connection[Any], query: str, values: Sequence[Any]) -> dict[int, _Postings]:
    found = connection.cursor(binary=True).execute(query.encode(), values)
    return {key: _unpacked(*columns) for key, *columns in found}


def _sent(keys: Iterable[int]) -> Int8s:
    return Int8s(np.array(list(keys), np.int64))


def _unpacked(held: int | None, packed: bytes | None, negating: bytes | None) -> _Postings:
    """Return the postings of a term from what the server sent: nothing is ``None``, and so is a count not asked for."""
    rows, numbers = _pairs(packed)
    negated = np.zeros(len(rows), np.int64)
    denied, times = _pairs(negating)
    negated[np.searchsorted(rows, denied)] = times
    return _Postings(rows, numbers & 0xFFFFFFFF, numbers >> 32, negated, len(rows) if held is None else held)


def _pairs(sent: bytes | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and the number that goes with each."""
    pairs = np.frombuffer(sent or b"", ">i8").reshape(-1, 2)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


def _numbered(rows: Rows) -> tuple[Rows, NDArray[np.int64]]:
    """Return the distinct rows, ascending, and the place of each of ``rows`` among them, as ``numpy.unique`` does.

    Rows that lie close together, as they do where many hold a term, are marked in an array and need no sorting. Others
    come in a few ascending runs, one for each term, which a stable sort merges in a quarter of the time.
    """
    if not len(rows) or (span := int(rows.max() - rows.min()) + 1) > _CLOSE * len(rows):
        return _merged(rows)
    first = rows.min()
    there = np.zeros(span, np.bool_)
    there[rows - first] = True
    owners = np.flatnonzero(there)
    places = np.empty(span, np.int64)
    places[owners] = np.arange(len(owners))
    return owners + first, places[rows - first]


def _merged(rows: Rows) -> tuple[Rows, NDArray[np.int64]]:
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = ascending[1:] != ascending[:-1]
    places = np.empty(len(rows), np.int64)
    places[order] = np.cumsum(is_new) - 1
    return ascending[is_new], places


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
