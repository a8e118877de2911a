"""The same notes, query and filter give the same ids and scores through LangChain, LlamaIndex and the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import langchain_bedside
import llama_index.vector_stores.bedside as llama_index_bedside
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document as LangChainDocument
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from bedside import Collection, Document

EMBEDDINGS = langchain_bedside.BedsideEmbeddings(model="bedside/static")
WORDS = ["chest", "pain", "no", "cough", "5mg", "120/80", "HbA1c", "knee", "denies", "fever", "E11.9"]
SECTIONS, YEARS, TAGS = ["HPI", "ROS", "Plan"], [2020, 2021, 2022], ["icu", "lab"]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "section": st.sampled_from(SECTIONS),
        "year": st.sampled_from(YEARS),
        "tags": st.lists(st.sampled_from(TAGS), max_size=2, unique=True),
    },
)
NOTES = st.lists(st.tuples(TEXT, METADATA), min_size=1, max_size=10)
LLAMA_INDEX_MODES = {
    "dense": VectorStoreQueryMode.DEFAULT,
    "sparse": VectorStoreQueryMode.SPARSE,
    "hybrid": VectorStoreQueryMode.HYBRID,
}


@dataclass(frozen=True)
class Same:
    """One filter in three languages."""

    core: dict[str, Any]
    langchain: Comparison | Operation
    llama_index: MetadataFilter | MetadataFilters


def leaf(key: str, names: tuple[str, Comparator, FilterOperator], value: Any) -> Same:
    operator, comparator, llama_operator = names
    return Same(
        {key: {operator: value}},
        Comparison(comparator=comparator, attribute=key, value=value),
        MetadataFilter(key=key, operator=llama_operator, value=value),
    )


def group(operator: Operator, parts: list[Same]) -> Same:
    condition = {
        Operator.AND: FilterCondition.AND,
        Operator.OR: FilterCondition.OR,
        Operator.NOT: FilterCondition.NOT,
    }[operator]
    core = {f"${'and' if operator is Operator.AND else 'or'}": [part.core for part in parts]}
    return Same(
        {"$not": core} if operator is Operator.NOT else core,
        Operation(operator=operator, arguments=[part.langchain for part in parts]),
        MetadataFilters(filters=[part.llama_index for part in parts], condition=condition),
    )


EQUAL = [("$eq", Comparator.EQ, FilterOperator.EQ), ("$ne", Comparator.NE, FilterOperator.NE)]
ORDER = [
    ("$gt", Comparator.GT, FilterOperator.GT),
    ("$gte", Comparator.GTE, FilterOperator.GTE),
    ("$lt", Comparator.LT, FilterOperator.LT),
    ("$lte", Comparator.LTE, FilterOperator.LTE),
]
AMONG = [("$in", Comparator.IN, FilterOperator.IN), ("$nin", Comparator.NIN, FilterOperator.NIN)]
CONTAINS = ("$contains", Comparator.CONTAIN, FilterOperator.CONTAINS)


def leaves(key: str, operators: list[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Same]:
    return st.builds(leaf, st.just(key), st.sampled_from(operators), values)


section, year = st.sampled_from(SECTIONS), st.sampled_from(YEARS)
LEAF = st.one_of(
    leaves("section", EQUAL + ORDER, section),
    leaves("year", EQUAL + ORDER, year),
    leaves("section", AMONG, st.lists(section, min_size=1, max_size=2)),
    leaves("year", AMONG, st.lists(year, min_size=1, max_size=2)),
    leaves("tags", [CONTAINS], st.sampled_from(TAGS)),
)
FILTER = st.recursive(
    LEAF,
    lambda inner: st.builds(group, st.sampled_from(list(Operator)), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=5,
)


class Three:
    """The same notes written through LangChain, LlamaIndex and the core, each into a collection of its own."""

    def __init__(self, notes: list[tuple[str, dict[str, Any]]]) -> None:
        encoder = EMBEDDINGS.encoder
        ids = [f"n{i}" for i in range(len(notes))]
        rows = [(id, *note) for id, note in zip(ids, notes, strict=True)]
        self.core = Collection.open(encoder=encoder)
        self.core.add([Document(text, metadata, id) for id, text, metadata in rows])
        self.langchain = langchain_bedside.BedsideVectorStore(EMBEDDINGS)
        self.langchain.add_documents([LangChainDocument(text, id=id, metadata=metadata) for id, text, metadata in rows])
        self.llama_index = llama_index_bedside.BedsideVectorStore(encoder=encoder)
        self.llama_index.add([TextNode(id_=id, text=text, metadata=metadata) for id, text, metadata in rows])


def groups(filter: Same | None) -> MetadataFilters | None:
    """Give LlamaIndex' outermost group, which a single condition needs too."""
    if filter is None or isinstance(filter.llama_index, MetadataFilters):
        return filter and filter.llama_index
    return MetadataFilters(filters=[filter.llama_index])


@given(
    notes=NOTES,
    query=TEXT,
    filter=st.none() | FILTER,
    mode=st.sampled_from(list(LLAMA_INDEX_MODES)),
    alpha=st.sampled_from([None, 0.0, 0.3, 1.0]),
    k=st.integers(1, 12),
)
@settings(max_examples=150)
def test_all_three_give_the_same_ids_and_scores(notes, query, filter, mode, alpha, k):
    three = Three(notes)
    hits = three.core.search(query, mode=mode, alpha=alpha, top_k=k, filter=filter and filter.core)
    expected = [(hit.id, hit.score) for hit in hits]
    for given_filter in [filter and filter.core, filter and StructuredQuery(query="", filter=filter.langchain)]:
        found = three.langchain.similarity_search_with_score(
            query, k=k, filter=given_filter, retrieval_mode=mode, alpha=alpha
        )
        assert [(document.id, score) for document, score in found] == expected
    answer = three.llama_index.query(
        VectorStoreQuery(
            query_str=query,
            mode=LLAMA_INDEX_MODES[mode],
            filters=groups(filter),
            alpha=alpha,
            similarity_top_k=k,
        )
    )
    assert list(zip(answer.ids, answer.similarities, strict=True)) == expected


@given(notes=NOTES, filter=FILTER)
@settings(max_examples=100)
def test_all_three_read_count_and_delete_the_same(notes, filter):
    three = Three(notes)
    expected = [document.id for document in three.core.get(filter=filter.core)]
    assert [document.id for document in three.langchain.get(filter=filter.langchain)] == expected
    assert [node.node_id for node in three.llama_index.get_nodes(filters=groups(filter))] == expected
    assert three.langchain.count(filter.langchain) == len(expected)
    three.core.delete(filter=filter.core)
    three.langchain.delete(filter=filter.langchain)
    three.llama_index.delete_nodes(filters=groups(filter))
    left = [document.id for document in three.core.get(filter={})]
    assert len(left) == len(notes) - len(expected)
    assert [document.id for document in three.langchain.get(filter={})] == left
    assert [node.node_id for node in three.llama_index.get_nodes()] == left


@pytest.mark.parametrize("relevance", [0.0, 0.4, 1.0])
@given(notes=NOTES, query=TEXT, k=st.integers(1, 6))
@settings(max_examples=30)
def test_all_three_choose_the_same_different_ones(relevance, notes, query, k):
    """Maximal marginal relevance: LangChain's ``lambda_mult``, LlamaIndex' ``mmr_threshold``, the core's diversity."""
    three = Three(notes)
    hits = three.core.search(query, mode="dense", top_k=k, diversity=1 - relevance, fetch_k=8)
    given = {"k": k, "fetch_k": 8, "lambda_mult": relevance}
    found = three.langchain.max_marginal_relevance_search(query, retrieval_mode="dense", **given)
    question = VectorStoreQuery(query_str=query, mode=VectorStoreQueryMode.MMR, similarity_top_k=k)
    answer = three.llama_index.query(question, mmr_threshold=relevance, fetch_k=8)
    assert [document.id for document in found] == [hit.id for hit in hits] == answer.ids
    assert answer.similarities == [hit.score for hit in hits]
