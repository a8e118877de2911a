"""Choose the settings of a search on one half of the judged queries, and say what they are worth on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bedside.collection import Collection, SparseSettings
from bedside.engines.facts import own_alpha
from bedside.errors import InvalidInputError
from bedside.evaluation.metrics import Judgments, Report, evaluate, search_run
from bedside.evaluation.significance import Comparison, compare
from bedside.remedies import Give
from bedside.search.options import DEFAULT_ALPHA
from bedside.types import Document, Encoder, Mode, Vector

ALPHAS = tuple(round(i / 10, 1) for i in range(11))
K1S = (0.6, 0.9, 1.2, 1.6, 2.0)
BS = (0.3, 0.5, 0.75, 0.9)
_POOL = 100


@dataclass(frozen=True)
class SearchSettings:
    """What is chosen: ``Collection.set_alpha`` keeps ``alpha``, the others are decided when a collection is created."""

    alpha: float = DEFAULT_ALPHA
    k1: float = 1.2
    b: float = 0.75
    stem: bool = True


@dataclass(frozen=True)
class SearchTuning:
    """What was chosen on one half, and what it is worth on the other.

    Attributes:
        settings: The best on the first half.
        metric: What was maximised.
        tried: Settings and their value on the first half, in the order they were tried.
        comparison: Default settings (first; alpha is the encoder's own) against the chosen ones (second), on the other
            half.
        tuned_on: Query ids of the first half.
        measured_on: Query ids of the other.
    """

    settings: SearchSettings
    metric: str
    tried: tuple[tuple[SearchSettings, float], ...]
    comparison: Comparison
    tuned_on: tuple[str, ...]
    measured_on: tuple[str, ...]


def tune_search(
    documents: Sequence[Document],
    queries: Mapping[str, str],
    judgments: Judgments,
    encoder: Encoder | None = None,
    *,
    metric: str = "nDCG@10",
    share: float = 0.5,
    seed: int = 0,
    alphas: Sequence[float] = ALPHAS,
    k1s: Sequence[float] = K1S,
    bs: Sequence[float] = BS,
) -> SearchTuning:
    """Tune alpha, k1, b and stemming on a share of the queries, and test the outcome on the others.

    One setting after the other: stemming, k1 and b by BM25 alone, then alpha by the hybrid search. That a setting was
    the best of many on few queries proves nothing; the comparison on the other half does.

    Args:
        documents: With vectors, or with an encoder to make them.
        queries: Query id -> text.
        judgments: Query id -> document id -> grade.
        encoder: Encodes documents and queries once; ``None`` tunes BM25 alone.
        metric: To be maximised.
        share: Of the queries that settings are chosen on.
        seed: Of the division.
        alphas: To be tried.
        k1s: To be tried.
        bs: To be tried.

    Raises:
        InvalidInputError: Fewer than two judged queries, or a share that leaves one side empty.
    """
    ids = [id for id in queries if id in judgments]
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    cut = round(share * len(ids))
    if not 0 < cut < len(ids):
        raise InvalidInputError(
            f"of {len(ids)} judged queries, both sides need at least one", about=Give("share", share)
        )
    first, other = [ids[i] for i in sorted(order[:cut])], [ids[i] for i in sorted(order[cut:])]
    default = SearchSettings(alpha=_default_alpha(encoder))
    best, tried = replace(default, alpha=0.0), list[tuple[SearchSettings, float]]()
    choices: dict[str, Sequence[Any]] = {"stem": (True, False), "k1": k1s, "b": bs, "alpha": alphas if encoder else ()}
    with _Bench(documents, queries, judgments, encoder, metric) as bench:
        for name, values in choices.items():
            scored = [(s, bench.report(s, first)[metric]) for s in (replace(best, **{name: v}) for v in values)]
            tried += scored
            best = max(scored, key=lambda entry: entry[1], default=(best, 0.0))[0]
        chosen = bench.report(best, other)
        comparison = compare(bench.report(default, other), chosen, metric)
    return SearchTuning(best, metric, tuple(tried), comparison, tuple(first), tuple(other))


def _default_alpha(encoder: Encoder | None) -> float:
    if encoder is None:
        return 0.0
    return DEFAULT_ALPHA if (alpha := own_alpha(encoder)) is None else alpha


class _Bench:
    """Texts encoded once, and searched under many settings."""

    def __init__(
        self,
        documents: Sequence[Document],
        queries: Mapping[str, str],
        judgments: Judgments,
        encoder: Encoder | None,
        metric: str,
    ) -> None:
        self._queries, self._judgments, self._metric = queries, judgments, metric
        self._documents = list(documents)
        self._vectors: dict[str, Vector] = {}
        if encoder is not None:
            made = encoder.encode_documents([document.text for document in documents])
            self._documents = [replace(d, vector=v) for d, v in zip(documents, made, strict=True)]
            self._vectors = dict(zip(queries, encoder.encode_queries(list(queries.values())), strict=True))

        self._opened: tuple[SparseSettings, Collection] | None = None

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened:
            self._opened[1].close()

    def report(self, settings: SearchSettings, ids: Sequence[str]) -> Report:
        """Measure one choice on some of the queries."""
        vectors = np.stack([self._vectors[id] for id in ids]) if self._vectors and settings.alpha else None
        mode: Mode = "sparse" if vectors is None else "hybrid"
        collection = self._collection(SparseSettings(stem=settings.stem, k1=settings.k1, b=settings.b))
        asked = {id: self._queries[id] for id in ids}
        run = search_run(collection, asked, top_k=_POOL, vectors=vectors, mode=mode, alpha=settings.alpha)
        return evaluate(run, {id: self._judgments[id] for id in ids}, [self._metric])

    def _collection(self, sparse: SparseSettings) -> Collection:
        """The documents under these settings; only the last one is kept, which is what alpha's turn asks for."""
        if self._opened is None or self._opened[0] != sparse:
            self.__exit__()
            collection = Collection.open(sparse=sparse)
            self._opened = sparse, collection
            collection.add(self._documents)
        return self._opened[1]
