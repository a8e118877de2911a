"""``SelfQueryRetriever`` and ``EnsembleRetriever`` over the store, with a language model that a test has written."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from langchain_bedside import BedsideRetriever, BedsideTranslator, BedsideVectorStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListLLM
from langchain_core.structured_query import Comparator, Comparison

from bedside.errors import FilterError

try:
    from langchain_classic.chains.query_constructor.schema import AttributeInfo
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
except ImportError:  # before LangChain 1.0
    from langchain.chains.query_constructor.schema import AttributeInfo
    from langchain.retrievers import EnsembleRetriever
    from langchain.retrievers.self_query.base import SelfQueryRetriever

FIELDS = [
    AttributeInfo(name="year", description="year of the note", type="integer"),
    AttributeInfo(name="section", description="heading", type="string"),
    AttributeInfo(name="tags", description="topics", type="list[string]"),
    AttributeInfo(name="seen", description="day of the visit", type="date"),
    AttributeInfo(name="signed", description="whether it is signed", type="boolean"),
]
NOTES = [
    Document(
        "Chest pain.",
        id="a",
        metadata={"year": 2021, "section": "HPI", "tags": ["cardio"], "seen": "2021-05-01T23:59:00"},
    ),
    Document("No chest pain.", id="b", metadata={"year": 2022, "section": "ROS", "tags": [], "seen": "2022-06-02"}),
    Document("Cough.", id="c", metadata={"year": 2023, "section": "HPI", "tags": ["lung", 7], "seen": "2023-07-03"}),
    Document("Fever.", id="d", metadata={"section": "Plan", "signed": True}),
]


@pytest.fixture
def store() -> BedsideVectorStore:
    return BedsideVectorStore.from_documents(NOTES, DeterministicFakeEmbedding(size=8))


def retriever(store: BedsideVectorStore, answer: dict[str, Any], **options: Any) -> SelfQueryRetriever:
    """Give a retriever whose model answers as the framework's prompt teaches it to."""
    llm = FakeListLLM(responses=[f"```json\n{json.dumps(answer)}\n```"])
    return SelfQueryRetriever.from_llm(
        llm, store, "clinical notes", FIELDS, structured_query_translator=BedsideTranslator(), **options
    )


FILTERS = [
    ('eq("section", "HPI")', "ac"),
    ('ne("section", "HPI")', "bd"),
    ('gt("year", 2021)', "bc"),
    ('gte("year", 2022)', "bc"),
    ('lt("year", 2022)', "a"),
    ('lte("year", 2022)', "ab"),
    ('contain("tags", "cardio")', "a"),
    ('like("section", "%P%")', "acd"),
    ('in("section", ["ROS", "Plan"])', "bd"),
    ('nin("section", ["ROS", "Plan"])', "ac"),
    ('gte("seen", "2022-06-02")', "bc"),
    ('gte("seen", 2022-06-02)', "bc"),
    ('lte("seen", 2021-05-01)', "a"),
    ('eq("seen", 2021-05-01)', "a"),
    ('ne("seen", 2021-05-01)', "bcd"),
    ('in("seen", [2021-05-01, 2023-07-03])', "ac"),
    ('gt("seen", "2022-06-02T00:00:00Z")', "bc"),
    ('like("seen", "2022-06-02")', "b"),
    ('eq("year", "2021")', "a"),
    ('ne("year", "2021")', "bcd"),
    ('gt("year", "2021")', "bc"),
    ('nin("year", ["2021", "2022"])', "cd"),
    ('contain("tags", "7")', "c"),
    ('eq("signed", "true")', "d"),
    ('and(eq("section", "HPI"), gt("year", 2021))', "c"),
    ('or(eq("year", 2021), eq("section", "Plan"))', "ad"),
    ('not(eq("section", "HPI"))', "bd"),
    ('and(or(eq("section", "HPI"), eq("section", "ROS")), not(contain("tags", "lung")))', "ab"),
    ("NO_FILTER", "abcd"),
]


@pytest.mark.parametrize(("written", "expected"), FILTERS)
async def test_what_the_model_writes_is_what_the_store_filters_by(
    store: BedsideVectorStore, written: str, expected: str
) -> None:
    """From the model's text through LangChain's parser and the translator to the documents, sync and async."""
    found = retriever(store, {"query": "chest pain", "filter": written}, search_kwargs={"k": 10})
    assert sorted(str(document.id) for document in found.invoke("…")) == list(expected)
    assert sorted(str(document.id) for document in await found.ainvoke("…")) == list(expected)


def test_every_comparator_and_operator_of_the_translator_is_tried() -> None:
    """The table above leaves none out."""
    words = {word for written, _ in FILTERS for word in written.replace("(", " ( ").split()}
    allowed = (*BedsideTranslator.allowed_comparators, *BedsideTranslator.allowed_operators)
    assert {choice.value for choice in allowed} <= words


def test_date_objects_in_a_structured_query_are_dates_and_no_dates_are_refused(store: BedsideVectorStore) -> None:
    """From one's own code rather than from the parser; the parser lets an impossible day through with a warning."""
    seen = Comparison(comparator=Comparator.LTE, attribute="seen", value=date(2021, 5, 1))
    assert [d.id for d in store.similarity_search("pain", filter=seen)] == ["a"]
    impossible = {"date": "2021-02-30", "type": "date"}
    wrong = Comparison(comparator=Comparator.EQ, attribute="seen", value=impossible)
    with pytest.raises(FilterError, match=r"filter\.seen: expected a date or time in ISO 8601"):
        store.similarity_search("pain", filter=wrong)


def test_a_limit_and_a_query_of_ones_own_are_kept(store: BedsideVectorStore) -> None:
    """``enable_limit`` gives as many as the model says; the query that it writes is the one that is searched for."""
    answer = {"query": "cough", "filter": 'gte("year", 2021)', "limit": 1}
    found = retriever(
        store, answer, enable_limit=True, search_kwargs={"retrieval_mode": "sparse"}, use_original_query=False
    )
    assert [document.id for document in found.invoke("who coughs?")] == ["c"]


def test_a_scoped_store_stays_scoped_whatever_the_model_writes() -> None:
    """A filter cannot leave the scope of the store under it."""
    notes = BedsideVectorStore(DeterministicFakeEmbedding(size=8), scope_keys=["section"])
    notes.add_documents(NOTES)
    answer = {"query": "cough", "filter": 'or(eq("section", "ROS"), gte("year", 1900))'}
    found = retriever(notes.scoped(section="HPI"), answer, search_kwargs={"k": 10}).invoke("…")
    assert {document.metadata["section"] for document in found} == {"HPI"}


def test_hybrid_search_keeps_two_patients_identical_notes_where_an_ensemble_merges_them() -> None:
    """``EnsembleRetriever`` takes equal texts for one document; one hybrid search keeps both and needs no merging."""
    texts, metadatas = ["Denies pain."] * 2, [{"patient_id": "A", "key": 1}, {"patient_id": "B", "key": 2}]
    store = BedsideVectorStore.from_texts(texts, DeterministicFakeEmbedding(size=8), metadatas)
    halves: list[Any] = [store.as_retriever(search_kwargs={"retrieval_mode": mode}) for mode in ("dense", "sparse")]
    assert len(EnsembleRetriever(retrievers=halves, weights=[0.5, 0.5]).invoke("pain")) == 1
    assert len(EnsembleRetriever(retrievers=halves, weights=[0.5, 0.5], id_key="key").invoke("pain")) == 2
    assert len(BedsideRetriever(vectorstore=store).invoke("pain")) == 2


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
@pytest.mark.parametrize("search_type", ["similarity", "mmr", "similarity_score_threshold"])
async def test_a_question_that_is_all_filter_gives_what_the_filter_leaves(
    store: BedsideVectorStore, mode: str, search_type: str
) -> None:
    """The prompt teaches an empty query, and the parser makes one space of it; NO_FILTER with it asks for nothing."""
    more = {"score_threshold": 0.9} if search_type.endswith("threshold") else {}
    given: dict[str, Any] = {"search_type": search_type, "search_kwargs": {"retrieval_mode": mode, **more}}
    asked = retriever(store, {"query": "", "filter": 'eq("section", "HPI")'}, **given)
    assert [document.id for document in asked.invoke("all of HPI")] == ["a", "c"]
    assert [document.id for document in await asked.ainvoke("all of HPI")] == ["a", "c"]
    assert retriever(store, {"query": "", "filter": "NO_FILTER"}, **given).invoke("anything") == []
