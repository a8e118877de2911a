"""A vectra index in memory, answering as vectra 0.15.0 does: for checking a migration against the old answers."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidVectorError
from bedside.formats.vectra.documents import CodeUnits, Tokenizer, VectraChunk, VectraDocument
from bedside.formats.vectra.files import Folder, Item, norm
from bedside.formats.vectra.filter import matches
from bedside.formats.vectra.keywords import bm25
from bedside.formats.vectra.offsets import cut
from bedside.formats.vectra.read import CHUNK_KEYS
from bedside.support.checks import check_int


@dataclass(frozen=True)
class VectraHit:
    """One of vectra's results.

    Attributes:
        id: The item's.
        score: vectra's cosine; NaN for a zero vector, and infinite where the stored norm overflowed.
        metadata: All of the item's metadata; of a hit by words, what the index file holds.
        is_bm25: It was found by words: its score is BM25's and is on another scale.
    """

    id: str
    score: float
    metadata: Mapping[str, Any]
    is_bm25: bool = False


class VectraIndex:
    """Reads a vectra folder and answers filters and vector queries exactly as vectra does.

    Args:
        path: The folder.

    Raises:
        UnreadableFileError: The folder is none of vectra's, or a file in it is damaged.

    Example:
        >>> import tempfile
        >>> from bedside.formats.vectra import write_documents
        >>> folder = tempfile.mkdtemp()
        >>> write_documents(folder, [Document("BP 120/80.", {"ward": "icu"}, id="n1", vector=[0.6, 0.8])])
        1
        >>> VectraIndex(folder).query([0.0, 2.0], filter={"ward": {"$ne": "er"}})[0].id
        'n1'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = Folder(Path(path))
        self.items: Sequence[Item] = list(self._folder.items())

    def ids(self, filter: Mapping[str, Any] | None = None) -> list[str]:
        """The ids of the items that vectra selects, in its order.

        Raises:
            FilterError: The filter is one that vectra itself fails on.
        """
        return [item.id for item in self._selected(filter)]

    def query(
        self,
        vector: Sequence[float] | NDArray[Any],
        top_k: int = 10,
        filter: Mapping[str, Any] | None = None,
        text: str | None = None,
    ) -> list[VectraHit]:
        """The items nearest by vectra's cosine, best first; ties fall as vectra's heap leaves them.

        vectra compares vectors of different lengths by the numbers that both have, but divides by their whole norms.

        Args:
            vector: ``[d]``.
            top_k: How many at most.
            filter: In vectra's language.
            text: For vectra's hybrid query: up to ``top_k`` of the chunks that were not found by vector, ranked by
                this text's words, follow those that were. See :mod:`bedside.formats.vectra.keywords`.

        Raises:
            FilterError: The filter is one that vectra itself fails on.
            InvalidInputError: A hybrid query with fewer than three chunks left, on which vectra fails too.
            InvalidVectorError: The vector is not a list of numbers.
        """
        check_int("top_k", top_k, optional=True)
        query, items = _vector(vector), self._selected(filter)
        length = norm(query)
        kept = _best([_cosine(query, length, item) for item in items], top_k)
        hits = [VectraHit(items[i].id, score, self._folder.metadata(items[i])) for i, score in kept]
        if text is None:
            return hits
        rest = self._chunks(items, {i for i, _ in kept})
        return hits + [VectraHit(items[i].id, score, items[i].metadata, True) for i, score in bm25(rest, text, top_k)]

    def query_documents(
        self,
        vector: Sequence[float] | NDArray[Any],
        *,
        max_documents: int = 10,
        max_chunks: int = 50,
        filter: Mapping[str, Any] | None = None,
        text: str | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> list[VectraDocument]:
        """The documents of the best chunks, best first by the mean of their scores; vectra's ``queryDocuments``.

        Args:
            vector: ``[d]``, of the query.
            max_documents: How many at most.
            max_chunks: How many chunks are looked at; as many again of a hybrid query.
            filter: In vectra's language, on the chunks' metadata.
            text: For a hybrid query.
            tokenizer: For rendering sections; ``None`` counts UTF-16 code units.

        Raises:
            FilterError: The filter is one that vectra itself fails on.
            InvalidInputError: A hybrid query with fewer than three chunks left, on which vectra fails too.
            InvalidVectorError: The vector is not a list of numbers.
            UnreadableFileError: The folder is no document index, or a file of it is damaged.
        """
        check_int("max_documents", max_documents, optional=True)
        found: dict[str, list[VectraChunk]] = {}
        for hit in self.query(vector, max_chunks, filter, text):
            if (place := _place(hit.metadata)) is not None:
                id, first, last = place
                found.setdefault(id, []).append(VectraChunk(hit.id, first, last, hit.score, hit.is_bm25))
        catalog = self._folder.catalog()
        uris = catalog.uris if catalog else {}
        documents = [
            VectraDocument(id, uris.get(id, id), self._folder.text(id), chunks, tokenizer or CodeUnits())
            for id, chunks in found.items()
        ]
        return sorted(documents, key=lambda document: -document.score)[:max_documents]

    def _chunks(self, items: Sequence[Item], but: Collection[int]) -> dict[int, str]:
        """The text of each item that is a chunk, by its row; vectra goes by the index file's metadata."""
        load = lru_cache(maxsize=4)(self._folder.text)  # a document's chunks stand together
        places = {i: _place(item.metadata) for i, item in enumerate(items) if i not in but}
        return {i: cut(load(place[0]), *place[1:]) for i, place in places.items() if place is not None}

    def _selected(self, filter: Mapping[str, Any] | None) -> list[Item]:
        return [item for item in self.items if matches(item.metadata, filter)]


def _place(metadata: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Where a chunk's text is: its document, and the first and last code unit; None of an item that is no chunk."""
    id, first, last = (metadata.get(key) for key in CHUNK_KEYS)
    return (str(id), first, last) if id is not None and type(first) is int and type(last) is int else None


def _vector(values: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidVectorError("vector: expected numbers") from None
    if vector.ndim != 1:
        raise InvalidVectorError(f"vector: expected shape [d], got {list(vector.shape)}")
    return vector


def _cosine(query: NDArray[np.float64], length: float, item: Item) -> float:
    if length == 0 or item.norm == 0:
        return math.nan
    both = min(len(query), len(item.vector))
    with np.errstate(all="ignore"):
        # A norm that JSON could not hold is null, which JavaScript multiplies as 0.
        return float(np.dot(query[:both], item.vector[:both]) / np.float64(length * (item.norm or 0.0)))


def _best(scores: Sequence[float], top_k: int) -> list[tuple[int, float]]:
    """Rows and scores of the best, through a heap of ``top_k`` with the worst on top.

    The heap decides which of several equal scores stay and in which order they are sorted, NaN among them.
    """
    heap: list[tuple[int, float]] = []
    for row, score in enumerate(scores):
        if len(heap) < top_k:
            heap.append((row, score))
            _rise(heap)
        elif heap and score > heap[0][1]:
            heap[0] = (row, score)
            _sink(heap)
    return sorted(heap, key=cmp_to_key(_descending))


def _descending(a: tuple[int, float], b: tuple[int, float]) -> int:
    """JavaScript's ``b - a`` as a comparison: NaN is a tie, and so is infinity with itself."""
    return int(b[1] > a[1]) - int(b[1] < a[1])


def _rise(heap: list[tuple[int, float]]) -> None:
    place = len(heap) - 1
    while place > 0:
        parent = (place - 1) // 2
        if not heap[parent][1] > heap[place][1]:
            return
        heap[parent], heap[place] = heap[place], heap[parent]
        place = parent


def _sink(heap: list[tuple[int, float]]) -> None:
    place = 0
    while True:
        smallest = place
        for child in (2 * place + 1, 2 * place + 2):
            if child < len(heap) and heap[child][1] < heap[smallest][1]:
                smallest = child
        if smallest == place:
            return
        heap[place], heap[smallest] = heap[smallest], heap[place]
        place = smallest
