"""The verbs that the engine itself answers, the same on a whole collection and on one scope of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from bedside.arguments import SearchOptions, check_count, check_ids, check_path, check_selection, check_texts
from bedside.engine import Engine
from bedside.errors import InvalidInputError
from bedside.filters.parse import parse
from bedside.maintenance import EraseReceipt
from bedside.records import ScopeKey, check_vectors
from bedside.remedies import Give
from bedside.search import Ranked, make_plan
from bedside.types import (
    Document,
    Encoder,
    Explanation,
    FilterDict,
    Fusion,
    Hit,
    Matrix,
    Mode,
    Vector,
    VectorLike,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CoreVerbs(ABC):
    """What the engine answers: adding, reading, searching, counting and removing records."""

    _engine: Engine

    @property
    @abstractmethod
    def scope(self) -> Mapping[str, str | int]:
        """The scope keys and values that every verb is bound to; empty in a collection without scope keys."""

    @abstractmethod
    def _scope_key(self) -> ScopeKey:
        """Return the scope that is meant, or raise :class:`ScopeRequired`."""

    @abstractmethod
    def _scope_to_fill(self) -> ScopeKey | None:
        """Return the scope that added records get, or None where they bring their own."""

    @property
    def encoder(self) -> Encoder | None:
        """The text encoder that was given."""
        return self._engine.encoder

    @property
    def dimension(self) -> int | None:
        """Dimension of the vectors; ``None`` before it is known, 0 where texts are stored without vectors."""
        known = self._engine.manifest.dimension
        return known if known is not None or self.encoder is None else self.encoder.dimension

    @property
    def scope_keys(self) -> tuple[str, ...]:
        """The metadata keys that divide the collection."""
        return self._engine.manifest.scope_keys

    @property
    def closed(self) -> bool:
        """Whether :meth:`Collection.close` was called."""
        return self._engine.closed

    def add(self, documents: Iterable[Document | str]) -> list[str]:
        """Add documents, replacing those whose id is already there, as one transaction.

        Everything is checked, then encoded, then written; on any error nothing has changed. When the call returns,
        the records are on the disk.

        Args:
            documents: Documents or bare texts; any iterable, read once. A text without a vector is encoded.

        Returns:
            The ids, in the order given; a document without one gets a random one.

        Raises:
            InvalidDocumentError: Id, text or metadata cannot be stored.
            InvalidVectorError: Wrong dimension, not finite, or zero.
            DuplicateIdError: The same id twice in this call.
            ScopeRequired, ScopeMismatch: A record lacks a scope key, or names another scope than this view.
            EncoderRequired: A text without a vector, and no encoder.
            WriteFailedError: The disk refused.

        Example:
            >>> notes = Collection.open()
            >>> notes.add([Document("Denies chest pain.", {"section": "ROS"}, id="n1", vector=[0.6, 0.8])])
            ['n1']
        """
        return self._engine.add(documents, self._scope_to_fill())

    def get(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterDict | None = None,
        limit: int | None = None,
        offset: int = 0,
        include_vectors: bool = False,
    ) -> list[Document]:
        """Return documents.

        Args:
            ids: In the order asked; those that are not there are left out.
            filter: In insertion order; ``{}`` is everything. With ``ids``, both must hold.
            limit: At most so many.
            offset: Skip so many first.
            include_vectors: Fill in ``Document.vector``, float32 ``[d]``, bit for bit as it was given.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``.
            FilterError: The filter does not parse.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
        """
        ids = check_selection("get", ids, filter)
        check_count("limit", limit)
        check_count("offset", offset)
        found = self._engine.get(self._scope_key(), parse(filter), ids, offset, limit, vectors=include_vectors)
        return list(found)

    def delete(self, ids: Sequence[str] | None = None, *, filter: FilterDict | None = None) -> int:
        """Delete by id, by filter, or what satisfies both; as one transaction.

        The records can no longer be found, but their bytes stay in the log until :meth:`Collection.compact`;
        :meth:`erase` removes them at once.

        Returns:
            How many records were there to delete.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``. ``filter={}`` is everything, omission never is.
        """
        ids = check_selection("delete", ids, filter)
        return self._engine.delete(self._scope_key(), parse(filter), ids)

    def erase(self, ids: Sequence[str] | None = None, *, filter: FilterDict | None = None) -> EraseReceipt:
        """Delete records and leave no byte of their text, vectors or metadata in any file of the collection.

        The log is rewritten without them, cache and old log are deleted, and then every file in the folder is read in
        search of traces. What lies outside of the folder is outside of this promise: backups and snapshots, copies and
        exports, other processes' memory, and blocks that a file system or a solid-state disk has not yet overwritten.

        Returns:
            A receipt: what was erased, which files were scanned, and for how many traces.

        Raises:
            InvalidInputError: Neither ``ids`` nor ``filter``.
            TracesRemainError: A file still holds traces, such as a damaged log that a repair kept.
            WriteFailedError: The disk refused; the records are still there.
        """
        ids = check_selection("erase", ids, filter)
        return self._engine.erase(self._scope_key(), parse(filter), ids)

    def count(self, filter: FilterDict | None = None) -> int:
        """Count the documents that ``filter`` leaves; all of them without one."""
        node, scope = parse(filter), self._scope_key()
        with self._engine.reading() as index:
            return int(index.candidates(scope, node, None).allowed.sum())

    def facets(self, key: str, *, filter: FilterDict | None = None) -> list[tuple[Any, int]]:
        """Count the documents by the values of a metadata key, the most frequent value first.

        Args:
            key: A key, or a dotted path. A list counts once for each of its elements.
            filter: Only documents that satisfy it are counted.

        Returns:
            Pairs of value and count: ``True`` and ``1`` are two values here and would be one key of a dict.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("a", {"s": "HPI"}), Document("b", {"s": "HPI"}), Document("c", {"s": "ROS"})])
            >>> notes.facets("s")
            [('HPI', 2), ('ROS', 1)]
        """
        check_path("key", key)
        node, scope = parse(filter), self._scope_key()
        with self._engine.reading() as index:
            return list(index.columns.facets(key, index.candidates(scope, node, None).allowed))

    @overload
    def search(
        self,
        query: str | None = None,
        *,
        vector: Vector | Sequence[float] | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        query: list[str] | tuple[str, ...],
        *,
        vectors: Matrix | Sequence[VectorLike] | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[list[Hit]]: ...

    @overload
    def search(
        self, *, vectors: Matrix | Sequence[VectorLike], **options: Unpack[SearchOptions]
    ) -> list[list[Hit]]: ...

    def search(
        self,
        query: str | list[str] | tuple[str, ...] | None = None,
        *,
        vector: VectorLike | None = None,
        vectors: Matrix | Sequence[VectorLike] | None = None,
        top_k: int = 10,
        filter: FilterDict | None = None,
        mode: Mode | None = None,
        alpha: float | None = None,
        fusion: Fusion = "weighted",
        fetch_k: int | None = None,
        min_score: float | None = None,
        diversity: float | None = None,
        offset: int = 0,
        ids: Sequence[str] | None = None,
        group_by: str | None = None,
        explain: bool = False,
    ) -> list[Hit] | list[list[Hit]]:
        """Return the best documents for a query, best first, at most ``top_k``.

        Args:
            query: A text, or several for one answer each.
            vector: The query's vector, float32 ``[d]``, instead of encoding the text, or alone.
            vectors: The vectors of several queries, float32 ``[n, d]``, beside their texts or alone; one answer each.
            top_k: How many hits at most. Fewer is a valid answer.
            filter: Only documents that satisfy it are ranked.
            mode: ``"hybrid"``, ``"dense"`` or ``"sparse"``. ``None`` uses what the question offers: hybrid for a text,
                dense for a vector alone, sparse in a collection without vectors.
            alpha: Weight of the dense half in a hybrid search, 0 to 1; ``None`` is 0.6.
            fusion: ``"weighted"`` adds ``alpha * cosine`` and ``(1 - alpha) * bm25 / bound`` on a fixed scale;
                ``"rrf"`` fuses ranks, with weights 1 and 1 unless ``alpha`` is given.
            fetch_k: Pool of RRF and MMR, independent of ``top_k``; ``None`` is 100.
            min_score: Leave out hits below it; on the scale of the mode.
            diversity: Re-rank the pool by maximal marginal relevance: 0 is relevance alone, 1 difference alone.
                Scores stay those of relevance.
            offset: Skip so many hits, for paging.
            ids: Only these documents are ranked.
            group_by: Return the best hit of each value of this metadata key (or dotted path) only, such as one passage
                of each note. A document without it stands for itself.
            explain: Fill in :attr:`Hit.explanation`.

        Returns:
            Hits, or a list of hits for each of several texts or vectors. Ties go to the earlier document.

        Raises:
            InvalidInputError: An argument is out of its range, or the mode needs what was not given or is not stored.
            InvalidVectorError: A query's vector has the wrong dimension or shape, is not finite, or zero.
            EncoderRequired: A text must be encoded and there is no encoder.
            FilterError: The filter does not parse.
            ScopeRequired: The collection has scope keys and this is not a scoped view.

        Example:
            >>> notes = Collection.open()
            >>> _ = notes.add([Document("BP 120/80", vector=[1, 0]), Document("BP 160/95", vector=[0, 1])])
            >>> [hit.text for hit in notes.search("160/95", mode="sparse")]
            ['BP 160/95']
        """
        scope = self._scope_key()
        one = isinstance(query, str) or (query is None and vectors is None)
        texts = check_texts([query] if isinstance(query, str) else query)
        if (vectors if one else vector) is not None:
            raise InvalidInputError("search: a vector is for one query, vectors for a list of them or for none")
        given = self._check_query_vectors(vector, vectors)
        if not one and query is not None and given is not None and len(given) != len(texts):
            raise InvalidInputError(f"vectors: expected one for each of {len(texts)} queries, got {len(given)}")
        plan = make_plan(
            self._natural_mode(texts, given) if mode is None else mode,
            top_k=top_k,
            offset=offset,
            alpha=alpha,
            fusion=fusion,
            fetch_k=fetch_k,
            min_score=min_score,
            diversity=diversity,
            explain=explain,
            group_by=group_by,
        )
        if not one and not texts and (given is None or not len(given)):
            return []
        if not texts and (given is None or plan.mode != "dense"):
            raise InvalidInputError(
                f"search: mode {plan.mode!r} needs a query, dense alone a query or a vector",
                remedies=[Give("query"), *([Give("vector")] if plan.mode == "dense" else [])],
            )
        if ids is not None:
            ids = check_ids(ids)
        answers = self._engine.search(scope, parse(filter), ids, plan, texts, given)
        hits = [[_hit(ranked, document, filter, self.scope) for ranked, document in answer] for answer in answers]
        return hits[0] if one else hits

    def _natural_mode(self, texts: Sequence[str], vectors: Matrix | None) -> Mode:
        if not texts:
            return "dense"
        without_vectors = self.dimension == 0 or (self.dimension is None and vectors is None and self.encoder is None)
        return "sparse" if without_vectors else "hybrid"

    def _check_query_vectors(
        self, vector: VectorLike | None, vectors: Matrix | Sequence[VectorLike] | None
    ) -> Matrix | None:
        """Return the query vectors as ``[n, d]``, one row for ``vector``; no vectors are no rows."""
        if vector is not None:
            return check_vectors([vector], "vector", self.dimension or None)
        if vectors is None:
            return None
        if isinstance(vectors, Sequence) and not vectors:
            return np.zeros((0, 1), dtype=np.float32)
        return check_vectors(vectors, "vectors", self.dimension or None)

    def __contains__(self, id: object) -> bool:
        scope = self._scope_key()
        with self._engine.reading() as index:
            return isinstance(id, str) and index.row(scope, id) is not None

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents in insertion order, as they were when the iteration began."""
        return self._engine.get(self._scope_key(), None, None, 0, None, vectors=False)


def _hit(ranked: Ranked, document: Document, filter: FilterDict | None, scope: Mapping[str, str | int]) -> Hit:
    parts = ranked.parts
    explanation = (
        None if parts is None else Explanation(parts.dense, parts.sparse, parts.terms, parts.formula, filter, scope)
    )
    return Hit(document, ranked.score, ranked.dense, ranked.sparse, explanation)
