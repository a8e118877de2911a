"""What a score means: how it came about, in numbers that sum to it and in one line, and its place on its scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bedside.search.options import SearchOptions
from bedside.search.pool import Pool, Question
from bedside.search.rank import RRF_K, Scores
from bedside.types import Explanation


def explanation(
    options: SearchOptions,
    question: Question,
    pool: Pool,
    at: int,
    cosine: float | None,
    bm25: float | None,
    scope: Mapping[str, str | int],
) -> Explanation:
    """Return the explanation of the pool's row at position ``at``."""
    row = int(pool.rows[at])
    parts = {name: float(values[at]) for name, values in pool.parts.items()}
    dense, sparse = parts.pop("dense", 0.0), parts.pop("sparse", 0.0)
    signals = {name: value for name, value in parts.items() if value}
    terms = {} if question.sparse is None else question.sparse.explain(row)
    negations = {} if question.asserted is None else question.asserted.negations(row)
    negated = {term: f"{times} of {count} negated" for term, (times, count) in negations.items()}
    formula = _formula(options, question, pool, at, cosine, bm25)
    added = {name: value for name, value in signals.items() if name != "rerank"}
    formula += "".join(f" {'-' if value < 0 else '+'} {name} {abs(value):.6f}" for name, value in added.items())
    if question.asserted is not None and row in question.asserted.contradicted:
        formula += f" ({'lower in each half: ' if pool.places else ''}{_listed(negated)})"
    if "dense" in pool.parts and not pool.candidates.exact:
        formula += ", of the candidates of an approximate index"
    return Explanation(dense, sparse, terms, formula, options.filter, scope, signals, negated)


def relevance(options: SearchOptions, question: Question, pool: Pool) -> Scores:
    """Return the scores of the pool from 0 to 1, by the lowest and the highest that its scale has."""
    if "rerank" in pool.parts:  # a reranker's own: probabilities, or else log-odds
        given = pool.parts["rerank"]
        shares = given if ((given >= 0) & (given <= 1)).all() else 1 / (1 + np.exp(-given))
        shares = np.where(pool.parts["assertion"] < 0, 0.0, shares)
    elif pool.places:
        shares = pool.scores * (RRF_K + 1) / sum(options.rank_shares.values())
    elif "dense" in pool.parts:
        shares = (pool.scores + 1) / 2
    else:
        bound = 0.0 if question.sparse is None else question.sparse.bound
        shares = pool.scores / (bound or 1.0)
    return np.minimum(np.maximum(shares, 0.0), 1.0)


def _listed(negated: Mapping[str, str]) -> str:
    return ", ".join(f"{term} {times}" for term, times in negated.items())


def _formula(
    options: SearchOptions, question: Question, pool: Pool, at: int, cosine: float | None, bm25: float | None
) -> str:
    if "rerank" in pool.parts:
        return f"rerank {pool.parts['rerank'][at]:.6f}"
    if pool.places:
        dense, sparse = (int(pool.places[half][at]) or None for half in ("dense", "sparse"))
        return f"rrf of dense rank {dense} and sparse rank {sparse}, k {RRF_K}"
    if "dense" not in pool.parts:
        return f"bm25 {bm25 or 0.0:.6f}"
    if options.halves == "dense":
        return f"cosine {cosine or 0.0:.6f}"
    alpha, bound = options.weight, 0.0 if question.sparse is None else question.sparse.bound
    return f"{alpha:g} * cosine {cosine or 0.0:.6f} + {1 - alpha:g} * bm25 {bm25 or 0.0:.6f} / bound {bound:.6f}"
