"""Documents into a vectra folder that vectra 0.15.0 opens."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bedside.errors import DuplicateIdError, InvalidDocumentError, InvalidInputError, InvalidVectorError
from bedside.formats.vectra.files import is_plain
from bedside.formats.vectra.hashing import content_hash
from bedside.formats.vectra.offsets import Offsets
from bedside.formats.vectra.read import Source
from bedside.records import check_vector
from bedside.support.files import make_private_folder
from bedside.types import Document


def write_documents(
    path: str | os.PathLike[str],
    documents: Iterable[Document],
    *,
    indexed: Sequence[str] = (),
    text_key: str = "text",
    sources: Iterable[Source] = (),
) -> int:
    """Write a new vectra folder and return the number of items.

    Each item has the norm, and the index the ``metadata_config``, without which vectra does not open it. The numbers
    of a vector are written whole, so vectra's scores are those of the float32 that we hold. A text goes into the
    metadata at ``text_key``. With ``sources`` it is a document index: a document whose metadata has the ``source_id``,
    ``start`` and ``end`` of one of them becomes its chunk.

    Args:
        path: A folder that does not exist yet, or is empty. It is complete or not there.
        documents: Each with a vector, all of one dimension.
        indexed: The metadata keys that vectra can filter on; other metadata goes into a file per item. None: all.
        text_key: Where a text goes that belongs to no source.
        sources: Whole documents.

    Raises:
        InvalidInputError: The folder is in use.
        InvalidVectorError: A document without a vector, or with one of another dimension.
        InvalidDocumentError: Metadata that vectra cannot hold, such as an integer that no JavaScript number is.
        DuplicateIdError: Two documents with one id.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInputError(f"{target.name}: expected a new or empty folder to write into")
    beside = target.with_name(target.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    make_private_folder(beside)
    try:
        writer = _Writer(beside, tuple(indexed), text_key)
        writer.write_sources(sources)
        count = writer.write_items(documents)
        if target.exists():
            target.rmdir()
        beside.replace(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return count


class _Writer:
    """Writes the files of one folder."""

    def __init__(self, folder: Path, indexed: tuple[str, ...], text_key: str) -> None:
        self._folder, self._indexed, self._text_key = folder, indexed, text_key
        self._sources: dict[str, tuple[Source, Offsets]] = {}
        self._ids: set[str] = set()
        self._dimension: int | None = None

    def write_sources(self, sources: Iterable[Source]) -> None:
        for source in sources:
            names = {known.id for known, _ in self._sources.values()}
            if source.uri in self._sources or source.id in names or not is_plain(f"{source.id}.txt"):
                raise InvalidDocumentError("sources: expected distinct URIs, and distinct ids that can name a file")
            self._sources[source.uri] = source, Offsets(source.text)
            self._file(f"{source.id}.txt", source.text.encode())
            self._file(f"{source.id}.json", _json(source.metadata, "sources: metadata"))
        if self._sources:
            self._file("catalog.json", self._catalog())

    def write_items(self, documents: Iterable[Document]) -> int:
        count = 0
        with (self._folder / "index.json").open("wb") as out:
            out.write(self._head())
            for document in documents:
                out.write(b"," if count else b"")
                out.write(self._item(document, f"documents[{count}]"))
                count += 1
            out.write(b"]}")
        return count

    def _head(self) -> bytes:
        config = {"indexed": self._indexed} if self._indexed else {}
        return b'{"version":1,"metadata_config":' + orjson.dumps(config) + b',"items":['

    def _item(self, document: Document, where: str) -> bytes:
        if document.vector is None:
            raise InvalidVectorError(f"{where}.vector: vectra stores vectors; export with them")
        vector = check_vector(document.vector, f"{where}.vector", self._dimension)
        self._dimension = len(vector)
        wide = vector.astype(np.float64)
        id, metadata = self._id(document, where), self._metadata(document, where)
        kept, file = self._divided(metadata, where)
        item = {"id": id, "metadata": kept, "vector": wide, "norm": float(np.sqrt(np.dot(wide, wide)))}
        return orjson.dumps(item | ({"metadataFile": file} if file else {}), option=orjson.OPT_SERIALIZE_NUMPY)

    def _id(self, document: Document, where: str) -> str:
        id = str(uuid.uuid4()) if document.id is None else document.id
        if id in self._ids:
            raise DuplicateIdError(f"{where}.id: given to two documents; vectra's ids differ in a whole index")
        self._ids.add(id)
        return id

    def _metadata(self, document: Document, where: str) -> dict[str, Any]:
        metadata = dict(document.metadata)
        if metadata.get("source_id") in self._sources:
            return self._chunk(document, metadata, where)
        if document.text:
            if self._text_key in metadata:
                raise InvalidDocumentError(f"{where}.metadata: {self._text_key!r} is where the text goes; set text_key")
            metadata[self._text_key] = document.text
        return metadata

    def _chunk(self, document: Document, metadata: dict[str, Any], where: str) -> dict[str, Any]:
        source, offsets = self._sources[metadata.pop("source_id")]
        start, end = metadata.pop("start", None), metadata.pop("end", None)
        if not (isinstance(start, int) and isinstance(end, int)) or document.text != source.text[start:end]:
            raise InvalidDocumentError(f"{where}: start and end do not cut its text out of its source")
        metadata.pop("documentId", None)
        place = {"startPos": offsets.to_utf16(start), "endPos": offsets.to_utf16(end) - 1}
        return {"documentId": source.id} | place | metadata

    def _divided(self, metadata: dict[str, Any], where: str) -> tuple[dict[str, Any], str | None]:
        """What the index keeps, and the file that holds everything, as vectra divides them."""
        data = _json(metadata, f"{where}.metadata")
        if not self._indexed or set(metadata) <= set(self._indexed):
            return metadata, None
        file = f"{uuid.uuid4()}.json"
        self._file(file, data)
        return {key: metadata[key] for key in self._indexed if key in metadata}, file

    def _catalog(self) -> bytes:
        uris = {source.id: uri for uri, (source, _) in self._sources.items()}
        hashes = {uri: s.hash or content_hash(s.text, s.metadata) for uri, (s, _) in self._sources.items()}
        ids = {uri: id for id, uri in uris.items()}
        catalog = {"version": 1, "count": len(uris), "uriToId": ids, "idToUri": uris}
        return orjson.dumps(catalog | {"uriToHash": hashes})

    def _file(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)


def _json(metadata: Mapping[str, Any], where: str) -> bytes:
    for key, value in metadata.items():
        _check_numbers(value, f"{where}.{key}")
    try:
        return orjson.dumps(dict(metadata))
    except orjson.JSONEncodeError as error:
        raise InvalidDocumentError(f"{where}: not JSON: {error}") from None


def _check_numbers(value: Any, where: str) -> None:
    """Refuse an integer that JavaScript, which has float64 only, would read as another."""
    for inner in _inner(value):
        _check_numbers(inner, where)
    if isinstance(value, int) and int(float(value)) != value:
        raise InvalidDocumentError(f"{where}: an integer that no JavaScript number holds; store it as a string")


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
