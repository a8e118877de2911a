"""One search, from scored candidates to the page that was asked for.

The corpus of BM25's statistics is what the scope sees; filter and ids choose among it; nothing is ranked that was not
chosen. Scores are on scales that do not depend on what else was found:

* dense: the cosine, in [-1, 1];
* sparse: BM25 (Lucene's variant), above 0;
* hybrid, weighted: ``alpha * cosine + (1 - alpha) * bm25 / bound``, where ``bound`` is the most that any document could
  score for the query; in [-1, 1];
* in all three, 1 less (sparse: a hit only where every row is one) for what contradicts the question, see
  :mod:`bedside.search.assertion`;
* hybrid, rrf: reciprocal rank fusion of the best ``fetch_k`` of each half.

What else counts comes in by one of two doors, each a list at the end of this file. A **signal** is a named part of the
score that is known before the cut, so the best rows are found with it, exactly. A **stage** changes the pool after the
cut: it leaves rows out, adds a named part or gives them another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidInputError
from bedside.search.assertion import demotion, left_out
from bedside.search.copies import collapsed
from bedside.search.newest import latest_first, newest_first, recency
from bedside.search.options import SearchOptions
from bedside.search.pool import Candidates, Pool, Question, Signal, Top
from bedside.search.rank import RRF_K, Rows, best, mmr
from bedside.search.rerank import reranked

Rank = Callable[[Candidates, int], Top]
"""Returns the best ``k`` of some candidates."""


def answer(
    options: SearchOptions, questions: Sequence[Question], candidates: Candidates
) -> list[tuple[Question, Pool]]:
    """Return each question with the page of rows that answers it, best first.

    Args:
        options: What was asked for, its mode decided.
        questions: Their BM25 was counted over what the scope sees.
        candidates: Whom they may be answered with.
    """
    if options.latest_by is None:
        scored = _scored(options, questions, candidates)
    else:
        scored = [(question, latest_first(options, question, candidates, _ranked_alone)) for question in questions]
    return [(question, _staged(options, question, pool)) for question, pool in scored]


def _ranked_alone(options: SearchOptions, question: Question, candidates: Candidates) -> Pool:
    return _scored(options, [question], candidates)[0][1]


def _staged(options: SearchOptions, question: Question, pool: Pool) -> Pool:
    for stage in STAGES:
        pool = stage(options, question, pool)
    return pool


def _scored(
    options: SearchOptions, questions: Sequence[Question], candidates: Candidates
) -> list[tuple[Question, Pool]]:
    """Return each question with the best ``options.pool`` rows."""
    if options.halves == "hybrid" and options.fusion == "rrf" and candidates.has_vectors:
        return [(question, _fused(options, question, candidates)) for question in questions]
    if options.group_by is None and options.halves != "sparse" and candidates.has_vectors:
        weighed = [_signals(options, question, candidates) for question in questions]
        vectors = np.stack([question.vector for question in questions if question.vector is not None])
        tops = candidates.top(vectors, options.pool, _weight(options), [_sum(parts) for parts in weighed])
        asked = zip(questions, tops, weighed, strict=True)
        return [(question, _pool(options, top, parts, candidates)) for question, top, parts in asked]
    return [(question, _one_by_one(options, question, candidates)) for question in questions]


def _one_by_one(options: SearchOptions, question: Question, candidates: Candidates) -> Pool:
    """Score one question by its only half, or by both where there are groups."""
    parts, is_sparse = _signals(options, question, candidates), _is_sparse(options, candidates)
    if (
        is_sparse
        and {"sparse", "assertion"} <= parts.keys()
        and not (_total(_found_by(parts), parts["sparse"].rows) > 0).any()
    ):
        # Where every row denies what is asked, there is nothing to come after, and to find nothing would hide that.
        parts = {name: part for name, part in parts.items() if name != "assertion"}
    rank = _sparse_rank(parts) if is_sparse else _dense_rank(options, question, parts)
    return _pool(options, _ranked(options, rank, candidates, options.pool), parts, candidates)


def _ranked(options: SearchOptions, rank: Rank, candidates: Candidates, k: int) -> Top:
    return rank(candidates, k) if options.group_by is None else first_of_each_group(rank, candidates, k)


def first_of_each_group(rank: Rank, candidates: Candidates, k: int) -> Top:
    """Return the best row of each of the ``k`` best groups.

    The groups of the best rows are left out and what is left is ranked again, so that a group of many rows costs one
    more ranking and not one for each of its rows.
    """
    found: list[Top] = []
    width = 2 * k
    while sum(len(top.rows) for top in found) < k:
        top = rank(candidates, width)
        groups = candidates.groups(top.rows)
        firsts = np.sort(np.unique(groups, return_index=True)[1])
        found.append(top.take(firsts))
        if len(top.rows) < width:
            break
        candidates, width = candidates.without(groups), 4 * width
    cosines = [top.cosines for top in found if top.cosines is not None]
    rows, scores = np.concatenate([top.rows for top in found]), np.concatenate([top.scores for top in found])
    return Top(rows, scores, np.concatenate(cosines) if cosines else None).take(slice(k))


def _pool(options: SearchOptions, top: Top, parts: Mapping[str, Signal], candidates: Candidates) -> Pool:
    """Return the rows with what their scores are the sums of."""
    known = {name: signal.at(top.rows) for name, signal in parts.items()}
    if top.cosines is not None:
        known = {"dense": _weight(options) * top.cosines, **known}
    return Pool(top.rows, top.scores, known, candidates, cosines=top.cosines)


def _signals(options: SearchOptions, question: Question, candidates: Candidates) -> dict[str, Signal]:
    """Return the parts of the score beside the cosine, on the scale of the mode."""
    sparse, is_sparse = question.sparse, _is_sparse(options, candidates)
    found = {}
    if sparse is not None and len(sparse.rows):
        rows, scores = _among(candidates, Signal(sparse.rows, sparse.scores))
        share = 1.0 if is_sparse else (1 - options.weight) / sparse.bound
        found["sparse"] = Signal(rows, share * scores)
    full = (sparse.bound if sparse is not None else 0.0) if is_sparse else 1.0
    for name, signal in SIGNALS.items():
        if (given := signal(options, question, candidates)) is not None:
            found[name] = Signal(given.rows, full * given.values)
    return found


def _total(parts: Mapping[str, Signal], rows: Rows) -> NDArray[np.float64]:
    """Return what all parts give to each of ascending ``rows``."""
    first, *others = [part.along(rows) for part in parts.values()] or [np.zeros(len(rows))]
    return sum(others, first)


def _found_by(parts: Mapping[str, Signal]) -> Mapping[str, Signal]:
    """Return the parts that decide what a sparse search finds: being new makes no hit of what denies the question."""
    return {name: part for name, part in parts.items() if name != "recency"}


def _sum(parts: Mapping[str, Signal]) -> Signal:
    """Return the sum of signals, each row once."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    if not parts:
        return Signal(np.zeros(0, np.int64), np.zeros(0))
    rows = np.unique(np.concatenate([part.rows for part in parts.values()]))
    return Signal(rows, _total(parts, rows))


def _dense_rank(options: SearchOptions, question: Question, parts: Mapping[str, Signal]) -> Rank:
    def rank(candidates: Candidates, k: int) -> Top:
        if question.vector is None:
            return Top(np.zeros(0, np.int64), np.zeros(0))
        return candidates.top(question.vector[None], k, _weight(options), [_among(candidates, _sum(parts))])[0]

    return rank


def _sparse_rank(parts: Mapping[str, Signal]) -> Rank:
    """Rank the rows that hold a term and score above zero: what they score beside BM25 never brings in another."""
    rows = parts["sparse"].rows if "sparse" in parts else np.zeros(0, np.int64)
    found = Signal(rows, _total(parts, rows))
    if len(deciding := _found_by(parts)) > 1:  # by BM25 alone every row that it has scores above zero
        hits = _total(deciding, rows) > 0
        found = Signal(rows[hits], found.values[hits])

    def rank(candidates: Candidates, k: int) -> Top:
        rows, scores = _among(candidates, found)
        order = best(rows, scores, k)
        return Top(rows[order], scores[order])

    return rank


def _among(candidates: Candidates, signal: Signal) -> Signal:
    """Return what a signal gives to candidates."""
    allowed = candidates.allows(signal.rows)
    return signal if allowed.all() else Signal(signal.rows[allowed], signal.values[allowed])


def _fused(options: SearchOptions, question: Question, candidates: Candidates) -> Pool:
    """Fuse the ranks of both halves: ``share / (k + rank)``, ranks from 1 (see :mod:`bedside.search.rank`).

    Where there are groups, a half ranks groups by their best row, and a group is fused with itself, whichever of its
    rows was the best in either half; the row that gives more stands for it.
    """
    shares = options.rank_shares
    ranked, members = {}, {}
    for name, rank in _half_ranks(options, question, candidates).items():
        ranked[name] = _ranked(options, rank, candidates, options.fetched).rows
        members[name] = ranked[name] if options.group_by is None else candidates.groups(ranked[name])
    numbers = np.unique(np.concatenate(list(members.values())))
    places = {name: _places(numbers, of) for name, of in members.items()}
    parts = {
        name: np.where(place > 0, shares[name] / (RRF_K + np.maximum(place, 1)), 0.0) for name, place in places.items()
    }
    rows = _representatives(numbers, members, ranked, parts)
    pool = Pool(rows, parts["dense"] + parts["sparse"], parts, candidates, places)
    return pool.take(best(rows, pool.scores, options.pool))


def _half_ranks(options: SearchOptions, question: Question, candidates: Candidates) -> dict[str, Rank]:
    """Return the two rankings that are fused, each with its own signals."""
    dense, sparse = replace(options, mode="dense", alpha=None), replace(options, mode="sparse", alpha=None)
    alone = {"dense": replace(question, sparse=None), "sparse": question}
    return {
        "dense": _dense_rank(dense, alone["dense"], _signals(dense, alone["dense"], candidates)),
        "sparse": _sparse_rank(_signals(sparse, question, candidates)),
    }


def _places(numbers: NDArray[np.int64], ranked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of each number, from 1; 0 where it was not ranked."""
    places = np.zeros(len(numbers), np.int64)
    places[np.searchsorted(numbers, ranked)] = np.arange(1, len(ranked) + 1)
    return places


def _representatives(
    numbers: NDArray[np.int64],
    members: Mapping[str, NDArray[np.int64]],
    ranked: Mapping[str, Rows],
    parts: Mapping[str, NDArray[np.float64]],
) -> Rows:
    """Return a row for each group: the best one in the half that gives it more."""
    rows = {name: np.zeros(len(numbers), np.int64) for name in members}
    for name, of in members.items():
        rows[name][np.searchsorted(numbers, of)] = ranked[name]
    return np.where(parts["dense"] >= parts["sparse"], rows["dense"], rows["sparse"])


def _weight(options: SearchOptions) -> float:
    """Return what a cosine counts: all where there is no other half."""
    return 1.0 if options.halves == "dense" else options.weight


def _is_sparse(options: SearchOptions, candidates: Candidates) -> bool:
    return options.halves == "sparse" or not candidates.has_vectors


def _above_min_score(options: SearchOptions, _: Question, pool: Pool) -> Pool:
    return pool if options.min_score is None else pool.take(pool.scores >= float(options.min_score))


def _diversified(options: SearchOptions, _: Question, pool: Pool) -> Pool:
    """Choose by maximal marginal relevance; scores stay those of relevance."""
    if options.diversity is None or not len(pool.rows):
        return pool
    if not pool.candidates.has_vectors:
        raise InvalidInputError("diversity: this collection holds texts without vectors, so nothing can be compared")
    return pool.take(mmr(pool.scores, pool.candidates.vectors(pool.rows), options.depth, options.diversity))


def _page(options: SearchOptions, _: Question, pool: Pool) -> Pool:
    is_whole = not options.offset and len(pool.rows) <= options.depth
    return pool if is_whole else pool.take(slice(options.offset, options.depth))


SIGNALS: dict[str, Callable[[SearchOptions, Question, Candidates], Signal | None]] = {
    "assertion": demotion,
    "recency": recency,
}
"""Parts of the score that are known before the cut, by name. Values are shares of the scale of the mode: 1 is the
highest score a hybrid or dense search can give, and in a sparse search the highest its question can."""

STAGES: list[Callable[[SearchOptions, Question, Pool], Pool]] = [
    left_out,
    reranked,
    _above_min_score,
    collapsed,
    _diversified,
    _page,
    newest_first,
]
"""What is done with the pool after the cut, in order."""
