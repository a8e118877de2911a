"""The verbs of whole notes: LangChain's documents and argument names on the core's verbs of the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

import bedside
from bedside.intake import Intake
from bedside.notes import NoteHit, context, filtered_notes
from bedside.notes.history import Version
from bedside.notes.notes import NoteChange
from langchain_bedside.arguments import diversity_of, is_zero, one_text
from langchain_bedside.convert import to_core, to_langchain
from langchain_bedside.options import SearchOptions

if TYPE_CHECKING:
    from langchain_bedside.splitter import BedsideNoteSplitter

__all__ = ["NoteVerbs"]


class NoteVerbs(VectorStore):
    """What a store can be asked about whole notes, which it keeps as passages; see ``bedside.notes``.

    A note is a ``Document`` with an id. Its passages are documents of the store too, and found by its other searches.
    """

    _options: SearchOptions
    _view: bedside.Collection
    _intake: Intake

    def add_note(
        self,
        text: str,
        *,
        id: str,
        metadata: Mapping[str, Any] | None = None,
        splitter: BedsideNoteSplitter | None = None,
        supersedes: str | Sequence[str] | None = None,
    ) -> NoteChange | None:
        """Add one note, or replace the one with its id; ``None`` where it was skipped; see :meth:`add_notes`."""
        links = None if supersedes is None else {id: supersedes}
        note = Document(text, id=id, metadata=dict(metadata or {}))
        return self.add_notes([note], splitter=splitter, supersedes=links).get(id)

    def add_notes(
        self,
        notes: Iterable[Document],
        *,
        ids: Iterable[str | None] | None = None,
        splitter: BedsideNoteSplitter | None = None,
        supersedes: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, NoteChange]:
        """Split notes and add their passages, in place of those of notes with the same ids, in one transaction.

        A note that did not change is left as it is, and nothing of it is encoded.

        Args:
            notes: Documents with ids.
            ids: One for each, which goes before the document's own.
            splitter: How they are cut; ``None`` is into passages of up to 256 of the encoder's own tokens.
            supersedes: By the ids of some of them, the id or ids of the notes that they replace in searches with
                ``as_of``.

        Returns:
            ``"added"``, ``"replaced"`` or ``"unchanged"`` for each id that was not skipped.
        """
        given = self._intake.taken(self._view, to_core(notes, ids))
        return self._intake.add_notes(self._view, given, None if splitter is None else splitter.splitter, supersedes)

    async def aadd_notes(self, notes: Iterable[Document], **kwargs: Any) -> dict[str, NoteChange]:
        """Do as :meth:`add_notes` without blocking the event loop."""
        return await asyncio.to_thread(self.add_notes, notes, **kwargs)

    def get_note(self, id: str) -> Document | None:
        """Give a note as it was added, its text character for character; ``None`` if there is none.

        Raises:
            BrokenNoteError: Passages of it were deleted or replaced one by one.
        """
        note = self._view.get_note(id)
        return None if note is None else to_langchain(note)

    async def aget_note(self, id: str) -> Document | None:
        """Do as :meth:`get_note` without blocking the event loop."""
        return await asyncio.to_thread(self.get_note, id)

    def history(self, id: str) -> list[Version]:
        """Give the versions that a note, or a document, is linked with by ``supersedes``, the newest first."""
        return self._view.history(id)

    async def ahistory(self, id: str) -> list[Version]:
        """Do as :meth:`history` without blocking the event loop."""
        return await asyncio.to_thread(self.history, id)

    def delete_note(self, id: str) -> bool:
        """Delete a note with all of its passages; says whether there was one."""
        return self._view.delete_note(id)

    async def adelete_note(self, id: str) -> bool:
        """Do as :meth:`delete_note` without blocking the event loop."""
        return await asyncio.to_thread(self.delete_note, id)

    def search_notes(
        self, query: str, k: int = 4, *, lambda_mult: float | None = None, explain: bool = False, **kwargs: Any
    ) -> list[NoteHit]:
        """Give the ``k`` best notes, each with its passages; :meth:`context` renders them for a prompt.

        A note's score is of its best passage's meaning and of the words of all of them.

        Args:
            query: The question. A blank one gives the notes that ``filter`` and ``ids`` leave, unranked; without
                these, none.
            k: How many at most.
            lambda_mult: For notes unlike each other: 1 is relevance alone, 0 difference alone; ``None`` does not ask.
            explain: Say how each score came about.
            **kwargs: Options of :class:`SearchOptions` that are about whole notes; ``ids`` are the notes'.

        Raises:
            UnknownSearchArgumentError: Another argument.
            FilterError: The filter does not parse, or is a function.
        """
        options, blank = self._options.about_notes(kwargs), not one_text(query).strip()
        if is_zero(k):
            return []
        diversity = None if lambda_mult is None else diversity_of(lambda_mult)
        given = {**options.note_arguments(), "top_k": k, "diversity": diversity, "explain": explain}
        return filtered_notes(self._view, **given) if blank else self._view.search_notes(query, **given)

    async def asearch_notes(self, query: str, k: int = 4, **kwargs: Any) -> list[NoteHit]:
        """Do as :meth:`search_notes` without blocking the event loop."""
        return await asyncio.to_thread(self.search_notes, query, k, **kwargs)

    def context(self, notes: Iterable[NoteHit], *, max_tokens: int, **kwargs: Any) -> str:
        """Render found notes for a prompt, in at most ``max_tokens``; see ``bedside.notes.context``."""
        return context(notes, max_tokens=max_tokens, **kwargs)

    def scopes(self) -> list[tuple[dict[str, str | int], int]]:
        """Give every scope that holds documents, and how many it holds.

        Raises:
            ScopeMismatch: This store is bound to one scope.
        """
        return self._view.scopes()
