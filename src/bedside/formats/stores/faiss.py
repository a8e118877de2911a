"""LangChain's FAISS folders: ``index.faiss`` with the vectors, ``index.pkl`` with the docstore."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedside.formats.fields import kind
from bedside.formats.foreign import Records, library, mapping, refuse
from bedside.formats.stores.pickles import attributes, check_allowed, loads
from bedside.types import Document

_DOCSTORES = ("langchain_community.docstore.in_memory", "langchain_classic.docstore.in_memory")
_DOCUMENTS = ("langchain_core.documents.base", "langchain_core.documents", "langchain.schema.document")
_OLD = {("langchain.docstore.in_memory", "InMemoryDocstore"), ("langchain.docstore.document", "Document")}
_CLASSES = (
    {(module, "InMemoryDocstore") for module in _DOCSTORES}
    | {(module, "Document") for module in (*_DOCUMENTS, "langchain.schema")}
    | _OLD
)


def read_faiss(
    path: str | os.PathLike[str], *, allow_pickle: bool = False, index_name: str = "index"
) -> Iterator[Document]:
    """Yield the documents of a folder that LangChain's ``FAISS.save_local`` wrote, in the index's order.

    The vectors are those that the index holds: a store that was made with ``normalize_L2=True`` holds them at length
    one, and the folder does not say so.

    Args:
        path: The folder.
        allow_pickle: The docstore is a pickle, which nobody's default should be to read. With ``True``, only plain
            data and LangChain's two docstore classes are let in.
        index_name: As it was given to ``save_local``.

    Raises:
        InvalidInputError: Without ``allow_pickle``.
        UnreadableFileError: A file is damaged, names a class that is not let in, or the index is not flat, so that
            it no longer has the vectors that it was given.
        MissingExtraError: faiss is not installed.
    """
    folder = Path(path)
    index_file, docstore_file = folder / f"{index_name}.faiss", folder / f"{index_name}.pkl"
    check_allowed(allow_pickle, docstore_file.name)
    documents, ids = _docstore(docstore_file)
    index = _flat(index_file)
    if sorted(ids) != list(range(index.ntotal)):
        refuse(docstore_file.name, f"names {len(ids)} rows, and {index_file.name} holds {index.ntotal}")
    records = Records()
    for row in range(index.ntotal):
        where = f"{docstore_file.name}: row {row}"
        if ids[row] not in documents:
            refuse(where, "its document is not in the docstore")
        held = attributes(documents[ids[row]], where)
        text, metadata = held.get("page_content"), held.get("metadata") or {}
        if not isinstance(text, str):
            refuse(f"{where}.page_content", f"expected a string, got {kind(text)}")
        yield records.document(where, ids[row], index.reconstruct(row), metadata, text, is_split=True)


def _docstore(file: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """The documents by id, and the id of each row."""
    loaded = loads(_bytes(file), _CLASSES, file.name)
    if not isinstance(loaded, tuple) or len(loaded) != 2 or not isinstance(loaded[1], dict):
        refuse(file.name, "expected a docstore and a mapping of rows to ids")
    documents = mapping(attributes(loaded[0], file.name).get("_dict"), f"{file.name}: the docstore")
    if not all(type(row) is int for row in loaded[1]):
        refuse(file.name, "expected rows that are whole numbers")
    return documents, loaded[1]


def _flat(file: Path) -> Any:
    """The index that holds the vectors as they were given, or a refusal."""
    faiss = library("faiss", "faiss-cpu")
    try:
        index = faiss.read_index(str(file))
    except RuntimeError:
        refuse(file.name, "not a whole FAISS index")
    if not isinstance(index, faiss.IndexFlat | faiss.IndexHNSWFlat):
        refuse(file.name, f"an {type(index).__name__}; only a flat index, or HNSW over one, has the vectors as given")
    return index


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        refuse(file.name, f"cannot be read: {error.strerror}")
