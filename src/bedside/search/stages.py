"""One search, from its arguments to ranked rows: candidates first, then scores, then order.

The corpus of BM25's statistics is what the scope sees; filter and ids choose among it; nothing is ranked that was not
chosen. Scores are on scales that do not depend on what else was found:

* dense: the cosine, in [-1, 1];
* sparse: BM25 (Lucene's variant), above 0;
* hybrid, weighted: ``alpha * cosine + (1 - alpha) * bm25 / bound``, where ``bound`` is the most that any document could
  score for the query; in [-1, 1];
* hybrid, rrf: reciprocal rank fusion of the best ``fetch_k`` of each half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bedside.engines.embedded.index.bm25 import SparseResult
from bedside.engines.embedded.index.dense import DenseIndex, Prior
from bedside.engines.embedded.index.rows import Candidates
from bedside.errors import InvalidInputError
from bedside.search.rank import DEFAULT_ALPHA, RRF_K, Rows, Scores, best, mmr, rrf
from bedside.types import Fusion, Mode, Vector

FETCH_K = 100
"""Default pool of RRF and MMR: deeper pools changed nDCG@10 by under 0.001 on the development sets."""
_MODES, _FUSIONS = get_args(Mode), get_args(Fusion)


@dataclass(frozen=True)
class Plan:
    """The checked arguments of a search; see :meth:`bedside.Collection.search`."""

    mode: Mode
    top_k: int
    offset: int
    alpha: float | None
    fusion: Fusion
    fetch_k: int
    min_score: float | None
    diversity: float | None
    explain: bool = False
    group_by: str | None = None
    as_one: str | None = None
    """BM25 reads those records of a group that carry this metadata key as one text."""

    @property
    def depth(self) -> int:
        """How many rows the ranking must yield before ``offset`` is skipped."""
        return self.top_k + self.offset

    @property
    def pool(self) -> int:
        """How many rows the ranking yields: MMR chooses among ``fetch_k``."""
        return self.depth if self.diversity is None else max(self.depth, self.fetch_k)

    @property
    def weight(self) -> float:
        """Alpha, or its default. 0 is a value: only None is none."""
        return DEFAULT_ALPHA if self.alpha is None else self.alpha


@dataclass(frozen=True)
class Parts:
    """How a score came about; see :class:`bedside.Explanation`."""

    dense: float
    sparse: float
    terms: Mapping[str, float]
    formula: str


@dataclass(frozen=True)
class Ranked:
    """One row of an answer."""

    row: int
    score: float
    dense: float | None
    sparse: float | None
    parts: Parts | None = None


@dataclass(frozen=True)
class Question:
    """What one query is scored by: its vector where the mode has a dense half, its BM25 where it has a sparse one."""

    vector: Vector | None
    sparse: SparseResult | None


def make_plan(
    mode: Mode,
    *,
    top_k: int,
    offset: int,
    alpha: float | None,
    fusion: Fusion,
    fetch_k: int | None,
    min_score: float | None,
    diversity: float | None,
    explain: bool = False,
    group_by: str | None = None,
    as_one: str | None = None,
) -> Plan:
    """Check the arguments of a search; raises :class:`InvalidInputError` naming the one that is wrong."""
    _check_choice("mode", mode, _MODES)
    _check_choice("fusion", fusion, _FUSIONS)
    _check_int("top_k", top_k, 1)
    _check_int("offset", offset, 0)
    _check_int("fetch_k", FETCH_K if fetch_k is None else fetch_k, 1)
    _check_share("alpha", alpha)
    _check_share("diversity", diversity)
    _check_number("min_score", min_score)
    _check_key("group_by", group_by)
    if alpha in (0, 1) and mode == "hybrid":
        mode = "dense" if alpha == 1 else "sparse"
    # As Python's ints: what is computed from a numpy.int8 would overflow.
    k, skip, pool = int(top_k), int(offset), int(FETCH_K if fetch_k is None else fetch_k)
    return Plan(mode, k, skip, alpha, fusion, pool, min_score, diversity, explain, group_by, as_one)


def rank(
    plan: Plan, candidates: Candidates, questions: Sequence[Question], dense: DenseIndex | None
) -> list[list[Ranked]]:
    """Return for each question the rows that answer it, best first.

    Args:
        plan: What was asked.
        candidates: Whom it may be answered with.
        questions: Their BM25 was counted over ``candidates.visible``.
        dense: The vectors; ``None`` in a collection of texts without vectors.
    """
    scored = _score(plan, candidates, questions, dense)
    return [
        _answer(plan, candidates, question, dense, rows, scores)
        for question, (rows, scores) in zip(questions, scored, strict=True)
    ]


def firsts(
    plan: Plan, candidates: Candidates, question: Question, dense: DenseIndex | None, groups: NDArray[np.int32]
) -> list[Ranked]:
    """Return the best row of each group, best first: rank deeper until there are enough, or nothing is left to rank.

    Args:
        plan: What was asked.
        candidates: Whom it may be answered with.
        question: What is asked.
        dense: As in :func:`rank`.
        groups: The number of each row's group, int32 ``[n]``.
    """
    depth = 16 * plan.depth
    while True:
        (ranked,) = rank(replace(plan, top_k=depth, offset=0), candidates, [question], dense)
        best_of = {group: hit for hit in reversed(ranked) for group in [int(groups[hit.row])]}
        if len(best_of) >= plan.depth or len(ranked) < depth:
            ordered = sorted(best_of.values(), key=lambda hit: (-hit.score, hit.row))
            return ordered[plan.offset : plan.depth]
        depth *= 4


def _answer(
    plan: Plan, candidates: Candidates, question: Question, dense: DenseIndex | None, rows: Rows, scores: Scores
) -> list[Ranked]:
    """Cut the scored pool of one question down to what was asked for."""
    if plan.min_score is not None:
        keep = scores >= plan.min_score
        rows, scores = rows[keep], scores[keep]
    if plan.diversity is not None and len(rows):
        chosen = mmr(scores, _vectors(dense, rows), plan.depth, plan.diversity)
        rows, scores = rows[chosen], scores[chosen]
    rows, scores = rows[plan.offset : plan.depth], scores[plan.offset : plan.depth]
    cosines = (
        [None] * len(rows)
        if question.vector is None or dense is None
        else dense.cosines(question.vector, rows).tolist()
    )
    matches = [None] * len(rows) if question.sparse is None else _sparse_scores(question.sparse, rows).tolist()
    ranked = [Ranked(*values) for values in zip(rows.tolist(), scores.tolist(), cosines, matches, strict=True)]
    return _explained(plan, candidates, question, dense, ranked) if plan.explain else ranked


def _score(
    plan: Plan, candidates: Candidates, questions: Sequence[Question], dense: DenseIndex | None
) -> list[tuple[Rows, Scores]]:
    """Return for each question the best ``plan.pool`` rows and their scores, best first."""
    if plan.mode == "sparse" or dense is None:
        return [_top_sparse(question.sparse, candidates, plan.pool) for question in questions]
    if plan.mode == "hybrid" and plan.fusion == "rrf":
        return [_top_rrf(plan, candidates, question, dense) for question in questions]
    weight = 1.0 if plan.mode == "dense" else plan.weight
    priors = [_prior(question.sparse, candidates, weight) for question in questions]
    vectors = np.stack([question.vector for question in questions if question.vector is not None])
    return [(top.rows, top.scores) for top in dense.top_many(vectors, plan.pool, candidates.allowed, weight, priors)]


def _top_sparse(sparse: SparseResult | None, candidates: Candidates, k: int) -> tuple[Rows, Scores]:
    if sparse is None:
        return np.zeros(0, np.int64), np.zeros(0)
    allowed = candidates.allowed[sparse.rows]
    rows, scores = sparse.rows[allowed], sparse.scores[allowed]
    order = best(rows, scores, k)
    return rows[order], scores[order]


def _top_rrf(plan: Plan, candidates: Candidates, question: Question, dense: DenseIndex) -> tuple[Rows, Scores]:
    rows, scores = rrf(_halves(plan, candidates, question, dense), _rrf_weights(plan))
    order = best(rows, scores, plan.pool)
    return rows[order], scores[order]


def _halves(plan: Plan, candidates: Candidates, question: Question, dense: DenseIndex) -> list[Rows]:
    """Return the two rankings that RRF fuses."""
    nothing = np.zeros(0, np.int64)
    vector, sparse = question.vector, question.sparse
    return [
        nothing if vector is None else dense.top(vector, plan.fetch_k, candidates.allowed).rows,
        _top_sparse(sparse, candidates, plan.fetch_k)[0],
    ]


def _rrf_weights(plan: Plan) -> tuple[float, float]:
    return (1.0, 1.0) if plan.alpha is None else (plan.alpha, 1 - plan.alpha)


def _prior(sparse: SparseResult | None, candidates: Candidates, alpha: float) -> Prior | None:
    """Return the sparse half of the weighted sum, for allowed rows."""
    if sparse is None or not len(sparse.rows):
        return None
    allowed = candidates.allowed[sparse.rows]
    return Prior(sparse.rows[allowed], (1 - alpha) * sparse.scores[allowed] / sparse.bound)


def _explained(
    plan: Plan, candidates: Candidates, question: Question, dense: DenseIndex | None, ranked: list[Ranked]
) -> list[Ranked]:
    """Add to each hit the parts that its score is the sum of."""
    halves = _halves(plan, candidates, question, dense) if plan.fusion == "rrf" and dense is not None else []
    return [replace(hit, parts=_parts(plan, hit, question.sparse, halves)) for hit in ranked]


def _parts(plan: Plan, hit: Ranked, sparse: SparseResult | None, halves: Sequence[Rows]) -> Parts:
    cosine, bm25 = hit.dense or 0.0, hit.sparse or 0.0
    terms = {} if sparse is None else sparse.explain(hit.row)
    if plan.mode == "dense":
        return Parts(hit.score, 0.0, {}, f"cosine {cosine:.6f}")
    if plan.mode == "sparse" or hit.dense is None:
        return Parts(0.0, hit.score, terms, f"bm25 {bm25:.6f}")
    if plan.fusion == "rrf":
        places = [int(np.flatnonzero(half == hit.row)[0]) + 1 if hit.row in half else None for half in halves]
        shares = [
            0.0 if place is None else weight / (RRF_K + place)
            for place, weight in zip(places, _rrf_weights(plan), strict=True)
        ]
        return Parts(
            shares[0], shares[1], terms, f"rrf of dense rank {places[0]} and sparse rank {places[1]}, k {RRF_K}"
        )
    alpha, bound = plan.weight, 0.0 if sparse is None else sparse.bound
    share = (1 - alpha) * bm25 / bound if bound else 0.0
    formula = f"{alpha:g} * cosine {cosine:.6f} + {1 - alpha:g} * bm25 {bm25:.6f} / bound {bound:.6f}"
    return Parts(alpha * cosine, share, terms, formula)


def _sparse_scores(sparse: SparseResult, rows: Rows) -> Scores:
    """Return the BM25 score of each of ``rows``, 0 for one that holds no query term."""
    if not len(sparse.rows):
        return np.zeros(len(rows))
    at = np.minimum(np.searchsorted(sparse.rows, rows), len(sparse.rows) - 1)
    return np.where(sparse.rows[at] == rows, sparse.scores[at], 0.0)


def _vectors(dense: DenseIndex | None, rows: Rows) -> np.ndarray:
    if dense is None:
        raise InvalidInputError("diversity: this collection holds texts without vectors, so nothing can be compared")
    return dense.vectors(rows)


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidInputError(f"{name}: expected one of {', '.join(allowed)}; got {value!r}")


def _check_int(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InvalidInputError(f"{name}: expected an int of at least {least}, got {value!r}")


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or np.isnan(value):
        raise InvalidInputError(f"{name}: expected a number or None, got {value!r}")


def _check_key(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidInputError(f"{name}: expected a metadata key or None, got {value!r}")


def _check_share(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise InvalidInputError(f"{name}: expected a number from 0 to 1 or None, got {value!r}")
