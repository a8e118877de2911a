"""``BedsideNoteRetriever``: whole notes for query and chat engines, each as one node."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index.vector_stores.bedside.base import BedsideVectorStore
from llama_index.vector_stores.bedside.note_verbs import NOTE_SEARCH_OPTIONS, own_metadata
from typing_extensions import override

from bedside.notes import NoteHit
from bedside.support.checks import check_int, check_known

__all__ = ["BedsideNoteRetriever"]


class BedsideNoteRetriever(BaseRetriever):
    """Retrieve notes that a store keeps as passages, by meaning and words: a node of each, with the note's id.

    Its metadata are the note's and ``source_id``, the id once more, as passages have it: LlamaIndex makes prompts of
    text and metadata, so this is what a model cites a note by.

    Args:
        vector_store: Opened with ``encoder=``, or of texts alone; its scope is the retriever's.
        similarity_top_k: How many notes at most.
        max_tokens: Of each note the best passages in so many tokens, with ``[…]`` where text is left out; ``None`` is
            the whole note.
        filters: Only passages that satisfy them count.
        callback_manager: LlamaIndex' own.
        **options: Other options of :meth:`BedsideVectorStore.search_notes`, such as ``min_score=``.

    Raises:
        UnknownOptionError: An argument is none of these, such as a misspelt filter.
        InvalidInputError: A number is out of its range.

    Example:
        >>> import bedside
        >>> store = BedsideVectorStore(encoder=bedside.load_encoder("bedside/static"))
        >>> store.add_note("HPI: Cough for 3 days. PLAN: Rest.", id="visit-1")
        'added'
        >>> [found.node.node_id for found in BedsideNoteRetriever(store).retrieve("cough")]
        ['visit-1']
    """

    def __init__(
        self,
        vector_store: BedsideVectorStore,
        *,
        similarity_top_k: int = 4,
        max_tokens: int | None = None,
        filters: MetadataFilters | None = None,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        check_int("similarity_top_k", similarity_top_k)
        check_int("max_tokens", max_tokens, 1, optional=True)
        check_known(
            "BedsideNoteRetriever", options, ["similarity_top_k", "max_tokens", "filters", *NOTE_SEARCH_OPTIONS]
        )
        self._store = vector_store
        self._max_tokens = max_tokens
        self._asked = {**options, "top_k": similarity_top_k, "filters": filters}
        super().__init__(callback_manager=callback_manager)

    @override
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._store.search_notes(query_bundle, **self._asked)
        found = [(hit, self._text(hit)) for hit in hits]
        return [NodeWithScore(node=_node(hit, text), score=hit.score) for hit, text in found if text is not None]

    @override
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _text(self, hit: NoteHit) -> str | None:
        """Give what is shown of a note; ``None`` where somebody has just deleted it."""
        if self._max_tokens is not None:
            return hit.context(max_tokens=self._max_tokens)
        note = self._store.get_note(hit.id)
        return None if note is None else note.text


def _node(hit: NoteHit, text: str) -> TextNode:
    """Give a node as every retriever of LlamaIndex does: a ``Document`` has no ``text`` beside its score."""
    return TextNode(id_=hit.id, text=text, metadata={**own_metadata(hit.metadata), "source_id": hit.id})
