"""Moving from another store keeps ids, texts, metadata and vectors, and finds the same with the same scores."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from langchain_bedside import BedsideEmbeddings, BedsideVectorStore, as_encoder
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexBedsideVectorStore

EXAMPLES = Path(__file__).parent.parent / "examples"
EMBEDDING = BedsideEmbeddings(model="bedside/static")
FINDINGS = ["chest pain", "dry cough", "knee pain", "HbA1c 9.1 %", "metformin 500 mg", "no fever", "palpitations"]
NOTES = [
    Document(
        f"{finding}, day {i}",
        id=f"00000000-0000-0000-0000-0000000000{i:02}",
        metadata={"patient_id": "AB"[i % 2], "year": 2000 + i},
    )
    for i, finding in enumerate(FINDINGS * 4)
]
QUESTION = "angina on day 7"


@pytest.fixture
def migrate(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = importlib.import_module("migrate")
    monkeypatch.setattr(module, "BATCH", 10)  # several pages
    return module


def chroma(folder):
    from langchain_chroma import Chroma

    return Chroma("notes", EMBEDDING, str(folder), collection_metadata={"hnsw:space": "cosine"})


def faiss(_):
    from langchain_community.vectorstores import FAISS

    return FAISS.from_documents([Document("to be deleted", id="first")], EMBEDDING)


def qdrant(_):
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(":memory:")
    client.create_collection("notes", VectorParams(size=EMBEDDING.dims, distance=Distance.COSINE))
    return QdrantVectorStore(client, "notes", EMBEDDING)


STORES = {"from_in_memory": lambda _: InMemoryVectorStore(EMBEDDING), "from_chroma": chroma, "from_faiss": faiss}
STORES["from_qdrant"] = qdrant


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", STORES)
def test_a_langchain_store_moves_whole(migrate, tmp_path, name):
    """The same documents come out, their vectors unchanged, and a search ranks them as before."""
    old = STORES[name](tmp_path / "old")
    old.add_documents(NOTES)
    if name == "from_faiss":
        old.delete(["first"])
    new = BedsideVectorStore(EMBEDDING, tmp_path / "new.bedside")
    assert migrate.move_to_langchain(getattr(migrate, name)(old), new) == len(NOTES)
    found = {document.id: document for document in new.get(filter={})}
    assert [(found[note.id].page_content, found[note.id].metadata) for note in NOTES] == [
        (note.page_content, note.metadata) for note in NOTES
    ]
    ranked = new.similarity_search_with_score(QUESTION, k=5)
    assert [document.metadata["year"] for document, _ in ranked] == [
        document.metadata["year"] for document in old.similarity_search(QUESTION, k=5)
    ]
    fresh = BedsideVectorStore.from_documents(NOTES, EMBEDDING)
    expected = {document.id: score for document, score in fresh.similarity_search_with_score(QUESTION, k=5)}
    np.testing.assert_allclose([score for _, score in ranked], [expected[d.id] for d, _ in ranked], atol=1e-6)


def test_a_second_move_adds_nothing(migrate):
    old = InMemoryVectorStore(EMBEDDING)
    old.add_documents(NOTES)
    new = BedsideVectorStore(EMBEDDING)
    for _ in range(2):
        migrate.move_to_langchain(migrate.from_in_memory(old), new)
    assert new.count() == len(NOTES)


def test_a_simple_vector_store_moves_with_its_nodes_whole(migrate, tmp_path):
    """From a persisted storage context; the index over the new store answers with the same nodes and scores."""
    from llama_index.core.embeddings import MockEmbedding

    vectors = EMBEDDING.embed_documents([note.page_content for note in NOTES])
    nodes = [
        TextNode(id_=note.id, text=note.page_content, metadata=note.metadata, embedding=vector, start_char_idx=3)
        for note, vector in zip(NOTES, vectors, strict=True)
    ]
    old = StorageContext.from_defaults()
    VectorStoreIndex(nodes, storage_context=old, embed_model=MockEmbedding(EMBEDDING.dims), store_nodes_override=True)
    old.persist(str(tmp_path / "old"))
    old = StorageContext.from_defaults(persist_dir=str(tmp_path / "old"))
    new = LlamaIndexBedsideVectorStore(tmp_path / "new.bedside", encoder=as_encoder(EMBEDDING))
    assert migrate.move_simple_vector_store(old, new) == len(NOTES)
    assert {node.node_id: node.text for node in new.get_nodes()} == {node.node_id: node.text for node in nodes}
    assert {node.start_char_idx for node in new.get_nodes()} == {3}
    query = VectorStoreQuery(query_embedding=EMBEDDING.embed_query(QUESTION), similarity_top_k=5)
    found, expected = new.query(query), old.vector_store.query(query)
    assert found.ids == expected.ids
    np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-6)
    with pytest.raises(TypeError, match="SimpleVectorStore"):
        migrate.move_simple_vector_store(StorageContext.from_defaults(vector_store=new), new)
