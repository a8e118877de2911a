"""``BedsideNoteSplitter``: Bedside's splitter of clinical notes as a LangChain text splitter."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.documents import Document
from langchain_text_splitters import TextSplitter
from typing_extensions import override

import bedside
from bedside.intake import storable
from bedside.notes import passages_of
from bedside.text.split import NoteSplitter, Passage
from langchain_bedside.convert import from_texts, to_langchain
from langchain_bedside.embeddings import BedsideEmbeddings

__all__ = ["BedsideNoteSplitter"]


class BedsideNoteSplitter(TextSplitter):
    """Cut notes by section, then by sentence, into passages that fit an encoder.

    Together the passages of a note are the whole note, character for character. Each keeps its document's metadata
    and adds ``start_index`` and ``end_index``, its offsets in the document's text in code points, ``section``, the
    heading it stands under as written, and ``section_kind``, what that section is, such as ``hpi``, where its heading
    tells; before the first heading both stay what they were. Where a document has an id, its passages get it with
    their number, ``note-7.0``, ``note-7.1``, so that adding a note again replaces them.

    It is a ``TextSplitter``: ``split_text``, ``split_documents``, ``create_documents``, ``transform_documents`` and
    their twins work, and so do the retrievers that take one.

    Args:
        embedding: The model whose own tokens are counted; ``None`` estimates them without a model.
        max_tokens: The most tokens in a passage, special ones included.
        overlap: The most tokens of whole sentences that a passage repeats from the one before it in the same section;
            ``None`` is an eighth of ``max_tokens``.
        as_notes: Whether the passages are those of their documents as whole notes: with ids ``note-7#0``, ``note-7#1``
            and the metadata by which a store finds, gives back and replaces the note (``search_notes``, ``get_note``),
            so that ``index()`` keeps whole notes. ``start`` and ``end`` stand for the two indexes.
        section_kinds: Titles of your own and the kinds of the sections that they open; see
            :class:`bedside.text.kinds.SectionKinds`.

    Raises:
        InvalidInputError: A number is out of its range, or ``section_kinds`` does not map titles to kinds.

    Example:
        >>> note = Document("HPI: Cough for 3 days. PLAN: Rest.", id="n1", metadata={"patient_id": "A"})
        >>> for passage in BedsideNoteSplitter().split_documents([note]):
        ...     print(passage.id, passage.metadata)
        n1.0 {'patient_id': 'A', 'start_index': 0, 'end_index': 23, 'section': 'HPI', 'section_kind': 'hpi'}
        n1.1 {'patient_id': 'A', 'start_index': 23, 'end_index': 34, 'section': 'PLAN', 'section_kind': 'plan'}
    """

    def __init__(
        self,
        embedding: BedsideEmbeddings | None = None,
        *,
        max_tokens: int = 256,
        overlap: int | None = None,
        as_notes: bool = False,
        section_kinds: Mapping[str, str] | None = None,
    ) -> None:
        encoder = None if embedding is None else embedding.encoder
        self.splitter = NoteSplitter(max_tokens, overlap, getattr(encoder, "count_tokens", None), section_kinds)
        self._as_notes = as_notes
        super().__init__(chunk_size=max_tokens, chunk_overlap=self.splitter.overlap)

    @override
    def split_text(self, text: str) -> list[str]:
        return [passage.text for passage in self.splitter.split(text)]

    @override
    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """Cut documents; those given are not changed."""
        if self._as_notes:
            return [passage for document in documents for passage in _of_a_note(document, self.splitter)]
        return [
            _document(document, number, passage)
            for document in documents
            for number, passage in enumerate(self.splitter.split(document.page_content))
        ]

    @override
    def create_documents(
        self, texts: Iterable[str], metadatas: Iterable[dict[Any, Any] | None] | None = None
    ) -> list[Document]:
        """Cut texts.

        Raises:
            InvalidInputError: ``metadatas`` has another length than ``texts``.
        """
        return self.split_documents(from_texts(texts, metadatas))


def _of_a_note(document: Document, splitter: NoteSplitter) -> list[Document]:
    note = bedside.Document(document.page_content, storable(document.metadata), document.id)
    return [to_langchain(passage) for passage in passages_of(note, splitter)]


def _document(document: Document, number: int, passage: Passage) -> Document:
    metadata = copy.deepcopy(document.metadata) | {"start_index": passage.start, "end_index": passage.end}
    if passage.section is not None:
        metadata["section"] = passage.section
        metadata.pop("section_kind", None)
    if passage.section_kind is not None:
        metadata["section_kind"] = passage.section_kind
    return Document(passage.text, id=document.id and f"{document.id}.{number}", metadata=metadata)
