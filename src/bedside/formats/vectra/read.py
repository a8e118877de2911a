"""Documents out of a vectra folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bedside.formats.foreign import Records, refuse, split_text
from bedside.formats.vectra.files import Catalog, Folder, Item
from bedside.formats.vectra.offsets import Offsets
from bedside.remedies import Call
from bedside.types import Document

CHUNK_KEYS = ("documentId", "startPos", "endPos")
"""The metadata by which vectra finds a chunk's text in its document."""
_OURS = ("source_id", "start", "end")
_WHOLE = Call("migrate --notes", "for whole documents", python="bedside.formats.vectra.read_notes")


@dataclass(frozen=True)
class Source:
    """A whole document of a vectra document index.

    Attributes:
        uri: What the application calls it.
        id: vectra's id, which names its files.
        text: The whole text.
        metadata: What was given with it.
        hash: vectra's content hash; ``None`` in catalogs older than 0.15, and for it to be computed in writing.
    """

    uri: str
    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    hash: str | None = None


def read_documents(path: str | os.PathLike[str], *, text_key: str | None = None) -> Iterator[Document]:
    """Yield each item of a vectra folder as a document with its vector, in the index's order, reading one at a time.

    An item of a document index is a chunk. Its text is cut from its document, and its metadata has, in place of
    ``startPos`` and the inclusive ``endPos`` in UTF-16 code units, ``start`` and ``end`` as Python counts, and
    ``source_id``, the document's URI: ``document[start:end]`` is the text. An offset inside a surrogate pair is
    moved outwards, so that the character stays whole.

    Another item's text is taken out of its metadata by the rules of :mod:`bedside.formats.foreign`. Vectors become
    float32; vectra's norms, which follow from them, are not kept.

    Args:
        path: The folder, or the index file in it, where that has another name than ``index.json``.
        text_key: Where each item has its text. By default at ``text``, ``page_content``, ``content`` or ``document``,
            the first that is a string; an item without any has no text.

    Raises:
        UnreadableFileError: A file is damaged or misses something; the message names the file and the place.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
        DuplicateIdError: Two items with one id.
    """
    folder = Folder(Path(path))
    catalog = folder.catalog()
    chunks = _Chunks(folder, catalog or Catalog())
    records = Records()
    for i, item in enumerate(folder.items()):
        where = f"{folder.index}: items[{i}]"
        metadata = folder.metadata(item)
        if catalog is not None and "documentId" in metadata:
            text, metadata = chunks.cut(item, metadata, where)
        else:
            text, metadata = split_text(metadata, text_key, f"{where}.metadata")
        yield records.document(where, item.id, item.vector, metadata, text, is_split=True)
    chunks.refuse_unread()


def read_notes(path: str | os.PathLike[str]) -> Iterator[Document]:
    """Yield the whole documents of a vectra document index as notes, for :meth:`bedside.Collection.add_notes`.

    A note's id is the document's URI. It is split and encoded anew: vectra's chunks miss characters where two of them
    meet, so that no document can be put together from them.

    Raises:
        UnreadableFileError: A file is damaged or missing, or the folder is an index of items.
    """
    folder = Folder(Path(path))
    if folder.catalog() is None:
        refuse(folder.path.name, "an index of items, which holds no whole documents")
    for source in read_sources(path):
        yield Document(source.text, dict(source.metadata), source.uri)


def read_sources(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Yield the whole documents of a vectra document index, in the catalog's order; none from an index of items.

    Raises:
        UnreadableFileError: A file is damaged or missing.
    """
    folder = Folder(Path(path))
    catalog = folder.catalog() or Catalog()
    for id, uri in catalog.uris.items():
        yield Source(uri, id, folder.text(id), folder.document_metadata(id), catalog.hashes.get(uri))


class _Chunks:
    """Cuts chunks out of the documents of a catalog."""

    def __init__(self, folder: Folder, catalog: Catalog) -> None:
        self._folder, self._catalog = folder, catalog
        self._last: dict[str, int] = {}  # the first code unit of the chunk that was cut last, by document
        self._load = lru_cache(maxsize=4)(self._read)  # a document's chunks stand together

    def cut(self, item: Item, metadata: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
        """The chunk's text, and its metadata with our offsets."""
        document_id = metadata["documentId"]
        if not isinstance(document_id, str) or document_id not in self._catalog.uris:
            refuse(
                f"{where}.metadata.documentId",
                "the catalog has no such document; where documentId is not among the indexed keys, vectra leaves the "
                "chunks of a deleted document behind",
                [_WHOLE],
            )
        text, offsets = self._load(document_id)
        first, last = (_offset(metadata.get(key), offsets.units, f"{where}.metadata.{key}") for key in CHUNK_KEYS[1:])
        if last < first:
            refuse(f"{where}.metadata.endPos", f"expected at least startPos, {first}, got {last}")
        for key in _OURS:
            if key in metadata:
                refuse(f"{where}.metadata.{key}", "stands where the chunk's offsets go; rename it in vectra first")
        self._check_version(item, document_id, first, where)
        start, end = offsets.to_python(first), offsets.to_python(last + 1, up=True)
        kept = {key: value for key, value in metadata.items() if key not in CHUNK_KEYS[1:]}
        return text[start:end], kept | {"source_id": self._catalog.uris[document_id], "start": start, "end": end}

    def refuse_unread(self) -> None:
        """Refuse a document whose text no chunk would bring over."""
        for id in self._catalog.uris:
            if id not in self._last and self._folder.text(id).strip():
                refuse(f"{id}.txt", "has text and no chunk in the index", [_WHOLE])

    def _check_version(self, item: Item, id: str, first: int, where: str) -> None:
        """Refuse the chunks of a replaced document, which would be cut out of the text that replaced theirs.

        vectra deletes a document's chunks by its ``documentId``. Where that is not indexed it finds none of them, so
        the old ones stay in front of the new; within one version, each chunk begins after the one before it.
        """
        if "documentId" not in item.metadata and first <= self._last.get(id, -1):
            refuse(where, "chunks of several versions of a document, of which vectra kept only the last text", [_WHOLE])
        self._last[id] = first

    def _read(self, id: str) -> tuple[str, Offsets]:
        text = self._folder.text(id)
        return text, Offsets(text)


def _offset(value: Any, units: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < units:
        refuse(where, f"expected an offset into the document's {units} UTF-16 code units")
    return value
