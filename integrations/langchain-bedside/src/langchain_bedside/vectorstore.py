"""``BedsideVectorStore``: a Bedside collection in LangChain's words, one core method behind each verb."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from typing_extensions import Self, override

import bedside
from bedside.errors import EncoderMismatch, InvalidInputError, ScopeMismatch
from bedside.types import Encoder, FilterDict, Fusion, Mode, VectorLike
from langchain_bedside.convert import from_texts, to_core, to_langchain
from langchain_bedside.encoder import aencode_documents, as_encoder
from langchain_bedside.filters import as_filter
from langchain_bedside.options import SearchOptions
from langchain_bedside.searches import SearchVerbs

__all__ = ["BedsideVectorStore"]

Scope = Mapping[str, str | int]


class BedsideVectorStore(SearchVerbs):
    """Documents on disk or in memory, found by meaning, by words, or by both, under filters and within a scope.

    Searches take ``k`` and the fields of :class:`SearchOptions` as keyword arguments; any other is refused. Scores are
    Python floats, higher is better: the cosine in dense mode, BM25 in sparse mode, and their weighted sum on a fixed
    scale in hybrid mode. Adding a document under an id that is there replaces it. Every error is a
    ``bedside.errors.BedsideError`` and leaves the collection as it was.

    Args:
        embedding: The embedding model. ``None`` serves a collection searched by words alone, or the encoder that
            ``collection`` already has.
        path: The collection's folder, created if missing; ``None`` keeps the collection in memory.
        scope: The scope of every operation, such as ``{"patient_id": "A"}``. Its keys are the scope keys of a new
            collection.
        scope_keys: The scope keys of a new collection, where ``scope`` is not given because records of several scopes
            are written first; see :meth:`scoped`.
        retrieval_mode: The default of every search: ``"dense"``, ``"sparse"`` or ``"hybrid"``.
        alpha: The default weight of the dense half in hybrid search; ``None`` is the collection's own.
        fusion: How hybrid search joins its halves: ``"weighted"`` or ``"rrf"``.
        collection: An open collection to use instead of ``path``; it stays the caller's to close.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> store = BedsideVectorStore(DeterministicFakeEmbedding(size=8))
        >>> store.add_texts(["Chest pain on exertion."], [{"section": "HPI"}], ids=["a-1"])
        ['a-1']
        >>> store.similarity_search("chest pain", k=1, filter={"section": "HPI"})[0].id
        'a-1'
    """

    def __init__(
        self,
        embedding: Embeddings | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        scope: Scope | None = None,
        scope_keys: Sequence[str] = (),
        retrieval_mode: Mode = "dense",
        alpha: float | None = None,
        fusion: Fusion = "weighted",
        collection: bedside.Collection | None = None,
    ) -> None:
        self._embedding = embedding
        self._options = SearchOptions(retrieval_mode, alpha, fusion)
        self._scope = dict(scope) if scope else None
        encoder = as_encoder(embedding) if embedding is not None else None
        if collection is None:
            keys = tuple(scope_keys) or tuple(self._scope or ())
            collection = bedside.Collection.open(path, encoder=encoder, scope_keys=keys)
        else:
            _check_given(collection, encoder, path)
        self._collection = collection
        self._view = collection.scoped(**self._scope) if self._scope else collection

    @property
    @override
    def embeddings(self) -> Embeddings | None:
        return self._embedding

    @property
    def collection(self) -> bedside.Collection:
        """The collection itself, unscoped, for what LangChain has no word for."""
        return self._collection

    def scoped(self, **scope: str | int) -> BedsideVectorStore:
        """Give a store over the same collection that sees, writes and deletes one scope's records only.

        Raises:
            ScopeMismatch: This store has another scope already.
        """
        if self._scope is not None and self._scope != scope:
            raise ScopeMismatch("scoped: this store has a scope already, and it is another one")
        options = self._options
        return type(self)(
            self._embedding,
            collection=self._collection,
            scope=scope,
            retrieval_mode=options.retrieval_mode,
            alpha=options.alpha,
            fusion=options.fusion,
        )

    def close(self) -> None:
        """Close the collection; every later call raises ``CollectionClosedError``."""
        self._collection.close()

    @override
    def add_documents(
        self, documents: Iterable[Document], *, ids: Iterable[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add or replace documents in one transaction and give their ids, in order.

        Args:
            documents: Any iterable; the documents are not changed.
            ids: One for each document; ``None`` among them leaves the document's own id, or has one made.
            **kwargs: Accepted and not used, because ``index()`` passes ``batch_size``.
        """
        return self._view.add(to_core(documents, ids))

    @override
    async def aadd_documents(
        self, documents: Iterable[Document], *, ids: Iterable[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        given = list(documents)
        vectors = await aencode_documents(self._embedding, [document.page_content for document in given])
        return await asyncio.to_thread(lambda: self._view.add(to_core(given, ids, vectors)))

    @override
    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        return self.add_documents(from_texts(texts, metadatas), ids=ids, **kwargs)

    @override
    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        return await self.aadd_documents(from_texts(texts, metadatas), ids=ids, **kwargs)

    def add_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, VectorLike]],
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
    ) -> list[str]:
        """Add texts whose vectors are at hand; nothing is embedded.

        Args:
            text_embeddings: Pairs of a text and its vector ``[d]``, stored as float32.
            metadatas: One for each text.
            ids: One for each text.
        """
        pairs = list(text_embeddings)
        documents = from_texts([text for text, _ in pairs], metadatas)
        return self._view.add(to_core(documents, ids, [vector for _, vector in pairs]))

    def update_documents(self, ids: Sequence[str], documents: Sequence[Document]) -> None:
        """Replace documents that are there.

        Raises:
            InvalidInputError: An id is not in the store, or there are more ids than documents or fewer.
        """
        self._check_known(ids)
        self.add_documents(documents, ids=ids)

    async def aupdate_documents(self, ids: Sequence[str], documents: Sequence[Document]) -> None:
        """Do as :meth:`update_documents` without blocking the event loop."""
        await asyncio.to_thread(self._check_known, ids)
        await self.aadd_documents(documents, ids=ids)

    def _check_known(self, ids: Sequence[str]) -> None:
        if missing := [id for id in ids if id not in self._view]:
            raise InvalidInputError(f"ids: {len(missing)} of {len(ids)} are not in the store; add_documents adds them")

    @override
    def delete(self, ids: Sequence[str] | None = None, *, filter: FilterDict | None = None, **kwargs: Any) -> bool:
        """Delete by ids, by filter, or what satisfies both; ids that are not there are passed over.

        Raises:
            InvalidInputError: Neither is given. ``delete(filter={})`` deletes everything that this store sees.
        """
        self._view.delete(ids, filter=as_filter(filter))
        return True

    @override
    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        return self.get(ids)

    def get(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterDict | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Document]:
        """Give documents by ids (in the order asked, missing ones skipped), by filter (in insertion order), or both.

        Raises:
            InvalidInputError: Neither is given; ``get(filter={})`` gives everything that this store sees.
        """
        found = self._view.get(ids, filter=as_filter(filter), limit=limit, offset=offset)
        return [to_langchain(document) for document in found]

    async def aget(self, ids: Sequence[str] | None = None, **kwargs: Any) -> list[Document]:
        """Do as :meth:`get` without blocking the event loop."""
        return await asyncio.to_thread(self.get, ids, **kwargs)

    def count(self, filter: FilterDict | None = None) -> int:
        """Count the documents that satisfy ``filter``, or all that this store sees."""
        return self._view.count(as_filter(filter))

    async def acount(self, filter: FilterDict | None = None) -> int:
        """Do as :meth:`count` without blocking the event loop."""
        return await asyncio.to_thread(self.count, filter)

    @classmethod
    @override
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a store with the constructor's arguments and add texts to it."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    @override
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        store = await asyncio.to_thread(cls, embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store


def _check_given(collection: bedside.Collection, encoder: Encoder | None, path: str | os.PathLike[str] | None) -> None:
    """Refuse a path beside an open collection, and a model beside that with which it was opened."""
    if path is not None:
        raise InvalidInputError("path and collection: give the one or the other")
    if encoder is not None and _identity(encoder) != _identity(collection.encoder):
        raise EncoderMismatch(
            "embedding and collection: the collection was opened with another encoder, or with none; open it with "
            "encoder=as_encoder(embedding)"
        )


def _identity(encoder: Encoder | None) -> str | None:
    return None if encoder is None else encoder.fingerprint or encoder.name
