"""``BedsideVectorStore``: a Bedside collection in LlamaIndex' words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from llama_index.vector_stores.bedside.acting import as_tagged
from llama_index.vector_stores.bedside.filters import to_filter
from llama_index.vector_stores.bedside.modes import (
    QueryOptions,
    asks_only_filters,
    check_query,
    search_arguments,
)
from llama_index.vector_stores.bedside.nodes import REF_DOC_ID, to_documents, to_node
from llama_index.vector_stores.bedside.note_verbs import NoteVerbs
from llama_index.vector_stores.bedside.persist_verbs import PersistVerbs
from llama_index.vector_stores.bedside.places import delete_document, delete_nodes
from typing_extensions import Self, override

from bedside import Collection, Encoder, Hit
from bedside.errors import InvalidInputError, ScopeMismatch
from bedside.intake import Intake, OnNan, OnUnstorable
from bedside.skipping import OnBadDocument, Skipped
from bedside.support.checks import check_known
from bedside.support.keys import KeySource

__all__ = ["BedsideVectorStore"]

Scope = Mapping[str, str | int]


class BedsideVectorStore(NoteVerbs, PersistVerbs, BasePydanticVectorStore):
    """Nodes on disk or in memory, found by meaning, by words, or by both, under filters and within a scope.

    A call that returns has been written to the disk; ``persist`` is only needed in memory, or for a
    ``StorageContext``. Adding a node whose id is there replaces it. The nodes that a query returns are whole: class,
    relationships, offsets, excluded keys and metadata of any depth. Scores are higher for better: the cosine in
    ``DEFAULT`` and ``MMR`` mode, BM25 in ``SPARSE`` and ``TEXT_SEARCH``, and their weighted sum on a fixed scale in
    ``HYBRID`` and ``SEMANTIC_HYBRID``. The learner modes and unknown ones are refused. Every error is a
    ``bedside.errors.BedsideError`` and leaves the collection as it was.

    Args:
        path: The collection's folder or URL, created if missing; ``None`` keeps the collection in memory. It is kept
            without a password, which another process must find by one of PostgreSQL's other ways.
        scope: The scope of every operation, such as ``{"patient_id": "A"}``. Its keys are the scope keys of a new
            collection.
        scope_keys: The scope keys of a new collection, where ``scope`` is not given because records of several scopes
            are written first; see :meth:`scoped`.
        encoder: The encoder behind the index' embedding model (``BedsideEmbedding(…).encoder``). LlamaIndex embeds
            outside of the store, so it may be left out; given, it is written down and another one is refused later.
        read_only: Never write, not even a lock file.
        on_unstorable: ``"convert"`` stores metadata in the one JSON form that is obvious (dates and times as ISO 8601,
            UUIDs and paths as text, tuples and numpy's values as lists and numbers) and a text's broken characters as
            U+FFFD; ``"raise"`` refuses them.
        on_nan: ``"raise"`` refuses a NaN in metadata, ``"null"`` stores ``None``.
        on_bad_document: ``"raise"`` refuses a call because of one node that cannot be stored, such as a blank one
            without an embedding; ``"skip"`` leaves it out and puts it, with the reason, into :attr:`skipped`.
        collection: An open collection to use instead of ``path``; it stays the caller's to close.
        key: The master key of an encrypted collection, as ``Collection.open`` takes it: 32 bytes, the name of an
            environment variable, a ``Path`` to a key file, or a function that returns 32 bytes. No dict of the store
            holds it; :meth:`from_dict` and the ``from_persist`` methods take it as ``key=``.

    Example:
        >>> from llama_index.core.schema import TextNode
        >>> store = BedsideVectorStore()
        >>> store.add([TextNode(id_="a-1", text="Chest pain on exertion.", embedding=[1.0, 0.0])])
        ['a-1']
        >>> store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=1)).similarities
        [1.0]
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    path: str | None = None
    scope: dict[str, str | int] | None = None
    read_only: bool = False
    on_unstorable: OnUnstorable = "convert"
    on_nan: OnNan = "raise"
    on_bad_document: OnBadDocument = "raise"

    _collection: Collection = PrivateAttr()
    _view: Collection = PrivateAttr()
    _intake: Intake = PrivateAttr()

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        scope: Scope | None = None,
        scope_keys: Sequence[str] = (),
        encoder: Encoder | None = None,
        read_only: bool = False,
        on_unstorable: OnUnstorable = "convert",
        on_nan: OnNan = "raise",
        on_bad_document: OnBadDocument = "raise",
        collection: Collection | None = None,
        key: KeySource | None = None,
    ) -> None:
        if scope is not None and not isinstance(scope, Mapping):
            raise InvalidInputError(f"scope: expected a dict such as {{'patient_id': 'A'}}, got {type(scope).__name__}")
        intake = Intake(on_unstorable, on_nan, on_bad_document)
        if collection is None:
            keys = scope_keys or tuple(scope or ())
            collection = Collection.open(path, encoder=encoder, scope_keys=keys, read_only=read_only, key=key)
        elif path is not None or encoder is not None or scope_keys or read_only or key is not None:
            raise InvalidInputError("collection: goes with scope= only; it has its path, key, encoder and scope keys")
        declared: dict[str, Any] = {
            "path": collection.place,
            "scope": dict(scope) if scope else None,
            "read_only": read_only,
        }
        super().__init__(**declared, **intake.settings)
        self._intake = intake
        self._collection = collection
        self._view = collection.scoped(**scope) if scope else collection

    @classmethod
    @override
    def class_name(cls) -> str:
        return "BedsideVectorStore"

    @property
    @override
    def client(self) -> Collection:
        """The collection, or the scope of it that this store is bound to, for what LlamaIndex has no word for."""
        return self._view

    def scoped(self, **scope: str | int) -> Self:
        """Give a store over the same collection that sees, writes and deletes one scope's records only.

        Raises:
            ScopeMismatch: This store has another scope already.
        """
        if self.scope is not None and self.scope != scope:
            raise ScopeMismatch("scoped: this store has a scope already, and it is another one")
        view = type(self)(collection=self._collection, scope=scope)
        view.read_only = self.read_only
        view.on_unstorable, view.on_nan, view.on_bad_document = self.on_unstorable, self.on_nan, self.on_bad_document
        view._intake = self._intake
        return view

    @property
    def skipped(self) -> list[Skipped]:
        """What ``on_bad_document="skip"`` left out since the list was last cleared, with place, id and reason."""
        return self._intake.skipped

    def close(self) -> None:
        """Close the collection; every later call raises ``CollectionClosedError``."""
        self._collection.close()

    @override
    @as_tagged
    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add or replace nodes in one transaction and give the ids of what was not skipped, in order.

        Of nodes with one id the last counts, as in LlamaIndex' own stores; it is logged.

        Args:
            nodes: With embeddings; without, where the store has an encoder.
            **kwargs: None is known: what an index was given by mistake, it passes on to here.

        Raises:
            UnknownOptionError: There is a keyword argument.
        """
        check_known("add", kwargs, ())
        return self._intake.add(self._view, self._intake.taken(self._view, to_documents(nodes)))

    @override
    @as_tagged
    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Give nodes with their embeddings: by ids in the order asked (missing ones skipped), by filters, or both.

        Neither gives every node that this store sees; ``node_ids=[]`` gives none.
        """
        chosen = to_filter(filters) or {}
        return [to_node(found) for found in self._view.get(node_ids, filter=chosen, include_vectors=True)]

    @override
    @as_tagged
    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of one document: those whose ``SOURCE`` it is, itself, and the passages of the note it is.

        In a divided store without a scope they are deleted from the one scope that holds them, so that a pipeline can
        replace a document.

        Raises:
            ScopeRequired: Several scopes hold nodes of it.
            UnknownOptionError: There is a keyword argument, such as a misspelt filter.
        """
        check_known("delete", delete_kwargs, ())
        of_note = {"source_id": {"$in": [ref_doc_id]}, "source_hash": {"$exists": True}}
        delete_document(self._view, {"$or": [{REF_DOC_ID: {"$in": [ref_doc_id]}}, of_note]})

    @override
    @as_tagged
    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes by ids, by filters, or those that satisfy both; ``node_ids=[]`` deletes none.

        In a divided store without a scope, each is deleted from the one scope that holds its id.

        Raises:
            InvalidInputError: There is neither an id list nor a filter: :meth:`clear` deletes everything.
            UnknownOptionError: There is another keyword argument, such as a misspelt filter.
            ScopeRequired: Several scopes hold an id, or there are only filters.
        """
        check_known("delete_nodes", delete_kwargs, ())
        delete_nodes(self._view, node_ids, to_filter(filters))

    @override
    @as_tagged
    def clear(self) -> None:
        """Delete every node that this store sees."""
        self._view.delete(filter={})

    @override
    @as_tagged
    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Answer a query with whole nodes, best first, at most as many as its mode's ``top_k`` says.

        ``node_ids``, ``doc_ids`` and ``filters`` all restrict; an empty ``node_ids`` does not. A blank question gives
        what the restriction leaves, in insertion order and without similarities, and nothing where there is none. So
        does a query without text and embedding that has a restriction. A ``top_k`` of 0 gives nothing.

        Args:
            query: ``alpha`` (0 is BM25 alone, 1 the cosine alone), ``sparse_top_k`` and ``hybrid_top_k`` count in
                their modes.
            **kwargs: The fields of ``QueryOptions``: ``mmr_threshold``, ``fetch_k``, ``fusion``, ``min_score``.

        Raises:
            InvalidInputError: The mode is not served, or an argument is unknown, missing or out of range.
            FilterError: The filters are not well formed.
        """
        check_query(query)
        question, options = search_arguments(query, QueryOptions.of(kwargs))
        if options["top_k"] == 0:
            return VectorStoreQueryResult(nodes=[], ids=[], similarities=[])
        if asks_only_filters(query):
            nodes = [to_node(document) for document in self._view.filtered(**options)]
            return VectorStoreQueryResult(nodes=nodes, ids=[node.node_id for node in nodes])
        hits = self._view.search(**question, **options)
        return VectorStoreQueryResult(
            nodes=[_found(hit) for hit in hits],
            similarities=[hit.score for hit in hits],
            ids=[hit.id for hit in hits],
        )

    @override
    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    @override
    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    @override
    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    @override
    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    @override
    async def aclear(self) -> None:
        await asyncio.to_thread(self.clear)

    @override
    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await asyncio.to_thread(self.query, query, **kwargs)


def _found(hit: Hit) -> BaseNode:
    """Give a hit's node; with ``collapse="copies"`` its metadata tell of copies, which no prompt is made of."""
    node = to_node(hit.document)
    node.metadata.update(hit.sightings)
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, *hit.sightings]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, *(["copies"] if hit.copies else [])]
    return node
