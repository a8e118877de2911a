"""Groups of documents or words that lie near each other, named by the terms that set each apart.

scikit-learn does the clustering; vectors are scaled to length 1 first, so near means a high cosine.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.analysis.annotate import write_back
from bedside.collection import Collection
from bedside.encoders.pooling import unit
from bedside.errors import InvalidInputError
from bedside.remedies import Call
from bedside.support.extras import needs
from bedside.text.lexicon import NEGATIONS
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import Document, FilterDict, Matrix, Vector

__all__ = ["Cluster", "Clustering", "Method", "cluster_documents", "cluster_vectors", "cluster_words", "documents_of"]

Method: TypeAlias = Literal["kmeans", "minibatch", "agglomerative", "hdbscan"]
"""How documents are put into clusters."""
METHODS: tuple[Method, ...] = get_args(Method)
NOISE = -1
"""The label of what HDBSCAN leaves in no cluster."""

_MOST_TRIED = 12  # clusters, where the number is to be found
_SAMPLE = 2_000  # rows of a silhouette: its cost grows with their square
_RESTARTS = 10
_MAX_PAIRWISE = 20_000  # rows: agglomerative keeps all distances, 1.6 GB of them there
_K1, _B = 1.2, 0.75  # BM25, as in the sparse index


@dataclass(frozen=True)
class Cluster:
    """One cluster.

    Attributes:
        label: 0 is the largest; -1 is what HDBSCAN left out.
        members: Document ids, or words.
        terms: What sets it apart, best first: for documents the terms with the highest BM25 weight in it over the
            rest, for words those nearest to its middle.
    """

    label: int
    members: tuple[str, ...]
    terms: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its label and terms in one line."""
        return f"{self.label}: {', '.join(self.terms)}" if self.terms else str(self.label)


@dataclass(frozen=True)
class Clustering:
    """All clusters of one call.

    Attributes:
        ids: Document ids, or words, in the order they came.
        labels: int64 ``[n]``, one for each of ``ids``.
        clusters: By label; what is in none comes last.
        silhouette: How much nearer each is to its own cluster than to the next, by cosine, in [-1, 1]; the mean over
            (a sample of) those in a cluster, ``None`` with fewer than two clusters.
        method: How they were found.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    clusters: tuple[Cluster, ...]
    silhouette: float | None
    method: Method

    def label_of(self, id: str) -> int:
        """The label of one document or word."""
        return int(self.labels[self.ids.index(id)])


class Words(Protocol):
    """Word vectors, such as :class:`bedside.words.WordVectors`."""

    @property
    def words(self) -> Sequence[str]: ...
    def vector(self, word: str) -> Vector:
        """The vector of a word."""
        ...

    def __contains__(self, word: object) -> bool: ...


def cluster_documents(
    records: Collection,
    k: int | None = None,
    *,
    method: Method = "kmeans",
    filter: FilterDict | None = None,
    terms: int = 5,
    seed: int = 0,
    write_to: str | None = None,
    **settings: Any,
) -> Clustering:
    """Cluster the documents of a collection, or of a scope.

    The same documents, arguments and seed give the same clusters.

    Args:
        records: A collection or a scoped view.
        k: How many clusters; ``None``: the number up to 12 with the best silhouette. HDBSCAN finds its own.
        method: ``"kmeans"``, ``"minibatch"`` (for many documents), ``"agglomerative"`` (average linkage by cosine, up
            to 20,000 documents) or ``"hdbscan"`` (by density; it leaves outliers out).
        filter: Only documents that satisfy it.
        terms: How many terms name a cluster.
        seed: Of the random starts.
        write_to: A metadata key to write each document's label to, as one transaction; one that another writer changed
            or deleted meanwhile is left as it is.
        **settings: More arguments for scikit-learn's class, such as ``min_cluster_size=5`` for HDBSCAN.

    Raises:
        InvalidInputError: An argument is out of its range, documents have no vectors, or there are fewer than two.
        MissingExtraError: scikit-learn is not installed.
        ScopeRequired: The collection has scope keys and this is not a scoped view.
        ScopeMismatch: ``write_to`` is a scope key.
    """
    if write_to is not None and not write_to:
        raise InvalidInputError(f"write_to={write_to!r}: expected a metadata key")
    documents, vectors = documents_of(records, filter)
    ids = tuple(str(document.id) for document in documents)
    labels, silhouette = cluster_vectors(vectors, k, method=method, seed=seed, **settings)
    named = _document_terms([document.text for document in documents], labels, terms)
    if write_to is not None:
        pairs = zip(documents, labels.tolist(), strict=True)
        write_back(records, {str(d.id): (d.text, {write_to: label}) for d, label in pairs})
    return Clustering(ids, labels, _clusters(ids, labels, named), silhouette, method)


def cluster_words(
    vectors: Words,
    words: Sequence[str] | None = None,
    k: int | None = None,
    *,
    method: Method = "kmeans",
    terms: int = 5,
    seed: int = 0,
    **settings: Any,
) -> Clustering:
    """Cluster words.

    Args:
        vectors: Word vectors.
        words: Which of them, unknown ones are left out; ``None``: the 2,000 most frequent.
        k: As in :func:`cluster_documents`.
        method: As there.
        terms: How many words name a cluster: those nearest to its middle.
        seed: Of the random starts.
        **settings: As there.

    Raises:
        InvalidInputError: An argument is out of its range, or fewer than two of the words are known.
        MissingExtraError: scikit-learn is not installed.
    """
    chosen = tuple(dict.fromkeys(w for w in (vectors.words[:2_000] if words is None else words) if w in vectors))
    rows = np.stack([vectors.vector(word) for word in chosen]) if chosen else np.empty((0, 1), np.float32)
    labels, silhouette = cluster_vectors(rows, k, method=method, seed=seed, **settings)
    named = {int(label): _central(chosen, rows, labels == label, terms) for label in np.unique(labels)}
    return Clustering(chosen, labels, _clusters(chosen, labels, named), silhouette, method)


def cluster_vectors(
    vectors: Matrix, k: int | None = None, *, method: Method = "kmeans", seed: int = 0, **settings: Any
) -> tuple[NDArray[np.int64], float | None]:
    """Cluster the rows of a matrix.

    Args:
        vectors: float32 ``[n, d]``.
        k: As in :func:`cluster_documents`.
        method: As there.
        seed: Of the random starts.
        **settings: As there.

    Returns:
        int64 labels ``[n]``, 0 for the largest cluster, and the silhouette.
    """
    _check(len(vectors), k, method, seed)
    rows = unit(np.asarray(vectors, dtype=np.float32))
    if method == "hdbscan" or k is not None:
        labels = _by_size(_fit(rows, k or 0, method, seed, settings))
        return labels, _silhouette(rows, labels, seed)
    tried = [
        _by_size(_fit(rows, count, method, seed, settings)) for count in range(2, min(_MOST_TRIED, len(rows) - 1) + 1)
    ]
    if not tried:
        return np.zeros(len(rows), np.int64), None
    scores = [_silhouette(rows, labels, seed) for labels in tried]
    best = max(range(len(tried)), key=lambda i: -2.0 if scores[i] is None else float(scores[i] or 0))
    return tried[best], scores[best]


def documents_of(
    records: Collection, filter: FilterDict | None = None, *, all_scopes: bool = False
) -> tuple[list[Document], Matrix]:
    """The documents that satisfy a filter, of every scope where that is asked, and their vectors ``[n, d]``.

    Raises:
        InvalidInputError: They have no vectors.
    """
    parts = records.views() if all_scopes else [records]
    documents = [document for part in parts for document in part.get(filter=filter or {}, include_vectors=True)]
    if any(document.vector is None for document in documents):
        raise InvalidInputError("the documents have no vectors", remedies=[Call("reembed", "with an encoder")])
    rows = [np.asarray(document.vector, dtype=np.float32) for document in documents]
    return documents, np.stack(rows) if rows else np.empty((0, 1), np.float32)


def _check(count: int, k: Any, method: str, seed: Any) -> None:
    if method not in METHODS:
        raise InvalidInputError(f"method={method!r}: expected one of {', '.join(METHODS)}")
    if count < 2:
        raise InvalidInputError(f"expected at least 2 vectors to cluster, got {count}")
    if k is not None and method == "hdbscan":
        raise InvalidInputError("k: HDBSCAN finds the number itself; give min_cluster_size= instead")
    if k is not None and (not isinstance(k, Integral) or not 1 <= int(k) <= count):
        raise InvalidInputError(f"k={k!r}: expected 1 to {count}, the number of vectors")
    if not isinstance(seed, Integral) or not 0 <= int(seed) < 2**32:
        raise InvalidInputError(f"seed={seed!r}: expected a whole number from 0 to 2**32 - 1")
    if method == "agglomerative" and count > _MAX_PAIRWISE:
        raise InvalidInputError(f"agglomerative: at most {_MAX_PAIRWISE} vectors, got {count}; use minibatch")


def _fit(rows: Matrix, k: int, method: Method, seed: int, settings: dict[str, Any]) -> NDArray[np.int64]:
    with needs("cluster"):
        from sklearn import cluster
    if method == "hdbscan":
        model: Any = cluster.HDBSCAN(**{"min_cluster_size": max(2, min(5, len(rows) // 2)), "copy": True} | settings)
    elif method == "agglomerative":
        model = cluster.AgglomerativeClustering(k, **{"metric": "cosine", "linkage": "average"} | settings)
    else:
        kind = cluster.KMeans if method == "kmeans" else cluster.MiniBatchKMeans
        model = kind(k, **{"random_state": seed, "n_init": _RESTARTS} | settings)
    return np.asarray(model.fit_predict(rows), dtype=np.int64)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the clusters by size, then by their first member, so that the order of the starts leaves no trace."""
    found, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    ranked = sorted((i for i in range(len(found)) if found[i] != NOISE), key=lambda i: (-sizes[i], first[i]))
    new = {int(found[i]): place for place, i in enumerate(ranked)} | {NOISE: NOISE}
    return np.array([new[label] for label in labels.tolist()], dtype=np.int64)


def _silhouette(rows: Matrix, labels: NDArray[np.int64], seed: int) -> float | None:
    kept = np.flatnonzero(labels != NOISE)
    if len(kept) > _SAMPLE:
        kept = np.sort(np.random.default_rng(seed).choice(kept, _SAMPLE, replace=False))
    if not 2 <= len(np.unique(labels[kept])) < len(kept):
        return None
    with needs("cluster"):
        from sklearn.metrics import silhouette_score
    return float(silhouette_score(rows[kept], labels[kept], metric="cosine"))


def _clusters(ids: Sequence[str], labels: NDArray[np.int64], terms: dict[int, tuple[str, ...]]) -> tuple[Cluster, ...]:
    members: dict[int, list[str]] = {}
    for id, label in zip(ids, labels.tolist(), strict=True):
        members.setdefault(label, []).append(id)
    ordered = sorted(members, key=lambda label: (label == NOISE, label))
    return tuple(Cluster(label, tuple(members[label]), terms.get(label, ())) for label in ordered)


def _central(words: Sequence[str], rows: Matrix, chosen: NDArray[np.bool_], count: int) -> tuple[str, ...]:
    inside = unit(rows[chosen])
    order = np.argsort(-(inside @ inside.mean(axis=0)), kind="stable")[:count]
    names = [word for word, use in zip(words, chosen, strict=True) if use]
    return tuple(names[i] for i in order)


def _document_terms(texts: Sequence[str], labels: NDArray[np.int64], count: int) -> dict[int, tuple[str, ...]]:
    """Per cluster, the terms whose mean BM25 weight inside it is most above that outside of it."""
    tokenizer = ClinicalTokenizer(stem=False)
    bags = [Counter(filter(_names, tokenizer.tokenize(text))) for text in texts]
    frequency = Counter(term for bag in bags for term in bag)
    average = sum(map(Counter.total, bags)) / max(1, len(bags)) or 1.0
    sums: dict[int, dict[str, float]] = {}
    total: dict[str, float] = defaultdict(float)
    for bag, label in zip(bags, labels.tolist(), strict=True):
        norm = _K1 * (1 - _B + _B * bag.total() / average)
        into = sums.setdefault(label, defaultdict(float))
        for term, tf in bag.items():
            df = frequency[term]
            weight = math.log1p((len(bags) - df + 0.5) / (df + 0.5)) * tf / (tf + norm)
            into[term] += weight
            total[term] += weight
    sizes = Counter(labels.tolist())
    return {label: _standing_out(inside, total, sizes[label], len(bags), count) for label, inside in sums.items()}


def _standing_out(inside: dict[str, float], total: dict[str, float], size: int, n: int, count: int) -> tuple[str, ...]:
    rest = max(1, n - size)
    gain = {term: weight / size - (total[term] - weight) / rest for term, weight in inside.items()}
    return tuple(sorted(gain, key=lambda term: (-gain[term], term))[:count])


def _names(term: str) -> bool:
    """Whether a term can name a cluster: a word of three letters or more that is not a negation."""
    return len(term) > 2 and term[0].isalpha() and term not in NEGATIONS
