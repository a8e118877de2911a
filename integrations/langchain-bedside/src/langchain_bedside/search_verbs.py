"""The search verbs of the vector store: LangChain's argument names on one call of the core's ``search``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from typing_extensions import override

import bedside
from bedside.types import Hit, VectorLike
from langchain_bedside.arguments import diversity_of, is_zero, one_text
from langchain_bedside.convert import to_langchain, to_scored
from langchain_bedside.encoder import aencode_query
from langchain_bedside.filters import as_filter
from langchain_bedside.options import SearchOptions
from langchain_bedside.store_retriever import BedsideVectorStoreRetriever

__all__ = ["SearchVerbs"]

Scored = list[tuple[Document, float]]


class SearchVerbs(VectorStore):
    """What a store that has a view, an embedding model and default options can be asked.

    Every search takes ``k`` and the options of :class:`SearchOptions`; any other keyword argument raises
    :class:`UnknownSearchArgumentError`.
    """

    _embedding: Embeddings | None
    _options: SearchOptions
    _view: bedside.Collection

    def _hits(
        self,
        query: str | None,
        vector: VectorLike | None,
        k: int,
        options: SearchOptions,
        diversity: float | None = None,
    ) -> list[Hit]:
        """Ask the collection; a blank question, such as a self-query's that is all filter, is answered unranked."""
        blank = query is not None and not one_text(query).strip()
        if is_zero(k):
            return []
        given = {**options.arguments(k, diversity), **self._narrow(options)}
        if blank:
            return [Hit(document, 1.0, relevance=1.0) for document in self._view.filtered(**given)]
        return self._view.search(query, vector=vector, **given)

    async def _ahits(self, query: str, k: int, options: SearchOptions, diversity: float | None = None) -> list[Hit]:
        needs_vector = one_text(query).strip() and options.core.mode != "sparse"
        vector = await aencode_query(self._embedding, query) if needs_vector else None
        return await asyncio.to_thread(self._hits, query, vector, k, options, diversity)

    def _narrow(self, options: SearchOptions) -> dict[str, Any]:
        """Give the core's search arguments for a filter; a function becomes the ids of what it lets pass."""
        given = options.filter
        if not callable(given):
            return {"filter": as_filter(given)}
        passed = [str(document.id) for document in self._view.stream() if given(to_langchain(document))]
        named = options.core.ids
        return {"ids": passed if named is None else [id for id in named if id in set(passed)]}

    @override
    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return _documents(self.similarity_search_with_score(query, k, **kwargs))

    @override
    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return _documents(await self.asimilarity_search_with_score(query, k, **kwargs))

    @override
    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Give the ``k`` best documents with their scores, higher is better.

        A blank question gives what filter and ids leave, in insertion order with scores of 1; without them, nothing.
        """
        options = self._options.updated(kwargs)
        return _scored(self._hits(query, None, k, options), options)

    @override
    async def asimilarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        options = self._options.updated(kwargs)
        return _scored(await self._ahits(query, k, options), options)

    @override
    def _similarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Give documents with the share of their scale that their scores reach, from 0 to 1."""
        options = self._options.updated(kwargs)
        return _relevant(self._hits(query, None, k, options), options)

    @override
    async def _asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        options = self._options.updated(kwargs)
        return _relevant(await self._ahits(query, k, options), options)

    @override
    def similarity_search_by_vector(self, embedding: VectorLike, k: int = 4, **kwargs: Any) -> list[Document]:
        return _documents(self.similarity_search_with_score_by_vector(embedding, k, **kwargs))

    def similarity_search_with_score_by_vector(self, embedding: VectorLike, k: int = 4, **kwargs: Any) -> Scored:
        """Give the ``k`` documents with the highest cosine to ``embedding`` [d], and the cosines."""
        options = self._dense_options(kwargs)
        return _scored(self._hits(None, embedding, k, options), options)

    async def asimilarity_search_with_score_by_vector(self, embedding: VectorLike, k: int = 4, **kwargs: Any) -> Scored:
        """Do as :meth:`similarity_search_with_score_by_vector` without blocking the event loop."""
        return await asyncio.to_thread(self.similarity_search_with_score_by_vector, embedding, k, **kwargs)

    @override
    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Give ``k`` of the ``fetch_k`` best documents: near the query and unlike each other.

        Args:
            query: The question.
            k: How many to give.
            fetch_k: How many to choose among; fewer than ``k`` give fewer than ``k``.
            lambda_mult: 1 is relevance alone, 0 is difference alone.
            **kwargs: Options of :class:`SearchOptions`.
        """
        options = self._options.updated({**kwargs, "fetch_k": fetch_k})
        return _documents(_scored(self._hits(query, None, k, options, diversity_of(lambda_mult)), options))

    @override
    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        options = self._options.updated({**kwargs, "fetch_k": fetch_k})
        return _documents(_scored(await self._ahits(query, k, options, diversity_of(lambda_mult)), options))

    @override
    def max_marginal_relevance_search_by_vector(
        self, embedding: VectorLike, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        options = self._dense_options({**kwargs, "fetch_k": fetch_k})
        return _documents(_scored(self._hits(None, embedding, k, options, diversity_of(lambda_mult)), options))

    @override
    def search(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """Search by one of LangChain's search types, or by ``"hybrid"``."""
        if search_type == "hybrid":
            return self.similarity_search(query, **{**kwargs, "retrieval_mode": "hybrid"})
        return super().search(query, search_type, **kwargs)

    @override
    async def asearch(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        if search_type == "hybrid":
            return await self.asimilarity_search(query, **{**kwargs, "retrieval_mode": "hybrid"})
        return await super().asearch(query, search_type, **kwargs)

    @override
    def as_retriever(self, **kwargs: Any) -> BedsideVectorStoreRetriever:
        """Give a retriever over one of four search types.

        ``search_type`` may be ``similarity``, ``mmr``, ``similarity_score_threshold`` or ``hybrid``.

        Args:
            **kwargs: ``search_type``, ``search_kwargs`` (``k`` and whatever that search takes), and a runnable's own.
        """
        tags = kwargs.pop("tags", None) or self._get_retriever_tags()
        return BedsideVectorStoreRetriever(vectorstore=self, tags=tags, **kwargs)

    def _dense_options(self, given: Mapping[str, Any]) -> SearchOptions:
        """Give the options of a search by vector: there is no text that a sparse half could use."""
        return self._options.updated({"retrieval_mode": "dense", **given})


def _scored(hits: list[Hit], options: SearchOptions) -> Scored:
    return [to_scored(hit, options.score_key) for hit in hits]


def _relevant(hits: list[Hit], options: SearchOptions) -> Scored:
    return [(to_scored(hit, options.score_key)[0], hit.relevance or 0.0) for hit in hits]


def _documents(scored: Scored) -> list[Document]:
    return [document for document, _ in scored]
