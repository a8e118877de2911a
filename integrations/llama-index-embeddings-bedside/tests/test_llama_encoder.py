"""Any LlamaIndex embedding model serves a Bedside collection as its encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.embeddings.bedside import BedsideEmbedding, LlamaIndexEncoder, as_encoder

from bedside import Collection
from bedside.errors import EncoderMismatch, InvalidInputError, InvalidVectorError
from bedside.types import Encoder

WORDS = ["chest", "pain", "ankle", "fever"]


class Counted(BaseEmbedding):
    """How often each known word occurs; a query also gets a mark, so that the two methods can be told apart."""

    size: int = len(WORDS) + 1

    def _vector(self, text: str, mark: float) -> list[float]:
        return [*(float(text.lower().count(word)) for word in WORDS), mark][: self.size]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector(query, 0.5)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text, 0.1)


class Broken(Counted):
    """Leaves out the last vector."""

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return super()._get_text_embeddings(texts)[:-1]


def test_texts_and_queries_go_through_the_models_two_methods_in_order() -> None:
    encoder = as_encoder(Counted(model_name="counted", embed_batch_size=2))
    assert isinstance(encoder, Encoder)
    assert (encoder.name.endswith("(counted)"), encoder.dimension, encoder.fingerprint) == (True, None, None)
    documents = encoder.encode_documents(text for text in ("Fever.", "Chest pain.", "Ankle pain."))
    np.testing.assert_allclose(documents, [[0, 0, 0, 1, 0.1], [1, 1, 0, 0, 0.1], [0, 1, 1, 0, 0.1]], atol=1e-6)
    np.testing.assert_allclose(encoder.encode_queries(["Fever?"]), [[0, 0, 0, 1, 0.5]])
    assert documents.dtype == np.float32
    assert encoder.encode_documents([]).shape == encoder.encode_queries([]).shape == (0, 5)


def test_a_collection_searches_with_it_and_refuses_another_length(tmp_path: Any) -> None:
    with Collection.open(tmp_path / "notes", encoder=as_encoder(Counted())) as notes:
        notes.add(["Chest pain on exertion.", "Ankle sprain after a fall."])
        assert notes.search("pain in the chest", mode="dense", top_k=1)[0].text.startswith("Chest")
    with (
        pytest.raises(EncoderMismatch),
        Collection.open(tmp_path / "notes", encoder=as_encoder(Counted(size=3))) as notes,
    ):
        notes.add(["Fever."])


def test_a_bedside_model_hands_over_the_encoder_it_wraps(minilm: BedsideEmbedding) -> None:
    assert as_encoder(minilm) is minilm.encoder


def test_one_string_and_a_model_that_loses_a_vector_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="put it in a list"):
        LlamaIndexEncoder(Counted()).encode_documents("Fever.")
    with pytest.raises(InvalidVectorError, match="gave 1 vectors"):
        LlamaIndexEncoder(Broken()).encode_documents(["Fever.", "Pain."])
