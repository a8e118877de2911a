"""Who acts, as a chain's config says it, in the audit trail of the store's collection."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_bedside import BedsideNoteRetriever, BedsideRetriever, BedsideVectorStore
from langchain_bedside.encoder import as_encoder
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from bedside import Collection
from bedside.audit import AuditLog, acting_as
from bedside.errors import ActorRequired

WHO = {"metadata": {"actor": "dr.x", "purpose": "treatment"}}


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", key=bytes(32))


@pytest.fixture
def store(embedding: DeterministicFakeEmbedding, audit: AuditLog) -> BedsideVectorStore:
    store = BedsideVectorStore(collection=Collection.open(encoder=as_encoder(embedding), audit=audit))
    with acting_as("loader"):
        store.add_texts(["Chest pain on exertion."], ids=["a"])
    return store


def told(audit: AuditLog) -> list[tuple[str, str | None]]:
    return [(line["actor"], line.get("purpose")) for line in audit.entries(verb="search")]


@pytest.mark.parametrize("kind", ["own", "store's"])
async def test_a_retriever_searches_in_the_name_that_the_config_says(
    store: BedsideVectorStore, audit: AuditLog, kind: str
) -> None:
    """Called alone and in a chain, sync, async and in batches."""
    retriever = BedsideRetriever(vectorstore=store) if kind == "own" else store.as_retriever()
    chain = {"found": retriever, "question": RunnablePassthrough()} | RunnableLambda(lambda said: said["found"])
    assert [found.id for found in retriever.invoke("pain", WHO)] == ["a"]
    await retriever.ainvoke("pain", WHO)
    chain.invoke("pain", WHO)
    await chain.ainvoke("pain", WHO)
    retriever.batch(["pain", "chest"], [WHO, {"metadata": {"actor": "dr.y"}}])
    assert sorted(told(audit), key=str) == [*[("dr.x", "treatment")] * 5, ("dr.y", None)]


async def test_a_retriever_of_notes_reads_in_the_name_that_the_config_says(
    store: BedsideVectorStore, audit: AuditLog
) -> None:
    """Whole notes are searched and read in it, so that a trail does not have to go without the better retriever."""
    with acting_as("loader"):
        store.add_note("Chest pain on exertion.", id="visit-1")
    retriever = BedsideNoteRetriever(vectorstore=store)
    assert [found.id for found in retriever.invoke("pain", WHO)] == ["visit-1"]
    await retriever.ainvoke("pain", WHO)
    lines = [line for line in audit.entries() if line["verb"] in {"search_notes", "get_note"}]
    assert [(line["verb"], line["actor"]) for line in lines] == [("search_notes", "dr.x"), ("get_note", "dr.x")] * 2
    with pytest.raises(ActorRequired):
        retriever.invoke("pain")


async def test_without_a_config_the_block_around_the_call_holds_and_without_either_nothing_is_found(
    store: BedsideVectorStore, audit: AuditLog
) -> None:
    """The context goes along to the threads of the async verbs."""
    with acting_as("dr.z"):
        store.similarity_search("pain")
        await store.asimilarity_search("pain")
        store.as_retriever().invoke("pain", {"metadata": {"purpose": "teaching"}})
    assert told(audit) == [("dr.z", None), ("dr.z", None), ("dr.z", "teaching")]
    with pytest.raises(ActorRequired):
        store.as_retriever().invoke("pain")
