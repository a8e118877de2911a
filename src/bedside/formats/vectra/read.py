"""Documents out of a vectra folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bedside.formats.foreign import Records, refuse
from bedside.formats.vectra.files import Catalog, Folder
from bedside.formats.vectra.offsets import Offsets
from bedside.types import Document

CHUNK_KEYS = ("documentId", "startPos", "endPos")
"""The metadata by which vectra finds a chunk's text in its document."""
_OURS = ("source_id", "start", "end")


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

    Another item's text is the string at ``text_key`` of its metadata, and is taken out of it. Vectors become
    float32; vectra's norms, which follow from them, are not kept.

    Args:
        path: The folder.
        text_key: Every item must have it. By default ``"text"``, for the items that have it; the others have no text.

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
        where = f"index{folder.suffix}: items[{i}]"
        metadata = folder.metadata(item)
        is_chunk = catalog is not None and "documentId" in metadata
        text, metadata = chunks.cut(metadata, where) if is_chunk else _take_text(metadata, text_key, where)
        yield records.document(where, item.id, item.vector, metadata, text, is_split=True)
    chunks.refuse_unread()


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
        self._seen: set[str] = set()
        self._load = lru_cache(maxsize=4)(self._read)  # a document's chunks stand together

    def cut(self, metadata: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
        """The chunk's text, and its metadata with our offsets."""
        document_id = metadata["documentId"]
        if not isinstance(document_id, str) or document_id not in self._catalog.uris:
            refuse(f"{where}.metadata.documentId", "the catalog has no such document")
        self._seen.add(document_id)
        text, offsets = self._load(document_id)
        first, last = (_offset(metadata.get(key), offsets.units, f"{where}.metadata.{key}") for key in CHUNK_KEYS[1:])
        if last < first:
            refuse(f"{where}.metadata.endPos", f"expected at least startPos, {first}, got {last}")
        for key in _OURS:
            if key in metadata:
                refuse(f"{where}.metadata.{key}", "stands where the chunk's offsets go; rename it in vectra first")
        start, end = offsets.to_python(first), offsets.to_python(last + 1, up=True)
        kept = {key: value for key, value in metadata.items() if key not in CHUNK_KEYS[1:]}
        return text[start:end], kept | {"source_id": self._catalog.uris[document_id], "start": start, "end": end}

    def refuse_unread(self) -> None:
        """Refuse a document whose text no chunk would bring over."""
        for id in self._catalog.uris:
            if id not in self._seen and self._folder.text(id).strip():
                refuse(f"{id}.txt", "has text and no chunk in the index; read_sources() reads it")

    def _read(self, id: str) -> tuple[str, Offsets]:
        text = self._folder.text(id)
        return text, Offsets(text)


def _offset(value: Any, units: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < units:
        refuse(where, f"expected an offset into the document's {units} UTF-16 code units")
    return value


def _take_text(metadata: dict[str, Any], text_key: str | None, where: str) -> tuple[str, dict[str, Any]]:
    key = "text" if text_key is None else text_key
    text = metadata.get(key)
    if isinstance(text, str):
        return text, {name: value for name, value in metadata.items() if name != key}
    if text_key is not None:
        refuse(f"{where}.metadata.{key}", f"expected the item's text, got {type(text).__name__}")
    return "", metadata
