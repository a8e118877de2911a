"""Nodes as LlamaIndex' readers hand them over: dates, paths, broken pages, ids given twice."""

from __future__ import annotations

import asyncio
import datetime
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import VectorMemory
from llama_index.core.schema import TextNode
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside.errors import InvalidDocumentError, InvalidInputError, NotANumberError

DAY = datetime.date(2024, 5, 31)


def test_what_readers_put_into_metadata_is_stored_in_nodes_and_their_relationships(store: BedsideVectorStore) -> None:
    """A node repeats its document's metadata in its relationship to it."""
    values = {"seen": DAY, "path": Path("a.txt"), "score": np.float32(0.5), "box": (1, 2)}
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex.from_documents([Document(text="Chest pain.", metadata=values)], storage_context=context)
    node = store.get_nodes()[0]
    expected = {"seen": "2024-05-31", "path": "a.txt", "score": 0.5, "box": [1, 2]}
    assert node.metadata == expected
    assert node.source_node is not None
    assert node.source_node.metadata == expected


def test_a_nan_is_refused_by_name_or_null_by_choice(make_node: Callable[..., TextNode]) -> None:
    with pytest.raises(NotANumberError, match=r"metadata\.age"):
        BedsideVectorStore().add([make_node("n1", "BP.", age=float("nan"))])
    store = BedsideVectorStore(on_nan="null")
    store.add([make_node("n1", "BP.", age=float("nan"))])
    assert store.get_nodes()[0].metadata == {"age": None}


def test_what_has_no_obvious_form_is_refused(store: BedsideVectorStore, make_node: Callable[..., TextNode]) -> None:
    with pytest.raises(InvalidDocumentError, match=r"metadata\.tags"):
        store.add([make_node("n1", "BP.", tags={"a"})])
    with pytest.raises(InvalidDocumentError, match="got date"):
        BedsideVectorStore(on_unstorable="raise").add([make_node("n1", "BP.", seen=DAY)])


def test_one_bad_page_keeps_no_other_out_where_that_is_asked_for(make_node: Callable[..., TextNode]) -> None:
    nodes = [make_node("p1", "Chest pain."), TextNode(id_="p2", text=" "), make_node("p3", "Dose \ud835.")]
    with pytest.raises(InvalidDocumentError, match=r"documents\[1\].*p2"):
        BedsideVectorStore().add(nodes)
    for store in (BedsideVectorStore(on_bad_document="skip"), BedsideVectorStore(on_bad_document="skip").scoped()):
        assert store.add(nodes) == ["p1", "p3"]
        assert [(skipped.index, skipped.id) for skipped in store.skipped] == [(1, "p2")]
        assert [node.get_content() for node in store.get_nodes()] == ["Chest pain.", "Dose \ufffd."]


def test_the_last_of_an_id_counts(store: BedsideVectorStore, make_node: Callable[..., TextNode]) -> None:
    assert store.add([make_node("n1", "First."), make_node("n1", "Last.")]) == ["n1", "n1"]
    assert asyncio.run(store.async_add([make_node("n2", "First."), make_node("n2", "Last.")])) == ["n2", "n2"]
    assert [node.get_content() for node in store.get_nodes()] == ["Last.", "Last."]


def test_the_settings_go_with_the_store(tmp_path: Path, make_node: Callable[..., TextNode]) -> None:
    """Into its dict, its pickle and its scoped views."""
    given: dict[str, Any] = {"on_unstorable": "raise", "on_nan": "null", "on_bad_document": "skip"}
    store = BedsideVectorStore(tmp_path / "notes", **given, scope_keys=["patient"])
    for other in (
        BedsideVectorStore.from_dict(store.to_dict()),
        pickle.loads(pickle.dumps(store)),  # noqa: S301 - its own
        store.scoped(patient="A"),
    ):
        assert {name: getattr(other, name) for name in given} == given
        assert other.add([make_node("n1", "BP.", patient="A", seen=DAY)]) == []
    for name in given:
        with pytest.raises(InvalidInputError, match=f"^{name}: expected one of"):
            BedsideVectorStore(**{name: "magic"})


def test_vector_memory_works(store: BedsideVectorStore) -> None:
    """It keeps whole chat messages in metadata, and replaces its last node message by message."""
    memory = VectorMemory.from_defaults(vector_store=store, retriever_kwargs={"similarity_top_k": 1})
    said = [
        ("user", "Jerry likes juice."),
        ("user", "Bob likes burgers."),
        ("assistant", "Really?"),
        ("user", "Alice sings."),
    ]
    for role, text in said:
        memory.put(ChatMessage(role=role, content=text, additional_kwargs={"at": DAY}))
    assert [message.content for message in memory.get("What does Bob like, burgers?")] == [
        "Bob likes burgers.",
        "Really?",
    ]
    assert len(store.get_nodes()) == 3
    memory.reset()
    assert store.get_nodes() == []
