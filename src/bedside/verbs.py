"""All verbs on records: those of the engine, and those that hand over to what is built on them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bedside.core_verbs import CoreVerbs
from bedside.types import Document, FilterDict, Metadata, Mode, Vector

if TYPE_CHECKING:
    from bedside.annotate import Annotator
    from bedside.duplicates import DuplicateGroup
    from bedside.notes import NoteChange, NoteHit
    from bedside.text.split import NoteSplitter


class Records(CoreVerbs):
    """The verbs on records, the same on a whole collection and on one scope of it."""

    def duplicates(self, threshold: float = 0.8, *, filter: FilterDict | None = None) -> list[DuplicateGroup]:
        """Return groups of documents whose texts are nearly the same, such as notes that were copied forward.

        Args:
            threshold: Least Jaccard similarity of the texts' five-word shingles, 0 to 1.
            filter: Only documents that satisfy it are compared.

        Raises:
            MissingExtraError: ``bedside[cluster]`` is not installed.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
        """
        from bedside.duplicates import duplicates  # it compares what `get` returns, and is one caller's in a thousand

        return duplicates(self, threshold=threshold, filter=filter)

    def annotate(self, task: Annotator, *, key: str, filter: FilterDict | None = None, **options: Any) -> int:
        """Predict labels, entities, answers or relations and write them into the metadata, as one transaction.

        Texts, ids and vectors stay as they are, bit for bit, and nothing is encoded. In the order of insertion the
        records count as added now. One that another writer changed or deleted while the task predicted is left out.

        Args:
            task: What :func:`bedside.tuning.load_task` opened, or any object with ``predict(texts, **options)`` and
                ``as_metadata(result, key)``.
            key: The metadata key to write: a label, or an object of texts by entity type (or relation), so that
                ``{"findings.Problem": "chest pain"}`` filters. ``key_score`` or ``key_spans`` hold the rest. What
                stands there is replaced.
            filter: Only documents that satisfy it are annotated; those without text never are.
            **options: Handed to ``predict``, such as ``question=`` or ``entities=``.

        Returns:
            How many documents were annotated.

        Raises:
            InvalidInputError: The key is empty, or one that divides the collection by scope.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
            WriteFailedError: The disk refused; nothing was changed.
        """
        from bedside.annotate import annotate

        return annotate(self, task, key=key, filter=filter, **options)

    def add_note(
        self, text: str, *, id: str, metadata: Metadata | None = None, splitter: NoteSplitter | None = None
    ) -> NoteChange:
        """Add one note, or replace the one with its id; see :meth:`add_notes`.

        Example:
            >>> notes = Collection.open()
            >>> notes.add_note("HPI: Cough for 3 days. PLAN: Rest.", id="visit-1")
            'added'
            >>> [(hit.id, hit.passages[0].metadata["section"]) for hit in notes.search_notes("cough")]
            [('visit-1', 'HPI')]
        """
        return self.add_notes([Document(text, metadata or {}, id)], splitter=splitter)[id]

    def add_notes(self, notes: Iterable[Document], *, splitter: NoteSplitter | None = None) -> dict[str, NoteChange]:
        """Split notes into passages and add these, replacing notes whose ids are already there, as one transaction.

        A note with the text, metadata and splitter that it had is left as it is, and nothing of it is encoded. What
        is new is encoded before anything is replaced. Each passage carries the note's metadata and ``source_id``,
        ``start``, ``end``, ``section`` and ``source_hash``; see :mod:`bedside.notes`.

        Args:
            notes: Documents with an id and without a vector; any iterable, read once.
            splitter: How they are cut; ``None`` makes passages of up to 256 of the encoder's own tokens that go by
                section and sentence and overlap by 32.

        Returns:
            ``"added"``, ``"replaced"`` or ``"unchanged"`` for each id.

        Raises:
            InvalidDocumentError: A note has no id, no text but white space, a vector, or a passage's metadata key; or
                a record that is no passage has an id that a passage needs.
            DuplicateIdError: The same id twice in this call.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
        """
        from bedside.notes import add_notes  # what is built on the verbs

        return add_notes(self, notes, splitter)

    def get_note(self, id: str) -> Document | None:
        """Return a note as it was added, its text character for character, or None where there is none.

        Raises:
            BrokenNoteError: Passages of it were deleted or replaced one by one.
        """
        from bedside.notes import get_note

        return get_note(self, id)

    def delete_note(self, id: str) -> bool:
        """Delete a note with all of its passages, as :meth:`delete` does; says whether there was one."""
        from bedside.notes import delete_note

        return delete_note(self, id)

    def search_notes(
        self,
        query: str,
        *,
        vector: Vector | Sequence[float] | None = None,
        top_k: int = 10,
        filter: FilterDict | None = None,
        mode: Mode | None = None,
        alpha: float | None = None,
        min_score: float | None = None,
    ) -> list[NoteHit]:
        """Return the best notes for a query, best first, each with its passages.

        A note's score is ``alpha`` times the cosine of its best passage plus ``1 - alpha`` times the BM25 score of all
        its passages together, as a share of the highest that any note could have. Other records are never found.

        Args:
            query: The question.
            vector: The query's vector, float32 ``[d]``, instead of encoding the question.
            top_k: How many notes at most.
            filter: Only passages that satisfy it count and come back; notes without any are left out. It sees the
                note's metadata and the passage's, such as ``section``.
            mode: ``"hybrid"``, ``"dense"`` or ``"sparse"``; ``None`` is sparse in a collection without vectors and
                hybrid in every other one.
            alpha: Weight of the cosine in a hybrid search, 0 to 1; ``None`` is 0.6.
            min_score: Leave out notes below it.

        Raises:
            InvalidInputError: An argument is out of its range.
            EncoderRequired: The question must be encoded and there is no encoder.
            FilterError: The filter does not parse.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
        """
        from bedside.notes import search_notes

        return search_notes(
            self, query, vector=vector, top_k=top_k, filter=filter, mode=mode, alpha=alpha, min_score=min_score
        )

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        filter: FilterDict | None = None,
        include_vectors: bool = False,
        all_scopes: bool = False,
        **options: Any,
    ) -> int:
        """Write records to a file, one by one, in insertion order; returns how many.

        The file holds text in the clear, is readable by its owner only, and appears whole or not at all: it is written
        in a hidden folder beside it, which only a killed process leaves there.

        Args:
            path: The file; what is there is replaced.
            format: ``"json"``, ``"jsonl"``, ``"csv"``, ``"parquet"``, ``"arrow"``, ``"numpy"``, ``"vectra"``,
                ``"langchain"``, or ``"web"``, a page that searches in a browser; ``None`` goes by the suffix.
            filter: Only records that satisfy it.
            include_vectors: Write vectors too, bit for bit. Not by default: much of a text can be guessed from its
                vector.
            all_scopes: Write every scope of a collection that has scope keys, which is never done unasked.
            **options: Those of the format: ``title=``, ``encoder=`` and ``passphrase=`` of ``"web"``.

        Raises:
            InvalidInputError: The format is unknown, only read, has no such option, or holds vectors and they were not
                asked for.
            MissingExtraError: Parquet or Arrow without ``bedside[arrow]``, a passphrase without ``bedside[crypto]``.
            ScopeRequired: The collection has scope keys and this is not a scoped view.
            WriteFailedError: The disk refused; what was there before is there still.

        Example:
            >>> import tempfile, pathlib
            >>> notes, copy = Collection.open(), Collection.open()
            >>> _ = notes.add([Document("BP 120/80", {"age": 71}, id="n1")])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = pathlib.Path(folder, "notes.csv")
            ...     notes.export(file), copy.import_from(file)
            (1, 1)
        """
        from bedside.formats.exchange import export_records

        return export_records(
            self,
            path,
            format=format,
            filter=filter,
            include_vectors=include_vectors,
            all_scopes=all_scopes,
            **options,
        )

    def import_from(self, path: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> int:
        """Add the records of a file or of another program's store, as one transaction; returns how many.

        Records are read, checked, encoded and written 1,000 at a time, and become visible together: whatever goes wrong
        on the way, a damaged record at the end, a full disk or a killed process, the collection is as before. So no
        second reading is needed to check first. Other writers wait until it is done; searches do not.

        Args:
            path: The file or folder.
            format: A name of :data:`bedside.formats.FORMATS`; ``None`` goes by the content.
            **options: Those of the store's reader, such as ``text_key=`` or ``allow_pickle=``.

        Raises:
            UnreadableFileError: Damaged, cut off or of no known format; names file and line or record.
            InvalidDocumentError, InvalidVectorError, DuplicateIdError: A record cannot be stored; names the record.
            ScopeRequired, ScopeMismatch: A record lacks a scope key, or names another scope than this view.
            EncoderRequired: Records without vectors, a collection with vectors, and no encoder.
            MissingExtraError: The format's library is not installed.
            WriteFailedError: The disk refused.
        """
        from bedside.formats.exchange import import_records

        return import_records(self, path, format=format, **options)
