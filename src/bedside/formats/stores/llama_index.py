"""LlamaIndex's own storage: a ``StorageContext`` folder, or the file of a ``SimpleVectorStore`` alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.errors import BedsideWarning
from bedside.formats.stores.common import Records, choose, from_node, load_json, mapping, refuse
from bedside.types import Document

_SUFFIX = "vector_store.json"
_COPIES = ("_node_type", "document_id", "doc_id", "ref_doc_id")


def read_llama_index(path: str | os.PathLike[str], *, namespace: str | None = None) -> Iterator[Document]:
    """Yield the nodes of a ``StorageContext`` folder that have a vector, in the vector store's order.

    Texts and metadata are the docstore's. What else a node says (relationships, offsets, templates) is kept where
    Bedside's adapter for LlamaIndex looks for it, so the same nodes come back from a ``BedsideVectorStore``. Nodes
    without a vector, such as the parents of a hierarchy, are left out, and a warning says how many.

    The file of a ``SimpleVectorStore`` holds no texts: read alone it gives documents of vectors and metadata.

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
    file, vectors = _vector_store(folder, namespace)
    nodes = mapping(load_json(folder / "docstore.json"), "docstore.json").get("docstore/data") or {}
    records = Records()
    for id, vector in vectors.items():
        if id not in nodes:
            refuse("docstore.json", f"lacks the node of the vector that is number {len(records) + 1} in {file}")
        where = f"docstore.json, node {len(records) + 1}"
        text, metadata = from_node(mapping(nodes[id], where).get("__data__"), where)
        yield records.document(f"{file}, vector {len(records) + 1}", id, vector, metadata, text, is_split=True)
    if left := len(set(nodes) - set(vectors)):
        message = f"docstore.json: {left} nodes have no vector and were left out"
        warnings.warn(message, BedsideWarning, stacklevel=2)


def _vector_store(folder: Path, namespace: str | None) -> tuple[str, dict[str, Any]]:
    """The file that is meant, and its vectors by node id."""
    stores = {file.name.removesuffix(_SUFFIX).removesuffix("__"): file for file in folder.glob(f"*{_SUFFIX}")}
    if not stores:
        refuse(folder.name, f"expected a LlamaIndex storage folder with a file *{_SUFFIX}")
    vectors = {name: _embeddings(load_json(file), file.name) for name, file in stores.items()}
    filled = [name for name in vectors if vectors[name]] or list(vectors)[:1]
    chosen = choose(namespace, filled, folder.name, "namespace")
    return stores[chosen].name, vectors[chosen]


def _embeddings(raw: Any, where: str) -> dict[str, Any]:
    return mapping(mapping(raw, where).get("embedding_dict"), f"{where}: embedding_dict")


def _vectors_alone(file: Path) -> Iterator[Document]:
    raw = load_json(file)
    vectors = _embeddings(raw, file.name)
    metadata = mapping(raw.get("metadata_dict") or {}, f"{file.name}: metadata_dict")
    records = Records()
    for id, vector in vectors.items():
        where = f"{file.name}, vector {len(records) + 1}"
        held = mapping(metadata.get(id) or {}, f"{where}.metadata")
        kept = {key: value for key, value in held.items() if key not in _COPIES}
        yield records.document(where, id, vector, kept, is_split=True)
