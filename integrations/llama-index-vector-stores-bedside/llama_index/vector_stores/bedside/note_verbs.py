"""The verbs of whole notes: LlamaIndex' documents and filters on the core's verbs of the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import BaseNode, Document, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters
from llama_index.vector_stores.bedside.acting import as_tagged
from llama_index.vector_stores.bedside.filters import to_filter
from llama_index.vector_stores.bedside.nodes import NODE_KEY, listed
from llama_index.vector_stores.bedside.rerank import as_reranker

import bedside
from bedside.errors import InvalidDocumentError, InvalidInputError
from bedside.notes import NoteHit, context, filtered_notes
from bedside.notes.history import Version
from bedside.notes.notes import NoteChange
from bedside.search.options import NOTE_OPTIONS
from bedside.support.checks import check_known
from bedside.text.split import NoteSplitter

if TYPE_CHECKING:
    from bedside.intake import Intake

__all__ = ["NOTE_SEARCH_OPTIONS", "NoteVerbs", "own_metadata"]

NOTE_SEARCH_OPTIONS = [name for name in NOTE_OPTIONS if name not in ("top_k", "filter")]
"""Options of the core that a search for notes takes under their own names."""


class NoteVerbs:
    """What a store can be asked about whole notes, which it keeps as passages; see ``bedside.notes``.

    A note is a ``Document`` with its id. Its passages are nodes of the store too, and found by its queries. The
    passages are encoded by the store, which is opened with ``encoder=``.
    """

    if TYPE_CHECKING:
        _view: bedside.Collection
        _intake: Intake

    def add_note(
        self,
        text: str,
        *,
        id: str,
        metadata: Mapping[str, Any] | None = None,
        splitter: NoteSplitter | None = None,
        supersedes: str | Sequence[str] | None = None,
    ) -> NoteChange | None:
        """Add one note, or replace the one with its id; ``None`` where it was skipped; see :meth:`add_notes`."""
        links = None if supersedes is None else {id: supersedes}
        note = Document(text=text, id_=id, metadata=dict(metadata or {}))
        return self.add_notes([note], splitter=splitter, supersedes=links).get(id)

    @as_tagged
    def add_notes(
        self,
        notes: Sequence[BaseNode],
        *,
        splitter: NoteSplitter | None = None,
        supersedes: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, NoteChange]:
        """Split notes and add their passages, in place of those of notes with the same ids, in one transaction.

        A note that did not change is left as it is, and nothing of it is encoded.

        Args:
            notes: Documents with their ids; of a node, its text and metadata.
            splitter: How they are cut; ``None`` is into passages of up to 256 of the encoder's own tokens.
            supersedes: By the ids of some of them, the id or ids of the notes that they replace in searches with
                ``as_of``.

        Returns:
            ``"added"``, ``"replaced"`` or ``"unchanged"`` for each id that was not skipped.
        """
        given = self._intake.taken(self._view, [_of(note) for note in listed("notes", notes)])
        return self._intake.add_notes(self._view, given, splitter, supersedes)

    @as_tagged
    def get_note(self, id: str) -> Document | None:
        """Give a note as it was added, its text character for character; ``None`` if there is none.

        Raises:
            BrokenNoteError: Passages of it were deleted or replaced one by one.
        """
        note = self._view.get_note(id)
        return None if note is None else Document(text=note.text, id_=id, metadata=own_metadata(note.metadata))

    @as_tagged
    def history(self, id: str) -> list[Version]:
        """Give the versions that a note, or a node, is linked with by ``supersedes``, the newest first."""
        return self._view.history(id)

    @as_tagged
    def delete_note(self, id: str) -> bool:
        """Delete a note with all of its passages; says whether there was one."""
        return self._view.delete_note(id)

    @as_tagged
    def search_notes(
        self, query: str | QueryBundle, top_k: int = 10, *, filters: MetadataFilters | None = None, **options: Any
    ) -> list[NoteHit]:
        """Give the ``top_k`` best notes, each with its passages; :meth:`context` renders them for a prompt.

        A note's score is of its best passage's meaning and of the words of all of them.

        Args:
            query: The question, with an embedding or without. A blank one gives the notes that ``filters`` and ``ids``
                leave, unranked; without these, none.
            top_k: How many at most.
            filters: Only passages that satisfy them count.
            **options: The core's other options of ``search_notes``, such as ``mode=`` or ``as_of=``; ``rerank=`` takes
                a node postprocessor too.

        Raises:
            UnknownOptionError: Another argument.
            FilterError: The filters are not well formed.
        """
        check_known("search_notes", options, ["top_k", "filters", *NOTE_SEARCH_OPTIONS])
        bundle = QueryBundle(query) if isinstance(query, str) else query
        if not isinstance(bundle, QueryBundle):
            raise InvalidInputError(f"query: expected one text or a QueryBundle, got {type(query).__name__}")
        if top_k == 0:
            return []
        given = {**options, "top_k": top_k, "filter": to_filter(filters)}
        if "rerank" in options:
            given["rerank"] = as_reranker(options["rerank"])
        if not bundle.query_str.strip():
            return filtered_notes(self._view, **given)
        return self._view.search_notes(bundle.query_str, vector=bundle.embedding, **given)

    def context(self, notes: Iterable[NoteHit], *, max_tokens: int, **kwargs: Any) -> str:
        """Render found notes for a prompt, in at most ``max_tokens``; see ``bedside.notes.context``."""
        return context(notes, max_tokens=max_tokens, **kwargs)

    @as_tagged
    def scopes(self) -> list[tuple[dict[str, str | int], int]]:
        """Give every scope that holds nodes, and how many it holds.

        Raises:
            ScopeMismatch: This store is bound to one scope.
        """
        return self._view.scopes()

    async def aadd_notes(self, notes: Sequence[BaseNode], **kwargs: Any) -> dict[str, NoteChange]:
        """Do as :meth:`add_notes` without blocking the event loop."""
        return await asyncio.to_thread(self.add_notes, notes, **kwargs)

    async def aget_note(self, id: str) -> Document | None:
        """Do as :meth:`get_note` without blocking the event loop."""
        return await asyncio.to_thread(self.get_note, id)

    async def ahistory(self, id: str) -> list[Version]:
        """Do as :meth:`history` without blocking the event loop."""
        return await asyncio.to_thread(self.history, id)

    async def adelete_note(self, id: str) -> bool:
        """Do as :meth:`delete_note` without blocking the event loop."""
        return await asyncio.to_thread(self.delete_note, id)

    async def asearch_notes(self, query: str | QueryBundle, top_k: int = 10, **options: Any) -> list[NoteHit]:
        """Do as :meth:`search_notes` without blocking the event loop."""
        return await asyncio.to_thread(self.search_notes, query, top_k, **options)


def own_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give a note's own metadata, without what a LlamaIndex node carries besides."""
    return {key: value for key, value in metadata.items() if key != NODE_KEY}


def _of(note: object) -> bedside.Document:
    if not isinstance(note, BaseNode):
        raise InvalidDocumentError(f"notes: expected LlamaIndex documents, got {type(note).__name__}")
    if NODE_KEY in note.metadata:
        raise InvalidDocumentError(f"metadata.{NODE_KEY}: reserved for what LlamaIndex nodes carry besides metadata")
    return bedside.Document(note.get_content(), note.metadata, note.node_id)
