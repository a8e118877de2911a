"""What the vector store's tests share: an embedding model that needs no weights, and stores in memory and on disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import pytest_socket
from llama_index.core import Settings
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.vector_stores.bedside import BedsideVectorStore


class WordEmbedding(BaseEmbedding):
    """Texts with words in common have vectors in common: each word adds a pseudorandom vector of its own."""

    embed_dim: int = 64

    @classmethod
    def class_name(cls) -> str:
        return "WordEmbedding"

    def _get_vector(self, text: str = "") -> list[float]:
        total = np.full(self.embed_dim, 0.01)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
            total += np.random.default_rng(seed).normal(size=self.embed_dim)
        return (total / np.linalg.norm(total)).astype(np.float32).tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_vector(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_vector(text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_vector(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_vector(text)


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


@pytest.fixture(autouse=True)
def embed_model(monkeypatch: pytest.MonkeyPatch) -> WordEmbedding:
    """The embedding model, also as the framework's default, beside a model that repeats its prompt."""
    monkeypatch.setattr(Settings, "_embed_model", WordEmbedding())
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    return Settings.embed_model


@pytest.fixture(params=["memory", "disk", pytest.param("postgres", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BedsideVectorStore]:
    places = {"memory": lambda: None, "disk": lambda: tmp_path / "notes.bedside"}
    opened = BedsideVectorStore((places.get(request.param) or request.getfixturevalue("postgres"))())
    yield opened
    opened.close()


@pytest.fixture
def make_node() -> Callable[..., TextNode]:
    """``make_node("id", "text", source="doc", section="HPI")``: a node with its embedding."""

    def make(id_: str, text: str, source: str | None = None, **metadata: object) -> TextNode:
        related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)} if source else {}
        vector = WordEmbedding().get_text_embedding(text)
        return TextNode(id_=id_, text=text, metadata=metadata, relationships=related, embedding=vector)

    return make


@pytest.fixture
def notes(make_node: Callable[..., TextNode]) -> list[TextNode]:
    return [
        make_node("a-0", "Chest pain on exertion for two weeks.", "a", section="HPI", year=2021),
        make_node("a-1", "Troponin 0.04 ng/mL, blood pressure 120/80.", "a", section="LABS", year=2021),
        make_node("b-0", "No chest pain. Shortness of breath at night.", "b", section="HPI", year=2023),
        make_node("b-1", "Metoprolol 25 mg twice daily.", "b", section="PLAN", year=2024),
        make_node("lone", "Family history of diabetes.", None, section="FH"),
    ]
