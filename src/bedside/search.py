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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from bedside.errors import InvalidInputError
from bedside.index.dense import DenseIndex, Prior
from bedside.index.sparse import SparseResult
from bedside.index.state import Candidates
from bedside.rank import DEFAULT_ALPHA, Rows, Scores, best, mmr, rrf
from bedside.types import Fusion, Mode, Vector

FETCH_K = 100
"""Default pool of RRF and MMR: deeper pools changed nDCG@10 by under 0.001 on the development sets."""


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
class Ranked:
    """One row of an answer."""

    row: int
    score: float
    dense: float | None
    sparse: float | None


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
) -> Plan:
    """Check the arguments of a search; raises :class:`InvalidInputError` naming the one that is wrong."""
    _check_choice("mode", mode, get_args(Mode))
    _check_choice("fusion", fusion, get_args(Fusion))
    _check_int("top_k", top_k, 1)
    _check_int("offset", offset, 0)
    _check_int("fetch_k", FETCH_K if fetch_k is None else fetch_k, 1)
    _check_share("alpha", alpha)
    _check_share("diversity", diversity)
    if min_score is not None and not isinstance(min_score, int | float | np.floating):
        raise InvalidInputError(f"min_score: expected a number or None, got {type(min_score).__name__}")
    if alpha in (0, 1) and mode == "hybrid":
        mode = "dense" if alpha == 1 else "sparse"
    return Plan(mode, top_k, offset, alpha, fusion, FETCH_K if fetch_k is None else fetch_k, min_score, diversity)


def rank(
    plan: Plan,
    candidates: Candidates,
    vector: Vector | None,
    sparse: SparseResult | None,
    dense: DenseIndex | None,
) -> list[Ranked]:
    """Return the rows that answer ``plan``, best first.

    Args:
        plan: What was asked.
        candidates: Whom it may answer with.
        vector: The query's, where ``plan.mode`` has a dense half.
        sparse: The query's BM25 over ``candidates.visible``, where ``plan.mode`` has a sparse half.
        dense: The vectors; ``None`` in a collection of texts without vectors.
    """
    rows, scores = _score(plan, candidates, vector, sparse, dense)
    if plan.min_score is not None:
        keep = scores >= plan.min_score
        rows, scores = rows[keep], scores[keep]
    if plan.diversity is not None and len(rows):
        chosen = mmr(scores, _vectors(dense, rows), plan.depth, plan.diversity)
        rows, scores = rows[chosen], scores[chosen]
    rows, scores = rows[plan.offset : plan.depth], scores[plan.offset : plan.depth]
    cosines = None if vector is None or dense is None else dense.cosines(vector, rows)
    matches = None if sparse is None else _sparse_scores(sparse, rows)
    return [
        Ranked(
            int(row),
            float(scores[i]),
            None if cosines is None else float(cosines[i]),
            None if matches is None else float(matches[i]),
        )
        for i, row in enumerate(rows)
    ]


def _score(
    plan: Plan,
    candidates: Candidates,
    vector: Vector | None,
    sparse: SparseResult | None,
    dense: DenseIndex | None,
) -> tuple[Rows, Scores]:
    """Return the best ``plan.pool`` rows and their scores, best first."""
    if plan.mode == "sparse" or vector is None or dense is None:
        return _top_sparse(sparse, candidates, plan.pool)
    if plan.mode == "dense" or sparse is None:
        top = dense.top(vector, plan.pool, candidates.allowed)
        return top.rows, top.scores
    if plan.fusion == "rrf":
        return _top_rrf(plan, candidates, vector, sparse, dense)
    top = dense.top(vector, plan.pool, candidates.allowed, plan.weight, _prior(sparse, candidates, plan.weight))
    return top.rows, top.scores


def _top_sparse(sparse: SparseResult | None, candidates: Candidates, k: int) -> tuple[Rows, Scores]:
    if sparse is None:
        return np.zeros(0, np.int64), np.zeros(0)
    allowed = candidates.allowed[sparse.rows]
    rows, scores = sparse.rows[allowed], sparse.scores[allowed]
    order = best(rows, scores, k)
    return rows[order], scores[order]


def _top_rrf(
    plan: Plan, candidates: Candidates, vector: Vector, sparse: SparseResult, dense: DenseIndex
) -> tuple[Rows, Scores]:
    halves = [
        dense.top(vector, plan.fetch_k, candidates.allowed).rows,
        _top_sparse(sparse, candidates, plan.fetch_k)[0],
    ]
    weights = (1.0, 1.0) if plan.alpha is None else (plan.alpha, 1 - plan.alpha)
    rows, scores = rrf(halves, weights)
    order = best(rows, scores, plan.pool)
    return rows[order], scores[order]


def _prior(sparse: SparseResult, candidates: Candidates, alpha: float) -> Prior | None:
    """Return the sparse half of the weighted sum, for allowed rows."""
    if not len(sparse.rows):
        return None
    allowed = candidates.allowed[sparse.rows]
    return Prior(sparse.rows[allowed], (1 - alpha) * sparse.scores[allowed] / sparse.bound)


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


def _check_share(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise InvalidInputError(f"{name}: expected a number from 0 to 1 or None, got {value!r}")
