"""Retrievers: the store's own, ``BedsideRetriever``, chains and configuration."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_bedside import BedsideRetriever, BedsideVectorStore, BedsideVectorStoreRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from pydantic import ValidationError

from bedside.errors import InvalidInputError, ScopeMismatch, ScopeRequired


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


@pytest.fixture
def wards(embedding: DeterministicFakeEmbedding, notes: list[Document]) -> BedsideVectorStore:
    """The notes in a store that is divided by patient."""
    return BedsideVectorStore.from_documents(notes, embedding, scope_keys=["patient_id"])


@pytest.mark.parametrize(
    ("search_type", "search_kwargs"),
    [
        ("similarity", {"k": 2, "filter": {"year": {"$gt": 2000}}}),
        ("mmr", {"k": 2, "fetch_k": 3, "lambda_mult": 0.2}),
        ("similarity_score_threshold", {"k": 4, "score_threshold": 0.4}),
        ("hybrid", {"k": 2, "alpha": 0.3, "score_key": "score"}),
    ],
)
async def test_as_retriever_gives_what_the_search_gives(
    store: BedsideVectorStore, search_type: str, search_kwargs: dict[str, Any]
) -> None:
    """All four search types give the documents of the search they name, sync and async."""
    retriever = store.as_retriever(search_type=search_type, search_kwargs=search_kwargs)
    expected = store.search("chest pain", search_type, **search_kwargs)
    assert isinstance(retriever, BedsideVectorStoreRetriever)
    assert expected
    assert retriever.invoke("chest pain") == expected
    assert await retriever.ainvoke("chest pain") == expected
    assert await store.asearch("chest pain", search_type, **search_kwargs) == expected


def test_the_hybrid_search_type_is_hybrid_search(store: BedsideVectorStore) -> None:
    """``hybrid`` is the core's hybrid search, whatever the store's default."""
    found = store.as_retriever(search_type="hybrid", search_kwargs={"k": 4}).invoke("chest pain")
    assert ids(found) == [hit.id for hit in store.collection.search("chest pain", top_k=4, mode="hybrid")]


def test_an_unknown_search_type_is_refused(store: BedsideVectorStore) -> None:
    """A search type that is none never answers as another."""
    with pytest.raises(ValueError, match="magic"):
        store.as_retriever(search_type="magic")
    with pytest.raises(ValueError, match="magic"):
        store.search("x", "magic")


@pytest.mark.parametrize("misplaced", [{"filter": {"patient_id": "A"}}, {"k": 1}, {"alpha": 0.5}, {"where": {}}])
def test_a_search_argument_beside_search_kwargs_is_refused(
    store: BedsideVectorStore, misplaced: dict[str, Any]
) -> None:
    """A filter that is dropped would show another patient's notes; the error says where it goes."""
    name = next(iter(misplaced))
    for make in (store.as_retriever, lambda **given: BedsideVectorStoreRetriever(vectorstore=store, **given)):
        with pytest.raises(
            ValidationError, match=rf"unknown argument '{name}'; .* goes into search_kwargs=\{{'{name}'"
        ):
            make(search_kwargs={"k": 3}, **misplaced)


def test_an_error_of_a_retriever_does_not_show_what_it_was_given(store: BedsideVectorStore) -> None:
    """Pydantic would print the filter's values, which may be a patient's."""
    with pytest.raises(ValidationError) as caught:
        store.as_retriever(filter={"patient_id": "Jane Doe"})
    assert "Jane" not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        BedsideRetriever(vectorstore=store, scope="Jane Doe")
    assert "Jane" not in str(caught.value)


def test_a_retriever_takes_every_argument_of_its_own(store: BedsideVectorStore) -> None:
    """Names, tags, metadata and the rest of LangChain's fields reach the retriever."""
    retriever = store.as_retriever(name="notes", tags=["ward"], metadata={"who": "x"}, search_type="mmr")
    assert (retriever.name, retriever.tags, retriever.metadata) == ("notes", ["ward"], {"who": "x"})
    assert retriever.model_copy(update={"search_kwargs": {"k": 1}}).invoke("chest pain")


def test_search_kwargs_are_configurable(store: BedsideVectorStore) -> None:
    """``configurable_fields`` changes the arguments of one call through its config."""
    retriever = store.as_retriever(search_kwargs={"k": 4}).configurable_fields(
        search_kwargs=ConfigurableField(id="search_kwargs")
    )
    chosen = {"k": 1, "retrieval_mode": "sparse", "filter": {"patient_id": "B"}, "alpha": 0.5, "fetch_k": 5}
    found = retriever.invoke("chest pain", config={"configurable": {"search_kwargs": {**chosen, "score_key": "s"}}})
    assert ids(found) == ["b-1"]
    assert found[0].metadata["s"] > 0
    assert len(retriever.invoke("chest pain")) == 4


async def test_the_retriever_takes_its_settings_as_fields_and_per_call(store: BedsideVectorStore) -> None:
    """Fields hold until a call names them; the answer is the search's."""
    retriever = BedsideRetriever(
        vectorstore=store, k=1, retrieval_mode="sparse", filter={"patient_id": "B"}, score_key="score"
    )
    assert ids(retriever.invoke("chest pain")) == ["b-1"]
    assert ids(retriever.invoke("chest pain", filter={}, k=4)) == ids(
        store.similarity_search("chest pain", k=4, retrieval_mode="sparse")
    )
    dense = await retriever.ainvoke("chest pain", retrieval_mode="dense", k=4)
    assert dense == store.similarity_search(
        "chest pain", k=4, retrieval_mode="dense", filter={"patient_id": "B"}, score_key="score"
    )


def test_the_retriever_is_hybrid_by_default(store: BedsideVectorStore) -> None:
    """Without a word about it, the retriever searches by meaning and by words, with the store's alpha."""
    store = BedsideVectorStore(collection=store.collection, alpha=0.1)
    expected = store.collection.search("chest pain", top_k=4, mode="hybrid", alpha=0.1)
    assert ids(BedsideRetriever(vectorstore=store).invoke("chest pain")) == [hit.id for hit in expected]


def test_the_retriever_refuses_what_it_does_not_know(store: BedsideVectorStore) -> None:
    """Unknown fields, fields out of range and unknown arguments of a call are errors."""
    for bad in ({"where": {}}, {"k": -1}, {"alpha": 2}, {"retrieval_mode": "magic"}):
        with pytest.raises(ValidationError):
            BedsideRetriever(vectorstore=store, **bad)
    with pytest.raises(TypeError):
        BedsideRetriever(vectorstore=store).invoke("x", where={})
    with pytest.raises(InvalidInputError):
        BedsideRetriever(vectorstore=store).invoke("x", k=-1)


def test_traces_name_the_store_and_the_model(store: BedsideVectorStore) -> None:
    """LangSmith reads them from the metadata of the run, of both retrievers alike."""
    seen: list[dict[str, Any]] = []

    class Tracer(BaseCallbackHandler):
        def on_retriever_start(self, *args: Any, metadata: dict[str, Any], **kwargs: Any) -> None:
            seen.append({name: value for name, value in metadata.items() if name.startswith("ls_")})

    for retriever in (BedsideRetriever(vectorstore=store), store.as_retriever()):
        retriever.invoke("chest pain", config={"callbacks": [Tracer()]})
    assert [(one["ls_vector_store_provider"], one["ls_embedding_provider"]) for one in seen] == [
        ("BedsideVectorStore", "DeterministicFakeEmbedding")
    ] * 2
    assert [one["ls_retriever_name"] for one in seen] == ["bedside", "bedsidevectorstore"]


def test_a_field_among_search_kwargs_is_refused(store: BedsideVectorStore) -> None:
    """It would lose against the field's default in silence."""
    for name, value in {"k": 1, "filter": {"patient_id": "A"}, "retrieval_mode": "sparse", "scope": {}}.items():
        with pytest.raises(ValidationError, match=f"search_kwargs: '{name}' is a field; give it as {name}="):
            BedsideRetriever(vectorstore=store, search_kwargs={name: value})


def test_a_scope_comes_from_the_field_the_call_or_the_config(wards: BedsideVectorStore) -> None:
    """A retriever answers for one patient, wherever the patient is named, and never without one."""
    free = BedsideRetriever(vectorstore=wards)
    bound = BedsideRetriever(vectorstore=wards, scope={"patient_id": "A"})
    configurable = free.configurable_fields(scope=ConfigurableField(id="patient"))
    config: Any = {"configurable": {"patient": {"patient_id": "B"}}}
    assert set(ids(bound.invoke("chest pain"))) == {"a-1", "a-2"}
    assert set(ids(free.invoke("chest pain", scope={"patient_id": "B"}))) == {"b-1", "b-2"}
    assert set(ids(configurable.invoke("chest pain", config=config))) == {"b-1", "b-2"}
    with pytest.raises(ScopeRequired):
        free.invoke("chest pain")
    with pytest.raises(ScopeMismatch):
        bound.invoke("chest pain", scope={"patient_id": "B"})


async def test_retrievers_work_in_chains_batches_and_streams(wards: BedsideVectorStore) -> None:
    """The runnable's other methods work: batch, abatch, stream and composition."""
    retriever = BedsideRetriever(vectorstore=wards, scope={"patient_id": "A"}, k=1)
    chain: Any = {"context": retriever, "question": RunnablePassthrough()} | RunnableLambda(
        lambda given: f"{given['question']}: {given['context'][0].id}"
    )
    text = "Chest pain on exertion, relieved by rest."
    assert chain.invoke(text) == f"{text}: a-1"
    assert [ids(found) for found in retriever.batch([text, text])] == [["a-1"]] * 2
    assert [ids(found) for found in await retriever.abatch([text])] == [["a-1"]]
    assert [ids(found) for found in retriever.stream(text)] == [["a-1"]]
