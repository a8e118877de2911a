"""A second look at the best hits: how near the question's words stand to one another, or what a reranker says.

``"proximity"`` adds to each hit up to twice :data:`PART` of the scale: the share of the question's neighbouring word
pairs, by their weight, that stand side by side in the text, and the share that stand within :data:`NEAR` terms.

Anything else is a **reranker**: a function of a question and texts that returns a score for each, or a cross-encoder
(sentence-transformers' has ``predict``, LangChain's ``score``). Its scores take the place of the ranking's. What
contradicts the question still comes last, since a cross-encoder reads "denies chest pain" as being about chest pain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from bedside.errors import InvalidInputError
from bedside.remedies import Give
from bedside.search.options import SearchOptions
from bedside.search.pool import Pool, Question
from bedside.search.rank import RRF_K, Scores

PART = 0.05
"""What each of the two shares is worth: 0.1 gave +0.028 instead of +0.020 nDCG@10 on notes, and less on other sets."""
NEAR = 8
"""Terms: the length of a short clause."""
Pairs: TypeAlias = Mapping[tuple[str, str], float]


def reranked(options: SearchOptions, question: Question, pool: Pool) -> Pool:
    """Return the pool in the order of the second look."""
    if options.rerank is None or not len(pool.rows):
        return pool
    if options.rerank == "proximity":
        return pool.plus("proximity", _scale(options, question, pool) * _nearness(question, pool))
    return _by_reranker(scorer(options.rerank), question, pool)


def scorer(given: Any) -> Callable[[str, Sequence[str]], Any]:
    """Return the function of a question and texts that a reranker is, whatever it calls it."""
    for name in ("predict", "score"):
        if callable(score := getattr(given, name, None)):
            return lambda query, texts: score([(query, text) for text in texts])
    reranker: Callable[[str, Sequence[str]], Any] = given
    return reranker


def scores_of(count: int, found: Sequence[tuple[int, Any]]) -> list[float]:
    """Return a score for each of ``count`` texts from what a reranker returned, best first: their places and scores.

    Where not all have a score, their order decides; texts that were left out come after the others, in their order.

    Example:
        >>> scores_of(3, [(2, 0.9), (0, 0.4)])
        [0.4, -1.0, 0.9]
    """
    scored = all(isinstance(score, Real) for _, score in found)
    given = {at: float(score) if scored else 1 - place / count for place, (at, score) in enumerate(found)}
    lowest = min([0.0, *given.values()])
    left_out = [at for at in range(count) if at not in given]
    return [given.get(at, lowest - 1 - (left_out.index(at) if at in left_out else 0)) for at in range(count)]


def pairs_of(terms: Sequence[str], weights: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Return the neighbouring pairs of a question's terms and what each weighs; those of an unknown term have none."""
    found: dict[tuple[str, str], float] = {}
    for pair in pairwise(terms):
        if pair[0] != pair[1] and all(weights.get(term, 0.0) > 0 for term in pair):
            found[pair] = found.get(pair, 0.0) + weights[pair[0]] + weights[pair[1]]
    return found


def nearness(terms: Sequence[str], pairs: Pairs) -> float:
    """Return the share of the pairs, by weight, side by side in a text, plus the share within :data:`NEAR` terms.

    Example:
        >>> pairs = {("chest", "pain"): 3.0, ("pain", "exertion"): 1.0}
        >>> nearness(["chest", "pain", "on", "exertion"], pairs), nearness(["pain", "in", "the", "chest"], pairs)
        (1.75, 0.75)
    """
    places: dict[str, list[int]] = {term: [] for pair in pairs for term in pair}
    for at, term in enumerate(terms):
        if term in places:
            places[term].append(at)
    total = sum(pairs.values())
    beside = sum(w for (a, b), w in pairs.items() if not {at + 1 for at in places[a]}.isdisjoint(places[b]))
    near = sum(w for (a, b), w in pairs.items() if _meet(places[a], places[b]))
    return (beside + near) / total if total else 0.0


def _meet(ones: Sequence[int], others: Sequence[int]) -> bool:
    """Whether a place of one list is within :data:`NEAR` of one of the other; both ascend."""
    for at in ones:
        first = bisect_left(others, at - NEAR)
        if first < len(others) and others[first] <= at + NEAR:
            return True
    return False


def _nearness(question: Question, pool: Pool) -> Scores:
    if question.sparse is None or question.tokenize is None:
        raise InvalidInputError(
            "rerank: proximity goes by the words of the question, which a dense search does not look at",
            remedies=[Give("mode", "hybrid"), Give("mode", "sparse")],
        )
    pairs = pairs_of(question.tokenize(question.text or ""), question.sparse.weights)
    if not pairs:
        return np.zeros(len(pool.rows))
    texts = [document.text for document in pool.candidates.documents(pool.rows.tolist())]
    return PART * np.array([nearness(question.tokenize(text), pairs) for text in texts])


def _scale(options: SearchOptions, question: Question, pool: Pool) -> float:
    """Return the highest score that the ranking can give."""
    if pool.places:
        return sum(options.rank_shares.values()) / (RRF_K + 1)
    return question.sparse.bound if "dense" not in pool.parts and question.sparse is not None else 1.0


def _by_reranker(score: Callable[[str, Sequence[str]], Any], question: Question, pool: Pool) -> Pool:
    if question.text is None:
        raise InvalidInputError("rerank: a reranker reads the question, so a vector alone is not enough")
    texts = [document.text for document in pool.candidates.documents(pool.rows.tolist())]
    scores = np.asarray(score(question.text, texts), np.float64).reshape(-1)
    if len(scores) != len(texts) or not np.isfinite(scores).all():
        raise InvalidInputError(f"rerank: expected a finite score for each of {len(texts)} texts, got {len(scores)}")
    against = question.asserted.contradicted if question.asserted is not None else np.zeros(0, np.int64)
    loss = np.where(np.isin(pool.rows, against), -1.0 - np.ptp(scores), 0.0)
    parts = {"rerank": scores, "assertion": loss}
    changed = Pool(pool.rows, scores + loss, parts, pool.candidates)
    return changed.take(np.lexsort((pool.rows, -changed.scores)))
