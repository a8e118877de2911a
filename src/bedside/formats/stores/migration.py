"""From another store into a collection: everything is read and checked before the first record is added."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bedside.errors import EncoderMismatch, InvalidInputError, ScopeError
from bedside.formats.stores.chroma import read_chroma
from bedside.formats.stores.common import choose, refuse
from bedside.formats.stores.detect import detect
from bedside.formats.stores.faiss import read_faiss
from bedside.formats.stores.lance import read_lancedb
from bedside.formats.stores.langchain_memory import read_langchain
from bedside.formats.stores.llama_index import read_llama_index
from bedside.formats.stores.pinecone import read_pinecone
from bedside.formats.stores.qdrant import read_qdrant
from bedside.formats.vectra.read import read_documents
from bedside.records import ScopeKey, check_documents, check_scope
from bedside.types import Document
from bedside.verbs import Records

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
BATCH = 1_000
"""Records in one transaction."""
_PLACE = re.compile(r"^documents\[(\d+)\]")


def migrate(source: str | os.PathLike[str], records: Records, *, store: str | None = None, **options: Any) -> int:
    """Add the records of another store to a collection, or to one scope of it, and return how many there were.

    The source is read twice: first to its end, so that nothing is added of a store that is damaged, then in
    transactions of 1,000 records. A record with the id of one in the collection replaces it.

    Args:
        source: The store's folder or file; nothing should be writing to it.
        records: The collection, or a scoped view of it, which fills in the scope.
        store: One of :data:`READERS`; by default told by what is in the source.
        options: The reader's, such as ``text_key`` or ``allow_pickle``.

    Raises:
        InvalidInputError: An unknown store or option, or a record that is damaged or cannot be stored; the message
            names its place.
        ScopeError: A record lacks a scope key, or names another scope than the view's.
        EncoderMismatch: The vectors have another dimension than the collection's.
        MissingExtraError: The store's own library, with which it is read, is not installed.

    Example:
        >>> from bedside.formats.vectra import write_documents
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_documents(folder, [Document("BP 120/80.", {"ward": "icu"}, id="n1", vector=[0.6, 0.8])])
        1
        >>> notes = Collection.open()
        >>> migrate(folder, notes), notes.get(["n1"])[0].text
        (1, 'BP 120/80.')
    """
    read = opened(source, store, **options)
    scope = check_scope(records.scope, records.scope_keys) if records.scope else None
    check(read(), records.scope_keys, scope, records.dimension)
    return sum(len(records.add(batch)) for batch in _batches(read()))


def opened(
    source: str | os.PathLike[str], store: str | None = None, **options: Any
) -> Callable[[], Iterator[Document]]:
    """A function that reads the source from its beginning each time it is called; raises as :func:`migrate`."""
    path = Path(source)
    if not path.exists():
        refuse(path.name, "there is no such folder or file")
    name = detect(path) if store is None else store
    if name is None:
        refuse(path.name, f"none of the stores that can be read: {', '.join(READERS)}")
    read = READERS[choose(name, list(READERS), path.name, "store")]
    if unknown := sorted(options.keys() - inspect.signature(read).parameters.keys()):
        taken = ", ".join(key for key in inspect.signature(read).parameters if key != "path") or "none"
        raise InvalidInputError(f"{unknown[0]}: not an option of {name}; its options: {taken}")
    return lambda: read(path, **options)


def check(
    documents: Iterator[Document],
    scope_keys: Sequence[str] = (),
    scope: ScopeKey | None = None,
    dimension: int | None = None,
) -> int:
    """Read all documents, refuse the first that a collection would refuse, and return how many there are."""
    count = 0
    for batch in _batches(documents):
        try:
            check_documents(batch, scope_keys, scope)
        except (InvalidInputError, ScopeError) as error:
            raise type(error)(_placed(str(error), count)) from None
        found = len(_vector(batch[0]))
        if dimension and found != dimension:
            raise EncoderMismatch(f"the store's vectors have dimension {found}, and the collection's {dimension}")
        count += len(batch)
    return count


def _placed(message: str, start: int) -> str:
    """The message with the record's number in the store instead of the one in its batch."""
    return _PLACE.sub(lambda at: f"record {start + int(at[1])}", message)


def _vector(document: Document) -> Sequence[float]:
    vector: Any = document.vector
    return () if vector is None else vector


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(documents, BATCH)):
        yield batch
