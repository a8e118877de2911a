"""Who acts, as LlamaIndex' instrumentation tags say it, in the audit trail of the store's collection."""

from __future__ import annotations

from pathlib import Path

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.schema import TextNode
from llama_index.vector_stores.bedside import BedsideNoteRetriever, BedsideVectorStore

from bedside import Collection
from bedside.audit import AuditLog, acting_as
from bedside.errors import ActorRequired


async def test_verbs_are_recorded_in_the_name_that_the_tags_say(tmp_path: Path) -> None:
    """From an index' add to a retriever's search, sync and async; ``acting_as`` holds where there are no tags."""
    audit = AuditLog(tmp_path / "audit", key=bytes(32))
    store = BedsideVectorStore(collection=Collection.open(audit=audit))
    with instrument_tags({"actor": "loader", "purpose": "import"}):
        index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
        index.insert_nodes([TextNode(id_="a", text="Chest pain.")])
    retriever = index.as_retriever(similarity_top_k=1)
    with instrument_tags({"actor": "dr.x", "purpose": "treatment"}):
        assert [found.node_id for found in retriever.retrieve("pain")] == ["a"]
        await retriever.aretrieve("pain")
    with acting_as("dr.y"):
        store.get_nodes(["a"])
        with instrument_tags({"purpose": "teaching"}):
            store.delete_nodes(["a"])
    told = [(line["actor"], line.get("purpose"), line["verb"]) for line in audit.entries()]
    assert told == [
        ("loader", "import", "add"),
        ("dr.x", "treatment", "search"),
        ("dr.x", "treatment", "search"),
        ("dr.y", None, "get"),
        ("dr.y", "teaching", "delete"),
    ]
    with pytest.raises(ActorRequired):
        retriever.retrieve("pain")


async def test_the_verbs_of_notes_are_recorded_in_that_name_too(tmp_path: Path) -> None:
    """Whole notes are added, searched, read and deleted in it, by the store and by a retriever of notes."""
    audit = AuditLog(tmp_path / "audit", key=bytes(32))
    store = BedsideVectorStore(collection=Collection.open(audit=audit))
    retriever = BedsideNoteRetriever(store)
    with instrument_tags({"actor": "dr.x"}):
        store.add_note("Chest pain on exertion.", id="visit-1")
        assert [found.node_id for found in retriever.retrieve("pain")] == ["visit-1"]
        await retriever.aretrieve("pain")
        store.history("visit-1")
        store.delete_note("visit-1")
    assert {line["actor"] for line in audit.entries()} == {"dr.x"}
    verbs = [line["verb"] for line in audit.entries()]
    read = ["search_notes", "get_note"] * 2
    assert verbs == ["add_notes", *read, "history", "delete_note"]
    with pytest.raises(ActorRequired):
        retriever.retrieve("pain")
