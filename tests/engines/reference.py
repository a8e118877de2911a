"""What a search must return, from the definitions alone: float64, brute force, nothing of the package but its terms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bedside import Collection, Document
from bedside.text.tokenizer import ClinicalTokenizer

K1, B, RRF_K, ALPHA, FETCH_K = 1.2, 0.75, 60, 0.6, 100
Ranking = list[tuple[str, float]]
_terms = ClinicalTokenizer().tokenize


def everything(notes: Collection) -> list[tuple[Any, ...]]:
    """Every record in order, its vector as bytes."""
    found = notes.get(filter={}, include_vectors=True)
    return [(d.id, d.text, d.metadata, None if d.vector is None else d.vector.tobytes()) for d in found]


def bm25(corpus: Sequence[Document], query: str) -> tuple[dict[str, float], float]:
    """The score of each document by id, and the most that any could have: Lucene's variant."""
    rows = {document.id: _terms(document.text) for document in corpus}
    average = sum(map(len, rows.values())) / max(len(rows), 1)
    scores, bound = dict.fromkeys(rows, 0.0), 0.0
    for term, times in Counter(_terms(query)).items():
        df = sum(term in row for row in rows.values())
        idf = times * math.log(1 + (len(rows) - df + 0.5) / (df + 0.5))
        bound += idf if df else 0.0
        for id, row in rows.items():
            tf = row.count(term)
            scores[id] += idf * tf / (tf + K1 * (1 - B + B * len(row) / average)) if tf else 0.0
    return scores, bound


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float32).astype(np.float64), np.asarray(b, np.float32).astype(np.float64)
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def best_first(scores: dict[str, float]) -> Ranking:
    """Insertion order among equals; sorted() is stable."""
    return sorted(scores.items(), key=lambda item: -round(item[1], 9))


def search(
    corpus: Sequence[Document],
    query: str,
    vector: Any,
    *,
    mode: str = "hybrid",
    alpha: float | None = None,
    fusion: str = "weighted",
    allowed: Callable[[Document], bool] = lambda document: True,
    group: Callable[[Document], Any] | None = None,
    min_score: float = -math.inf,
    diversity: float | None = None,
    fetch_k: int | None = None,
    top_k: int = 10,
    offset: int = 0,
) -> Ranking:
    """The page that answers; statistics are those of the corpus, candidates those that are allowed."""
    weight = {"dense": 1.0, "sparse": 0.0}.get(mode, ALPHA if alpha is None else alpha)
    words, bound = bm25(corpus, query)
    chosen = {document.id: document for document in corpus if allowed(document)}
    meanings = {id: cosine(vector, document.vector) for id, document in chosen.items()}
    dense, sparse = best_first(meanings), best_first({id: words[id] for id in chosen if words[id] > 0})
    groups = {id: id if group is None else group(document) for id, document in chosen.items()}
    if fusion == "rrf" and 0 < weight < 1:
        shares = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        halves = [_firsts(half, groups)[: fetch_k or FETCH_K] for half in (dense, sparse)]
        ranking = _fused(halves, shares, groups, list(chosen))
    elif weight == 0:
        ranking = sparse
    else:
        share = (1 - weight) / bound if bound else 0.0
        ranking = best_first({id: weight * meanings[id] + share * words[id] for id in chosen})
    ranking = _firsts(ranking, groups)
    if diversity is not None:
        pool = [(id, score) for id, score in ranking[: fetch_k or max(FETCH_K, top_k + offset)] if score >= min_score]
        ranking = _diverse(pool, {id: document.vector for id, document in chosen.items()}, diversity)
    return [(id, score) for id, score in ranking if score >= min_score][offset : offset + top_k]


def _firsts(ranking: Ranking, groups: dict[str, Any]) -> Ranking:
    """The best of each group."""
    firsts: dict[Any, tuple[str, float]] = {}
    for id, score in ranking:
        firsts.setdefault(groups[id], (id, score))
    return list(firsts.values())


def _fused(halves: list[Ranking], shares: Sequence[float], groups: dict[str, Any], order: list[str]) -> Ranking:
    """Sums of ``share / (60 + rank)`` by group; the row of the half that gives more stands for it."""
    given: dict[Any, list[tuple[float, str]]] = {}
    for half, share in zip(halves, shares, strict=True):
        for rank, (id, _) in enumerate(half, 1):
            given.setdefault(groups[id], []).append((share / (RRF_K + rank), id))
    rows = {max(parts, key=lambda part: part[0])[1]: sum(part[0] for part in parts) for parts in given.values()}
    return best_first({id: rows[id] for id in order if id in rows})


def _diverse(pool: Ranking, vectors: dict[str, Any], diversity: float) -> Ranking:
    """Maximal marginal relevance: each step takes what is relevant and unlike those already taken."""
    left, taken = dict(pool), []
    while left:
        near = {id: max((cosine(vectors[id], vectors[other]) for other, _ in taken), default=0.0) for id in left}
        id = max(left, key=lambda id: round((1 - diversity) * left[id] - diversity * near[id], 9))
        taken.append((id, left.pop(id)))
    return taken
