"""LangChain documents to Bedside documents, and hits back to scored LangChain documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from langchain_core.documents import Document

import bedside
from bedside.errors import InvalidDocumentError, InvalidInputError

__all__ = ["aligned", "from_texts", "to_core", "to_langchain", "to_scored"]

T = TypeVar("T")
_LLAMA_INDEX_NODE = "_node"


def aligned(name: str, values: Iterable[T | None] | None, count: int) -> list[T | None]:
    """Give one of ``values`` for each of ``count`` texts; ``None`` for each where none were given.

    Raises:
        InvalidInputError: There are more or fewer, or they are one text or one dict; the message says ``name``.
    """
    if values is None:
        return [None] * count
    given = _listed(name, values)
    if len(given) != count:
        raise InvalidInputError(f"{name}: expected one for each of the {count} texts, got {len(given)}")
    return given


def from_texts(texts: Iterable[str], metadatas: Iterable[Mapping[str, Any] | None] | None) -> list[Document]:
    """Give LangChain documents without ids.

    Raises:
        InvalidInputError: ``metadatas`` has another length than ``texts``, or either is not a list of its kind.
    """
    passages = _listed("texts", texts)
    rows = aligned("metadatas", metadatas, len(passages))
    return [Document(text, metadata=_metadata(row)) for text, row in zip(passages, rows, strict=True)]


def to_core(
    documents: Iterable[Document],
    ids: Iterable[str | None] | None = None,
    vectors: Iterable[Any] | None = None,
) -> list[bedside.Document]:
    """Give Bedside documents; an id of ``ids`` goes before the document's own.

    Raises:
        InvalidInputError: ``ids`` or ``vectors`` has another length than ``documents``.
        InvalidDocumentError: One is not a ``Document``, or its metadata use the key that is reserved for LlamaIndex.
    """
    given = [_checked(document) for document in _listed("documents", documents)]
    rows = zip(given, aligned("ids", ids, len(given)), aligned("embeddings", vectors, len(given)), strict=True)
    return [
        bedside.Document(
            text=document.page_content,
            metadata=document.metadata,
            id=document.id if id is None else id,
            vector=vector,
        )
        for document, id, vector in rows
    ]


def _metadata(row: object) -> dict[str, Any]:
    if row is not None and not isinstance(row, Mapping):
        raise InvalidInputError(f"metadatas: expected dicts, got {type(row).__name__}")
    return dict(row or {})


def _listed(name: str, values: Iterable[T]) -> list[T]:
    """Give the list of an iterable that is meant as one: a text would come apart into its letters."""
    if isinstance(values, str | bytes | Mapping | Document) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{name}: expected a list, got {type(values).__name__}; put it in a list")
    return list(values)


def _checked(document: Document) -> Document:
    if not isinstance(document, Document):
        raise InvalidDocumentError(f"documents: expected LangChain documents, got {type(document).__name__}")
    if _LLAMA_INDEX_NODE in document.metadata:
        raise InvalidDocumentError(f"metadata.{_LLAMA_INDEX_NODE}: reserved for what LlamaIndex nodes carry")
    return document


def to_langchain(document: bedside.Document) -> Document:
    """Give the LangChain document with the same id, text and metadata.

    What a LlamaIndex node carries besides metadata lies under one reserved key of its record and is left out.
    """
    metadata = {key: value for key, value in document.metadata.items() if key != _LLAMA_INDEX_NODE}
    return Document(document.text, id=document.id, metadata=metadata)


def to_scored(hit: bedside.Hit, score_key: str | None = None) -> tuple[Document, float]:
    """Give a hit's document and score; with ``score_key`` the document's metadata carry the score as well.

    With ``collapse="copies"`` they also carry ``copies``, ``first_seen`` and ``last_seen``, where there are any.
    """
    document = to_langchain(hit.document)
    document.metadata.update(hit.sightings)
    if score_key is not None:
        document.metadata[score_key] = hit.score
    return document, hit.score
