"""Move to Bedside from the stores you have, through the framework objects you already hold.

Texts, metadata, ids and vectors go along, so nothing is encoded again: give the embedding model that wrote the old
store as the new one's ``embedding``. (``bedside migrate`` reads the files of these stores without the framework.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from langchain_bedside import BedsideVectorStore
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import StorageContext
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexBedsideVectorStore

from bedside import Document

if TYPE_CHECKING:  # only the store that you come from has to be installed
    from langchain_chroma import Chroma
    from langchain_community.vectorstores import FAISS
    from langchain_qdrant import QdrantVectorStore

BATCH = 1000


def from_in_memory(old: InMemoryVectorStore) -> Iterator[Document]:
    """Read LangChain's ``InMemoryVectorStore``."""
    for entry in old.store.values():
        yield Document(entry["text"], entry["metadata"], entry["id"], entry["vector"])


def from_chroma(old: Chroma) -> Iterator[Document]:
    """Read a Chroma collection, page by page."""
    offset = 0
    while (page := old.get(limit=BATCH, offset=offset, include=["documents", "metadatas", "embeddings"]))["ids"]:
        rows = zip(page["documents"], page["metadatas"], page["ids"], page["embeddings"], strict=True)
        for text, metadata, id, vector in rows:
            yield Document(text, metadata or {}, id, vector)
        offset += len(page["ids"])


def from_faiss(old: FAISS) -> Iterator[Document]:
    """Read a FAISS index with its docstore; its vectors come back as the index kept them."""
    for position, id in old.index_to_docstore_id.items():
        document: Any = old.docstore.search(id)
        yield Document(document.page_content, document.metadata, id, old.index.reconstruct(position))


def from_qdrant(old: QdrantVectorStore) -> Iterator[Document]:
    """Read a Qdrant collection, page by page."""
    offset: Any = None
    while True:
        points, offset = old.client.scroll(old.collection_name, limit=BATCH, offset=offset, with_vectors=True)
        for point in points:
            payload: dict[str, Any] = point.payload or {}
            named: Any = point.vector
            vector = named[old.vector_name] if isinstance(named, dict) else named
            metadata = payload.get(old.metadata_payload_key) or {}
            yield Document(payload[old.content_payload_key], metadata, str(point.id), vector)
        if offset is None:
            return


def move_to_langchain(documents: Iterable[Document], new: BedsideVectorStore) -> int:
    """Write what was read into a new store for LangChain and count it; a second run replaces, and adds nothing."""
    return len(new.collection.add(list(documents)))


def move_simple_vector_store(old: StorageContext, new: LlamaIndexBedsideVectorStore) -> int:
    """Move LlamaIndex' ``SimpleVectorStore`` with the docstore beside it, nodes whole, and count the nodes."""
    store = old.vector_store
    if not isinstance(store, SimpleVectorStore):
        raise TypeError(f"expected a SimpleVectorStore, got {type(store).__name__}")
    vectors = store.data.embedding_dict
    nodes = old.docstore.get_nodes(list(vectors))
    return len(new.add([node.model_copy(update={"embedding": vectors[node.node_id]}) for node in nodes]))
