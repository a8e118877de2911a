"""Filters through LangChain: dicts, functions, structured queries."""

from __future__ import annotations

from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_bedside import (
    BedsideTranslator,
    BedsideVectorStore,
)
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery
from langchain_core.vectorstores import InMemoryVectorStore

from bedside.errors import FilterError


class Kind(Enum):
    LAB = "lab"


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_a_filter_may_be_a_dict_a_function_or_a_structured_query(store: BedsideVectorStore) -> None:
    """Three ways to say the same give the same documents and scores."""
    directive = Comparison(comparator=Comparator.GTE, attribute="year", value=2022)
    ways: list[Any] = [
        {"year": {"$gte": 2022}},
        lambda document: document.metadata.get("year", 0) >= 2022,
        directive,
        StructuredQuery(query="ignored", filter=directive),
    ]
    answers = [store.similarity_search_with_score("chest pain", k=4, filter=way) for way in ways]
    assert sorted(str(d.id) for d, _ in answers[0]) == ["a-2", "b-1"]
    assert answers == answers[:1] * 4


def test_a_function_that_lets_nothing_pass_finds_nothing(store: BedsideVectorStore) -> None:
    """No candidate is not the same as no restriction."""
    assert store.similarity_search("chest pain", filter=lambda _: False) == []
    assert len(store.similarity_search("chest pain", filter={})) == 4


def test_a_function_sees_the_scope_only(embedding: DeterministicFakeEmbedding, notes: list[Document]) -> None:
    """A filter function is never shown another scope's document."""
    store = BedsideVectorStore.from_documents(notes, embedding, scope_keys=["patient_id"])
    seen: list[Document] = []
    store.scoped(patient_id="B").similarity_search("x", filter=lambda d: seen.append(d) is None)
    assert ids(seen) == ["b-1", "b-2"]


@settings(max_examples=50, deadline=None)
@given(years=st.lists(st.integers(0, 5), min_size=1, max_size=8), limit=st.integers(0, 5))
def test_functions_select_what_they_select_in_langchains_own_store(years: list[int], limit: int) -> None:
    """The same function selects the same documents here and in InMemoryVectorStore."""
    embedding = DeterministicFakeEmbedding(size=4)
    arguments: dict[str, Any] = {
        "texts": [f"note {i}" for i in range(len(years))],
        "metadatas": [{"year": year} for year in years],
        "ids": [str(i) for i in range(len(years))],
    }
    found = [
        kind.from_texts(embedding=embedding, **arguments).similarity_search(
            "note", k=10, filter=lambda d: d.metadata["year"] <= limit
        )
        for kind in (BedsideVectorStore, InMemoryVectorStore)
    ]
    assert ids(found[0]) == ids(found[1])


@pytest.mark.parametrize("bad", ["year >= 2022", 5, ["a"], {"$nor": []}, {"year": {"$in": 3}}])
def test_bad_filters_are_refused(store: BedsideVectorStore, bad: Any) -> None:
    """A filter that does not parse raises FilterError in searches, count, get and delete; nothing is deleted."""
    for verb in (
        lambda: store.similarity_search("x", filter=bad),
        lambda: store.count(bad),
        lambda: store.get(filter=bad),
        lambda: store.delete(filter=bad),
    ):
        with pytest.raises(FilterError):
            verb()
    assert store.count() == 4


COMPARISONS = [
    (Comparator.EQ, "year", 2021, ["a-1"]),
    (Comparator.NE, "year", 2021, ["a-2", "b-1", "b-2"]),
    (Comparator.GT, "year", 2021, ["a-2", "b-1"]),
    (Comparator.GTE, "year", 2022, ["a-2", "b-1"]),
    (Comparator.LT, "year", 2022, ["a-1"]),
    (Comparator.LTE, "year", 2022, ["a-1", "b-1"]),
    (Comparator.IN, "patient_id", ["B", "C"], ["b-1", "b-2"]),
    (Comparator.NIN, "patient_id", ["B", "C"], ["a-1", "a-2"]),
    (Comparator.CONTAIN, "tags", "lab", ["b-2"]),
    (Comparator.LIKE, "patient_id", "A%", ["a-1", "a-2"]),
]


@pytest.mark.parametrize(("comparator", "attribute", "value", "expected"), COMPARISONS)
def test_every_comparator_of_a_structured_query_is_served(
    store: BedsideVectorStore, comparator: Comparator, attribute: str, value: Any, expected: list[str]
) -> None:
    """Each of LangChain's comparators selects what it says, and its negation the rest."""
    comparison = Comparison(comparator=comparator, attribute=attribute, value=value)
    negation = Operation(operator=Operator.NOT, arguments=[comparison])
    everything = {"a-1", "a-2", "b-1", "b-2"}
    assert ids(store.get(filter=comparison.accept(BedsideTranslator()))) == expected
    assert set(ids(store.get(filter=negation.accept(BedsideTranslator())))) == everything - set(expected)


def test_every_comparator_is_covered() -> None:
    """The table above holds all of LangChain's comparators, and the translator allows each."""
    assert {row[0] for row in COMPARISONS} == set(Comparator) == set(BedsideTranslator.allowed_comparators or ())


def test_structured_queries_nest(store: BedsideVectorStore) -> None:
    """and, or and not nest; a ``not`` of two means none of them."""
    a = Comparison(comparator=Comparator.EQ, attribute="patient_id", value="A")
    old = Comparison(comparator=Comparator.LT, attribute="year", value=2022)
    either = Operation(operator=Operator.OR, arguments=[a, old])
    both = Operation(operator=Operator.AND, arguments=[a, old])
    neither = Operation(operator=Operator.NOT, arguments=[a, old])
    found = [ids(store.get(filter=o.accept(BedsideTranslator()))) for o in (either, both, neither)]
    assert found == [["a-1", "a-2"], ["a-1"], ["b-1", "b-2"]]


def test_the_translator_answers_as_a_self_query_retriever_asks() -> None:
    """A structured query becomes its text and search arguments; a date becomes a date."""
    later = Comparison(comparator=Comparator.GT, attribute="day", value={"date": "2024-01-31", "type": "date"})
    asked = BedsideTranslator().visit_structured_query(StructuredQuery(query="q", filter=later, limit=None))
    assert asked == ("q", {"filter": {"day": {"$gt": date(2024, 1, 31)}}})
    assert BedsideTranslator().visit_structured_query(StructuredQuery(query="q", filter=None)) == ("q", {})


@pytest.mark.parametrize("value", [UUID(int=7), Path("a.txt"), np.int64(7), np.datetime64("2024-03-01"), Kind.LAB])
def test_what_is_converted_when_it_is_stored_is_found_by_the_same_value_in_a_filter(value: Any) -> None:
    store = BedsideVectorStore(DeterministicFakeEmbedding(size=4))
    store.add_texts(["one", "other"], [{"of": value}, {"of": "other"}], ids=["1", "2"])
    for filter in ({"of": value}, {"of": {"$in": [value]}}, {"$not": {"of": {"$ne": value}}}):
        assert ids(store.get(filter=filter)) == ["1"]
        assert ids(store.similarity_search("one", filter=filter)) == ["1"]
