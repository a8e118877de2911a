"""The record verbs of the vector store: adding, replacing, deleting and reading documents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from typing_extensions import override

import bedside
from bedside.errors import InvalidInputError
from bedside.intake import Intake
from bedside.skipping import Skipped
from bedside.support.checks import check_known
from bedside.text.analyzer import title_of
from bedside.types import FilterDict, VectorLike
from langchain_bedside.convert import from_texts, to_core, to_langchain
from langchain_bedside.encoder import aencode_documents
from langchain_bedside.filters import as_filter

__all__ = ["RecordVerbs"]

_PASSED_ON = ("ids", "batch_size", "current_time")


class RecordVerbs(VectorStore):
    """What a store that has a view and an embedding model can be given, and gives back.

    A call that adds or deletes is one transaction: an error leaves everything as it was.
    """

    _embedding: Embeddings | None
    _view: bedside.Collection
    _intake: Intake

    @property
    def skipped(self) -> list[Skipped]:
        """What ``on_bad_document="skip"`` left out since the list was last cleared, with place, id and reason."""
        return self._intake.skipped

    @override
    def add_documents(
        self, documents: Iterable[Document], *, ids: Iterable[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add or replace documents in one transaction and give the ids of what was not skipped, in order.

        Of documents with one id the last counts, as in LangChain's own stores; it is logged.

        Args:
            documents: Any iterable; the documents are not changed.
            ids: One for each document; ``None`` among them leaves the document's own id, or has one made.
            **kwargs: None counts; ``batch_size`` of ``index()`` and ``current_time`` of the time-weighted retriever
                may be there.

        Raises:
            UnknownSearchArgumentError: There is another keyword argument, such as a misspelt ``metadatas``.
        """
        check_known("add_documents", kwargs, _PASSED_ON)
        return self._intake.add(self._view, self._intake.taken(self._view, to_core(documents, ids)))

    @override
    async def aadd_documents(
        self, documents: Iterable[Document], *, ids: Iterable[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        check_known("aadd_documents", kwargs, _PASSED_ON)
        given = self._intake.taken(self._view, to_core(documents, ids))
        # The collection encodes titles apart from texts, which it does off the event loop.
        titled = any(title_of(document.metadata, self._view.facts.title) for document in given)
        model = None if titled else self._embedding
        if (vectors := await aencode_documents(model, [document.text for document in given])) is not None:
            given = [replace(document, vector=vector) for document, vector in zip(given, vectors, strict=True)]
        return await asyncio.to_thread(self._intake.add, self._view, given)

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
        given = to_core(documents, ids, [vector for _, vector in pairs])
        return self._intake.add(self._view, self._intake.taken(self._view, given))

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
            UnknownSearchArgumentError: There is another keyword argument, such as a misspelt filter.
        """
        check_known("delete", kwargs, ("ids", "filter"))
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
        as_of: date | str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Document]:
        """Give documents by ids (in the order asked, missing ones skipped), by filter (in insertion order), or both.

        With ``as_of``, only what was valid then, whatever the store's default for searches is.

        Raises:
            InvalidInputError: Neither is given; ``get(filter={})`` gives everything that this store sees.
        """
        found = self._view.get(ids, filter=as_filter(filter), as_of=as_of, limit=limit, offset=offset)
        return [to_langchain(document) for document in found]

    async def aget(self, ids: Sequence[str] | None = None, **kwargs: Any) -> list[Document]:
        """Do as :meth:`get` without blocking the event loop."""
        return await asyncio.to_thread(self.get, ids, **kwargs)

    def count(self, filter: FilterDict | None = None, *, as_of: date | str | None = None) -> int:
        """Count the documents that satisfy ``filter``, or all; with ``as_of``, as for :meth:`get`."""
        return self._view.count(as_filter(filter), as_of=as_of)

    async def acount(self, filter: FilterDict | None = None, **kwargs: Any) -> int:
        """Do as :meth:`count` without blocking the event loop."""
        return await asyncio.to_thread(self.count, filter, **kwargs)
