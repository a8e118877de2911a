"""``BedsideNoteRetriever``: whole notes for chains and agents, each as one document."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from pydantic import Field
from typing_extensions import override

import bedside
from bedside.notes import NoteHit
from langchain_bedside.acting import acting_as_configured
from langchain_bedside.convert import to_langchain
from langchain_bedside.retriever import BedsideRetriever
from langchain_bedside.vectorstore import BedsideVectorStore

__all__ = ["BedsideNoteRetriever"]


class BedsideNoteRetriever(BedsideRetriever):
    """Retrieve notes that :meth:`BedsideVectorStore.add_notes` stored: a document of each, with the note's id.

    Its metadata are the note's and ``source_id``, the id once more, as passages have it: LangChain makes prompts of
    text and metadata alone, so a ``document_prompt`` names a note by it, and an ``EnsembleRetriever`` joins by it.

    It has the fields of :class:`BedsideRetriever`, and takes them per call alike. ``search_kwargs`` and calls may say
    what :meth:`BedsideVectorStore.search_notes` takes.

    Attributes:
        max_tokens: Of each note the best passages in so many tokens, with ``[…]`` where text is left out; ``None`` is
            the whole note.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> store = BedsideVectorStore(DeterministicFakeEmbedding(size=8))
        >>> store.add_note("HPI: Cough for 3 days. PLAN: Rest.", id="visit-1", metadata={"kind": "clinic"})
        'added'
        >>> notes = BedsideNoteRetriever(vectorstore=store).invoke("rest")
        >>> notes[0].id, notes[0].page_content, notes[0].metadata
        ('visit-1', 'HPI: Cough for 3 days. PLAN: Rest.', {'kind': 'clinic', 'source_id': 'visit-1'})
    """

    max_tokens: int | None = Field(default=None, ge=1)

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        store = self._store(kwargs.pop("scope", None))
        max_tokens = kwargs.pop("max_tokens", self.max_tokens)
        arguments = self._arguments(kwargs)
        score_key = arguments.pop("score_key", None)
        with acting_as_configured(run_manager.metadata):
            found = [(hit, _text(store, hit, max_tokens)) for hit in store.search_notes(query, **arguments)]
        return [_document(hit, text, score_key) for hit, text in found if text is not None]

    @override
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        return await asyncio.to_thread(
            self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **kwargs
        )


def _text(store: BedsideVectorStore, hit: NoteHit, max_tokens: int | None) -> str | None:
    """Give what is shown of a note; ``None`` where somebody has just deleted it."""
    if max_tokens is not None:
        return hit.context(max_tokens=max_tokens)
    note = store.get_note(hit.id)
    return None if note is None else note.page_content


def _document(hit: NoteHit, text: str, score_key: str | None) -> Document:
    document = to_langchain(bedside.Document(text, {**hit.metadata, "source_id": hit.id}, hit.id))
    if score_key is not None:
        document.metadata[score_key] = hit.score
    return document
