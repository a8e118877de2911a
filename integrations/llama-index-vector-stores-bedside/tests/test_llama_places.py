"""Pipelines and indexes over a store that is divided by patient: each patient's notes are replaced and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside.errors import InvalidInputError, ScopeRequired


@pytest.fixture
def wards() -> BedsideVectorStore:
    return BedsideVectorStore(scope_keys=["patient_id"])


def pipeline(store: BedsideVectorStore, embed_model: BaseEmbedding, strategy: DocstoreStrategy) -> IngestionPipeline:
    return IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=32, chunk_overlap=0), embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=strategy,
    )


def note(id: str, patient: str, text: str) -> Document:
    return Document(text=text, id_=id, metadata={"patient_id": patient})


def texts(store: BedsideVectorStore, patient: str) -> list[str]:
    return [node.get_content() for node in store.scoped(patient_id=patient).get_nodes()]


@pytest.mark.parametrize("run", [lambda p, d: p.run(documents=d), lambda p, d: asyncio.run(p.arun(documents=d))])
def test_a_pipeline_replaces_the_note_that_changed_and_no_other_patients(
    wards: BedsideVectorStore, embed_model: BaseEmbedding, run: Callable[[IngestionPipeline, list[Document]], object]
) -> None:
    ingest = pipeline(wards, embed_model, DocstoreStrategy.UPSERTS)
    run(ingest, [note("a1", "A", "Penicillin is tolerated."), note("b1", "B", "No known allergies.")])
    run(ingest, [note("a1", "A", "Allergic to penicillin."), note("b1", "B", "No known allergies.")])
    assert texts(wards, "A") == ["Allergic to penicillin."]
    assert texts(wards, "B") == ["No known allergies."]


def test_a_pipeline_deletes_the_note_that_is_gone(wards: BedsideVectorStore, embed_model: BaseEmbedding) -> None:
    ingest = pipeline(wards, embed_model, DocstoreStrategy.UPSERTS_AND_DELETE)
    ingest.run(documents=[note("a1", "A", "Penicillin is tolerated."), note("b1", "B", "No known allergies.")])
    ingest.run(documents=[note("b1", "B", "No known allergies.")])
    assert (texts(wards, "A"), texts(wards, "B")) == ([], ["No known allergies."])


def test_an_id_that_two_patients_have_is_not_deleted_without_saying_whose(
    wards: BedsideVectorStore, make_node: Callable[..., TextNode]
) -> None:
    wards.add([make_node(f"{p}-0", f"Note of {p}.", "same", patient_id=p) for p in "AB"])
    wards.add([make_node("both", f"More of {p}.", patient_id=p) for p in "AB"])
    for delete in (lambda: wards.delete("same"), lambda: wards.delete_nodes(["both", "A-0"])):
        with pytest.raises(ScopeRequired, match=r"several scopes hold this id.*collection\.scoped\(patient_id=…\)"):
            delete()
    assert len(texts(wards, "A")) == len(texts(wards, "B")) == 2
    wards.scoped(patient_id="A").delete("same")
    wards.scoped(patient_id="A").delete_nodes(["both"])
    assert (len(texts(wards, "A")), len(texts(wards, "B"))) == (0, 2)


def test_an_index_deletes_nodes_of_several_patients_by_their_ids(
    wards: BedsideVectorStore, make_node: Callable[..., TextNode]
) -> None:
    wards.add([make_node(f"{p}-{n}", f"Note {n} of {p}.", patient_id=p) for p in "AB" for n in range(2)])
    VectorStoreIndex.from_vector_store(wards).delete_nodes(["A-0", "B-1", "gone"])
    assert (texts(wards, "A"), texts(wards, "B")) == (["Note 1 of A."], ["Note 0 of B."])
    wards.delete("gone")
    wards.delete_nodes([])
    with pytest.raises(ScopeRequired):
        wards.clear()
    with pytest.raises(InvalidInputError):
        wards.delete_nodes()


def test_a_scoped_store_looks_at_its_scope_alone(wards: BedsideVectorStore, make_node: Callable[..., TextNode]) -> None:
    wards.add([make_node("b", "Note of B.", "doc", patient_id="B")])
    wards.scoped(patient_id="A").delete("doc")
    wards.scoped(patient_id="A").delete_nodes(["b"])
    assert texts(wards, "B") == ["Note of B."]
