"""LlamaIndex's own storage: a ``StorageContext`` folder, or the file of a ``SimpleVectorStore`` alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedside.errors import BedsideWarning
from bedside.formats.foreign import Records, choose, from_node, mapping, parse_json, refuse
from bedside.formats.json_parts import parts_of
from bedside.types import Document

_SUFFIX = "vector_store.json"
_COPIES = ("_node_type", "document_id", "doc_id", "ref_doc_id")


def read_llama_index(path: str | os.PathLike[str], *, namespace: str | None = None) -> Iterator[Document]:
    """Yield the nodes of a ``StorageContext`` folder that have a vector, in the vector store's order.

    Texts and metadata are the docstore's. What else a node says (relationships, offsets, templates) is kept where
    Bedside's adapter for LlamaIndex looks for it, so the same nodes come back from a ``BedsideVectorStore``. Nodes
    without a vector, such as the parents of a hierarchy, are left out, and a warning says how many.

    The file of a ``SimpleVectorStore`` holds no texts: read alone it gives documents of vectors and metadata.

    Vectors and nodes are in two files. Memory holds one of each, and for every node its id and its place in the file.

    Args:
        path: The folder, or the vector store's file.
        namespace: Which vector store of the folder; needed only where several hold vectors.

    Raises:
        UnreadableFileError: A file is damaged or missing, or a vector's node is not in the docstore.
        InvalidInputError: Several vector stores hold vectors and no ``namespace`` says which.
        InvalidVectorError: A vector is zero, not finite in float32, or of another dimension than the first.
    """
    folder = Path(path)
    if folder.is_file():
        yield from _vectors_alone(folder)
        return
    file = _vector_store(folder, namespace)
    docstore = _Values(folder / "docstore.json", "docstore/data")
    records = Records()
    with docstore.open():
        for id, vector in _vectors(file):
            number = len(records) + 1
            if id not in docstore:
                refuse("docstore.json", f"lacks the node of the vector that is number {number} in {file.name}")
            where = f"docstore.json, node {number}"
            text, metadata = from_node(mapping(docstore.read(id, where), where).get("__data__"), where)
            yield records.document(f"{file.name}, vector {number}", id, vector, metadata, text, is_split=True)
    if left := len(docstore) - len(records):
        message = f"docstore.json: {left} nodes have no vector and were left out"
        warnings.warn(message, BedsideWarning, stacklevel=2)


def _vectors_alone(file: Path) -> Iterator[Document]:
    metadata = _Values(file, "metadata_dict")
    records = Records()
    with metadata.open():
        for id, vector in _vectors(file):
            where = f"{file.name}, vector {len(records) + 1}"
            held = mapping(metadata.read(id, where) or {}, f"{where}.metadata") if id in metadata else {}
            kept = {key: value for key, value in held.items() if key not in _COPIES}
            yield records.document(where, id, vector, kept, is_split=True)


def _vector_store(folder: Path, namespace: str | None) -> Path:
    """The vector store's file that is meant."""
    stores = {file.name.removesuffix(_SUFFIX).removesuffix("__"): file for file in folder.glob(f"*{_SUFFIX}")}
    if not stores:
        refuse(folder.name, f"expected a LlamaIndex storage folder with a file *{_SUFFIX}")
    filled = [name for name, file in stores.items() if next(_vectors(file), None)] or list(stores)[:1]
    return stores[choose(namespace, filled, folder.name, "namespace")]


def _vectors(file: Path) -> Iterator[tuple[str, Any]]:
    """The vectors of a vector store's file by id, one at a time."""
    with parts_of(file) as parts:
        for _ in parts.member("embedding_dict"):
            for number, id in enumerate(parts.children(b"{", records=True), 1):
                yield id, parse_json(parts.value(), f"{file.name}, vector {number}")


class _Values:
    """An object in a JSON file, of which memory holds the keys and where in the file each value stands.

    Two files that were written together are joined by it, in whatever order they hold the same ids.

    Args:
        file: Is read once, and every value parsed, so that damage is found before the first is asked for.
        member: The key of the object in the file; where it is missing or null, there are no values.
    """

    def __init__(self, file: Path, member: str) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        with parts_of(file) as parts:
            for key in parts.children(b"{"):
                if key != member or parts.peek() == b"n":
                    parts.skip()
                    continue
                for id in parts.children(b"{", records=True):
                    value = parts.value()
                    parse_json(value, f"{file.name}, {member}, value {len(self._places) + 1}")
                    self._places[id] = parts.start, len(value)

    def __contains__(self, id: str) -> bool:
        return id in self._places

    def __len__(self) -> int:
        return len(self._places)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the file open for :meth:`read`."""
        with self._file.open("rb") as self._source:
            yield

    def read(self, id: str, where: str) -> Any:
        """One value; ``where`` is its place, for errors."""
        start, length = self._places[id]
        self._source.seek(start)
        return parse_json(self._source.read(length), where)
