"""The readers by name, with their options checked: what ``bedside migrate`` offers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bedside.errors import InvalidInputError
from bedside.formats.foreign import choose, refuse
from bedside.formats.stores.chroma import read_chroma
from bedside.formats.stores.detect import detect
from bedside.formats.stores.faiss import read_faiss
from bedside.formats.stores.lance import read_lancedb
from bedside.formats.stores.langchain_memory import read_langchain
from bedside.formats.stores.llama_index import read_llama_index
from bedside.formats.stores.pinecone import read_pinecone
from bedside.formats.stores.qdrant import read_qdrant
from bedside.formats.vectra.read import read_documents, read_notes
from bedside.types import Document

READERS: Mapping[str, Callable[..., Iterator[Document]]] = {
    "vectra": read_documents,
    "llama-index": read_llama_index,
    "langchain": read_langchain,
    "chroma": read_chroma,
    "lancedb": read_lancedb,
    "faiss": read_faiss,
    "qdrant": read_qdrant,
    "pinecone": read_pinecone,
}
"""The reader of each store by the name that ``bedside migrate --from`` takes."""
NOTE_READERS: Mapping[str, Callable[[Path], Iterator[Document]]] = {"vectra": read_notes}
"""Of the stores that keep whole documents beside their passages, the reader of these."""


def store_of(source: str | os.PathLike[str], store: str | None = None, options: Mapping[str, Any] | None = None) -> str:
    """The name of the store that was given, or that the source is, after a look at the options.

    Raises:
        UnreadableFileError: There is no source, or it is not a store of :data:`READERS`.
        InvalidInputError: An unknown store, or an option that its reader lacks.
    """
    path = Path(source)
    if not path.exists():
        refuse(path.name, "there is no such folder or file")
    name = detect(path) if store is None else store
    if name is None:
        refuse(path.name, f"none of the stores that can be read: {', '.join(READERS)}")
    name = choose(name, list(READERS), path.name, "store")
    taken = [key for key in inspect.signature(READERS[name]).parameters if key != "path"]
    if unknown := sorted(set(options or ()) - set(taken)):
        raise InvalidInputError(f"{unknown[0]}: not an option of {name}; its options: {', '.join(taken) or 'none'}")
    return name
