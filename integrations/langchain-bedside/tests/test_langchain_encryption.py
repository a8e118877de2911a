"""``key=``: what LangChain writes to an encrypted collection, and how it is opened again."""

from __future__ import annotations

import pytest
from langchain_bedside import BedsideVectorStore
from langchain_core.embeddings import DeterministicFakeEmbedding

from bedside.errors import InvalidInputError, KeyRequired, WrongKeyError

KEY = bytes(range(32))


def test_a_store_with_a_key_is_encrypted_and_opens_with_that_key_alone(tmp_path) -> None:
    embedding = DeterministicFakeEmbedding(size=8)
    store = BedsideVectorStore.from_texts(["Paroxysmal tachycardia."], embedding, path=tmp_path / "notes", key=KEY)
    store.close()
    assert b"tachycardia" not in (tmp_path / "notes/log-000001.jsonl").read_bytes()
    for key, error in ((None, KeyRequired), (bytes(32), WrongKeyError)):
        with pytest.raises(error):
            BedsideVectorStore(embedding, tmp_path / "notes", key=key)
    store = BedsideVectorStore(embedding, tmp_path / "notes", key=KEY)
    assert [found.page_content for found in store.similarity_search("tachycardia", k=1)] == ["Paroxysmal tachycardia."]
    with pytest.raises(InvalidInputError, match="key and collection"):
        BedsideVectorStore(embedding, collection=store.collection, key=KEY)
    store.close()
