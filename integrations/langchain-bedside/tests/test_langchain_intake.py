"""Documents as LangChain's loaders and retrievers hand them over: dates, paths, broken pages, ids given twice."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import BedsideRecordManager, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import index

from bedside.errors import InvalidDocumentError, InvalidInputError, NotANumberError, ReadOnlyError

try:
    from langchain_classic.retrievers import TimeWeightedVectorStoreRetriever
except ImportError:  # before LangChain 1.0
    from langchain.retrievers import TimeWeightedVectorStoreRetriever

PAGES = ["Chest pain.", "Formula \ud835 of the dose.", "Knee pain."]


class Native(DeterministicFakeEmbedding):
    """A model with a coroutine of its own."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)


@pytest.fixture(params=[DeterministicFakeEmbedding, Native])
def model(request: pytest.FixtureRequest) -> Embeddings:
    embedding: Embeddings = request.param(size=8)
    return embedding


ADDS: list[Callable[[BedsideVectorStore, list[Document]], list[str]]] = [
    lambda store, documents: store.add_documents(documents),
    lambda store, documents: asyncio.run(store.aadd_documents(documents)),
    lambda store, documents: store.add_texts(
        [d.page_content for d in documents], [d.metadata for d in documents], ids=[d.id for d in documents]
    ),
]


@pytest.mark.parametrize("add", ADDS)
def test_what_loaders_put_into_metadata_is_stored(model: Embeddings, add: Any) -> None:
    store = BedsideVectorStore(model)
    seen = datetime.datetime(2024, 5, 31, 9, tzinfo=datetime.timezone.utc)
    given = Document("BP 120/80.", id="n1", metadata={"seen": seen, "source": Path("a.txt"), "bbox": (1, 2)})
    add(store, [given])
    assert store.get(["n1"])[0].metadata == {"seen": seen.isoformat(), "source": "a.txt", "bbox": [1, 2]}
    assert store.count({"seen": {"$gte": datetime.date(2024, 5, 31)}}) == 1
    assert given.metadata["seen"] is seen


@pytest.mark.parametrize("add", ADDS)
def test_one_bad_page_keeps_no_other_out_where_that_is_asked_for(model: Embeddings, add: Any) -> None:
    documents = [Document("Chest pain.", id="p1"), Document(" ", id="p2"), Document("Knee pain.", id="p3")]
    with pytest.raises(InvalidDocumentError, match=r"documents\[1\].*p2"):
        add(BedsideVectorStore(model), documents)
    store = BedsideVectorStore(model, on_bad_document="skip", scope_keys=["patient"]).scoped(patient="A")
    assert add(store, documents) == ["p1", "p3"]
    assert [(skipped.index, skipped.id) for skipped in store.skipped] == [(1, "p2")]
    assert store.count() == 2


@pytest.mark.parametrize("add", ADDS)
def test_a_lone_surrogate_keeps_no_page_out(model: Embeddings, add: Any) -> None:
    store = BedsideVectorStore(model)
    add(store, [Document(page, id=str(n)) for n, page in enumerate(PAGES)])
    assert store.get(["1"])[0].page_content == "Formula \ufffd of the dose."
    with pytest.raises(InvalidDocumentError, match="lone surrogate"):
        add(BedsideVectorStore(model, on_unstorable="raise"), [Document(page, id=page[0]) for page in PAGES])


@pytest.mark.parametrize("add", ADDS)
def test_the_last_of_an_id_counts(model: Embeddings, add: Any) -> None:
    store = BedsideVectorStore(model)
    assert add(store, [Document("First.", id="n1"), Document("Last.", id="n1")]) == ["n1", "n1"]
    assert [document.page_content for document in store.get(filter={})] == ["Last."]


def test_embeddings_at_hand_are_taken_in_the_same_way(model: Embeddings) -> None:
    store = BedsideVectorStore(model)
    pairs = [("First \ud835.", [1.0] * 8), ("Last.", [2.0] * 8)]
    store.add_embeddings(pairs, [{"day": datetime.date(2024, 1, 1)}] * 2, ids=["n1", "n1"])
    assert store.get(["n1"])[0] == Document("Last.", id="n1", metadata={"day": "2024-01-01"})


def test_a_nan_is_refused_by_name_or_null_by_choice(model: Embeddings) -> None:
    with pytest.raises(NotANumberError, match=r"metadata\.age"):
        BedsideVectorStore(model).add_texts(["x"], [{"age": float("nan")}])
    store = BedsideVectorStore(model, on_nan="null")
    store.add_texts(["x"], [{"age": float("nan")}], ids=["n1"])
    assert store.get(["n1"])[0].metadata == {"age": None}


def test_a_wrong_setting_is_refused_before_a_folder_is_made(model: Embeddings, tmp_path: Path) -> None:
    for name in ("on_unstorable", "on_nan", "on_bad_document"):
        given: dict[str, Any] = {name: "magic"}
        with pytest.raises(InvalidInputError, match=f"^{name}: expected one of"):
            BedsideVectorStore(model, tmp_path / "new", **given)
    assert list(tmp_path.iterdir()) == []


async def test_the_time_weighted_retriever_works(model: Embeddings) -> None:
    """It puts datetimes into metadata, and passes the time on to the store."""
    now = datetime.datetime.now()
    retriever = TimeWeightedVectorStoreRetriever(vectorstore=BedsideVectorStore(model), decay_rate=1e-25, k=1)
    before = {"last_accessed_at": now - datetime.timedelta(days=1)}
    retriever.add_documents([Document("Chest pain.", metadata=before)])
    await retriever.aadd_documents([Document("Knee pain.")], current_time=now)
    assert [document.page_content for document in retriever.invoke("Chest pain.")] == ["Chest pain."]
    assert [document.page_content for document in await retriever.ainvoke("Knee pain.")] == ["Knee pain."]


def test_sources_that_are_paths_are_cleaned_up(model: Embeddings) -> None:
    """index() groups by what the loader gave, and the store holds it as text."""
    store = BedsideVectorStore(model)
    manager = BedsideRecordManager(store, source_id_key="source")
    arguments: dict[str, Any] = {"cleanup": "incremental", "source_id_key": "source", "key_encoder": "sha256"}
    index([Document("Old.", metadata={"source": "a.txt"})], manager, store, **arguments)
    keys = manager.list_keys(group_ids=[Path("a.txt")])  # type: ignore[list-item]
    assert len(keys) == 1


def test_a_store_may_be_opened_for_reading_only(model: Embeddings, tmp_path: Path) -> None:
    BedsideVectorStore.from_texts(["Chest pain."], model, path=tmp_path / "c", ids=["n1"]).close()
    store = BedsideVectorStore(model, tmp_path / "c", read_only=True)
    assert store.similarity_search("pain", k=1)[0].id == "n1"
    with pytest.raises(ReadOnlyError):
        store.add_texts(["More."])
    with pytest.raises(InvalidInputError, match="read_only and collection"):
        BedsideVectorStore(model, collection=store.collection, read_only=True)
