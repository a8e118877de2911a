"""``BedsideVectorStore``: a Bedside collection in LangChain's words, one core method behind each verb."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from typing_extensions import Self, override

import bedside
from bedside.errors import EncoderMismatch, InvalidInputError, ScopeMismatch
from bedside.intake import Intake, OnNan, OnUnstorable
from bedside.skipping import OnBadDocument
from bedside.support.checks import check_known
from bedside.support.keys import KeySource
from bedside.types import Encoder, Fusion, Mode
from langchain_bedside.convert import from_texts
from langchain_bedside.encoder import as_encoder
from langchain_bedside.note_verbs import NoteVerbs
from langchain_bedside.options import OPTION_NAMES, SearchOptions
from langchain_bedside.record_verbs import RecordVerbs
from langchain_bedside.search_verbs import SearchVerbs

__all__ = ["BedsideVectorStore"]

Scope = Mapping[str, str | int]


class BedsideVectorStore(RecordVerbs, SearchVerbs, NoteVerbs):
    """Documents on disk or in memory, found by meaning, by words, or by both, under filters and within a scope.

    Searches take ``k`` and the options of :class:`SearchOptions` as keyword arguments; any other is refused. Scores are
    Python floats, higher is better: the cosine in dense mode, BM25 in sparse mode, and their weighted sum on a fixed
    scale in hybrid mode. Adding a document under an id that is there replaces it. Every error is a
    ``bedside.errors.BedsideError`` and leaves the collection as it was.

    Args:
        embedding: The embedding model. ``None`` serves a collection searched by words alone, or the encoder that
            ``collection`` already has.
        path: The collection's folder or URL, created if missing; ``None`` keeps the collection in memory.
        scope: The scope of every operation, such as ``{"patient_id": "A"}``. Its keys are the scope keys of a new
            collection.
        scope_keys: The scope keys of a new collection, where ``scope`` is not given because records of several scopes
            are written first; see :meth:`scoped`.
        retrieval_mode: The default of every search: ``"dense"``, ``"sparse"`` or ``"hybrid"``; ``None`` is hybrid for a
            text, dense for a vector, and sparse in a collection without vectors.
        alpha: The default weight of the dense half in hybrid search; ``None`` is the collection's own.
        fusion: How hybrid search joins its halves: ``"weighted"`` or ``"rrf"``.
        read_only: Never write, not even a lock file.
        on_unstorable: ``"convert"`` stores metadata in the one JSON form that is obvious (dates and times as ISO 8601,
            UUIDs and paths as text, tuples and numpy's values as lists and numbers) and a text's broken characters as
            U+FFFD; ``"raise"`` refuses them.
        on_nan: ``"raise"`` refuses a NaN in metadata, ``"null"`` stores ``None``.
        on_bad_document: ``"raise"`` refuses a call because of one document that cannot be stored, such as a blank one;
            ``"skip"`` leaves it out and puts it, with the reason, into :attr:`skipped`.
        collection: An open collection to use instead of ``path``; it stays the caller's to close.
        key: The master key of an encrypted collection, as :meth:`bedside.Collection.open` takes it: 32 bytes, the name
            of an environment variable, a ``Path`` to a key file, or a function that returns 32 bytes.
        **options: Other defaults of every search, such as ``min_score=`` or ``filter=``; see :class:`SearchOptions`.

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
        retrieval_mode: Mode | None = None,
        alpha: float | None = None,
        fusion: Fusion = "weighted",
        read_only: bool = False,
        on_unstorable: OnUnstorable = "convert",
        on_nan: OnNan = "raise",
        on_bad_document: OnBadDocument = "raise",
        collection: bedside.Collection | None = None,
        key: KeySource | None = None,
        **options: Any,
    ) -> None:
        check_known("BedsideVectorStore", options, [*_NAMED, *OPTION_NAMES])
        self._embedding = embedding
        given = {"retrieval_mode": retrieval_mode, "alpha": alpha, "fusion": fusion, **options}
        self._options = SearchOptions().updated(given)
        if scope is not None and not isinstance(scope, Mapping):
            raise InvalidInputError(f"scope: expected a dict such as {{'patient_id': 'A'}}, got {type(scope).__name__}")
        self._scope = dict(scope) if scope else None
        self._intake = Intake(on_unstorable, on_nan, on_bad_document)
        encoder = as_encoder(embedding) if embedding is not None else None
        if collection is None:
            keys = scope_keys or tuple(self._scope or ())
            collection = bedside.Collection.open(path, encoder=encoder, scope_keys=keys, read_only=read_only, key=key)
        else:
            _check_given(collection, encoder, path, read_only, key)
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
        view = type(self)(self._embedding, collection=self._collection, scope=scope)
        view._options, view._intake = self._options, self._intake
        return view

    def close(self) -> None:
        """Close the collection; every later call raises ``CollectionClosedError``."""
        self._collection.close()

    @classmethod
    @override
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a store with the constructor's arguments ``kwargs`` and add documents to it."""
        store = cls(embedding, **kwargs)
        store.add_documents(documents, ids=ids)
        return store

    @classmethod
    @override
    async def afrom_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        store = await asyncio.to_thread(cls, embedding, **kwargs)
        await store.aadd_documents(documents, ids=ids)
        return store

    @classmethod
    @override
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a store with the constructor's arguments ``kwargs`` and add texts to it, ``ids`` among them."""
        return cls.from_documents(from_texts(texts, metadatas), embedding, **kwargs)

    @classmethod
    @override
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        return await cls.afrom_documents(from_texts(texts, metadatas), embedding, **kwargs)


_NAMED = list(inspect.signature(BedsideVectorStore).parameters)[:-1]
"""The constructor's arguments but for the options of searches: where one is unknown, all are named."""


def _check_given(
    collection: bedside.Collection,
    encoder: Encoder | None,
    path: str | os.PathLike[str] | None,
    read_only: bool,
    key: KeySource | None,
) -> None:
    """Refuse what is decided beside an open collection, and a model beside that with which it was opened."""
    if path is not None:
        raise InvalidInputError("path and collection: give the one or the other")
    if read_only:
        raise InvalidInputError("read_only and collection: open the collection with read_only=True")
    if key is not None:
        raise InvalidInputError("key and collection: the collection was opened with its own key, or without one")
    if encoder is not None and _identity(encoder) != _identity(collection.encoder):
        raise EncoderMismatch(
            "embedding and collection: the collection was opened with another encoder, or with none; open it with "
            "encoder=as_encoder(embedding)"
        )


def _identity(encoder: Encoder | None) -> str | None:
    return None if encoder is None else encoder.fingerprint or encoder.name
