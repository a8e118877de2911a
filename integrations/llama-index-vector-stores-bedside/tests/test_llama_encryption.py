"""``key=``: what LlamaIndex writes to an encrypted collection, and how it is opened again."""

from __future__ import annotations

import pytest
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside.errors import InvalidInputError, KeyRequired

KEY = bytes(range(32))


def test_a_store_with_a_key_is_encrypted_and_its_dict_holds_no_key(tmp_path) -> None:
    store = BedsideVectorStore(tmp_path / "notes", key=KEY)
    store.add([TextNode(id_="a-1", text="Paroxysmal tachycardia.", embedding=[1.0, 0.0])])
    store.persist(str(tmp_path / "pointer.json"))
    known = store.to_dict()
    with pytest.raises(InvalidInputError, match="key"):
        BedsideVectorStore(collection=store.client, key=KEY)
    store.close()
    assert "key" not in known
    assert b"tachycardia" not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    with pytest.raises(KeyRequired):
        BedsideVectorStore(tmp_path / "notes")
    for again in (
        BedsideVectorStore.from_dict(known, key=KEY),
        BedsideVectorStore.from_persist_path(str(tmp_path / "pointer.json"), key=KEY),
    ):
        assert again.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=1)).ids == ["a-1"]
        again.close()
