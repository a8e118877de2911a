"""``MetadataFilters`` mean here what they mean in llama-index-core, with nesting and coerced text on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore, utils
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.bedside import BedsideVectorStore

from bedside.errors import FilterError

build_metadata_filter_fn = getattr(utils, "build_metadata_filter_fn", None)
against_the_framework = pytest.mark.skipif(
    build_metadata_filter_fn is None, reason="this llama-index-core is older than its filter function"
)

Op = FilterOperator
WORDS = ["a", "b", "ab", "A", "%", "_x", "back\\slash", ""]
NUMBERS = [-1, 0, 1, 2, 2.0, 0.5, 10**15]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(WORDS),
    "number": st.sampled_from(NUMBERS),
    "flag": st.booleans(),
    "words": st.lists(st.sampled_from(WORDS), max_size=3),
    "numbers": st.lists(st.sampled_from(NUMBERS), max_size=3),
}
RECORD = st.fixed_dictionaries({}, optional={key: st.none() | values for key, values in VALUES.items()})
WORD, NUMBER = st.sampled_from(WORDS), st.sampled_from(NUMBERS)
LISTS = st.lists(WORD, max_size=3) | st.lists(NUMBER.map(float), max_size=3)


def leaf(keys: list[str], operators: list[Op], values: st.SearchStrategy[Any]) -> st.SearchStrategy[MetadataFilter]:
    return st.builds(MetadataFilter, key=st.sampled_from(keys), operator=st.sampled_from(operators), value=values)


# Each operator with the fields and values for which llama-index-core has an answer and no TypeError.
LEAF = st.one_of(
    leaf([*VALUES, "absent"], [Op.EQ, Op.NE], WORD | NUMBER | st.none()),
    leaf([*VALUES, "absent"], [Op.IN, Op.NIN], LISTS),
    leaf([*VALUES, "absent"], [Op.IS_EMPTY], st.none()),
    leaf(["text", "absent"], [Op.GT, Op.GTE, Op.LT, Op.LTE, Op.TEXT_MATCH, Op.TEXT_MATCH_INSENSITIVE], WORD),
    leaf(["number", "flag", "absent"], [Op.GT, Op.GTE, Op.LT, Op.LTE], NUMBER),
    leaf(["text", "words", "absent"], [Op.CONTAINS], WORD),
    leaf(["words", "numbers", "absent"], [Op.CONTAINS], NUMBER),
    leaf(["text", "words", "absent"], [Op.ANY, Op.ALL], st.lists(WORD, max_size=3)),
    leaf(["numbers", "absent"], [Op.ANY, Op.ALL], LISTS),
)
CONDITION = st.sampled_from([*FilterCondition, None])
FLAT = st.builds(MetadataFilters, filters=st.lists(LEAF, max_size=4), condition=CONDITION)
NESTED = st.recursive(
    FLAT,
    lambda inner: st.builds(MetadataFilters, filters=st.lists(LEAF | inner, max_size=3), condition=CONDITION),
    max_leaves=6,
)


def matches(filters: MetadataFilters, metadata: dict[str, Any]) -> bool:
    """llama-index-core's answer, carried on to nested groups."""
    if not filters.filters:
        return True
    answers = [
        matches(part, metadata)
        if isinstance(part, MetadataFilters)
        else build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[part]))("")
        for part in filters.filters
    ]
    if filters.condition is FilterCondition.OR:
        return any(answers)
    if filters.condition is FilterCondition.NOT:
        return not any(answers)
    return all(answers)


def filled(records: list[dict[str, Any]]) -> BedsideVectorStore:
    store = BedsideVectorStore()
    store.add([TextNode(id_=str(i), text="x", metadata=record, embedding=[1.0]) for i, record in enumerate(records)])
    return store


def found(store: BedsideVectorStore, *parts: MetadataFilter | MetadataFilters) -> list[str]:
    return [node.node_id for node in store.get_nodes(filters=MetadataFilters(filters=list(parts)))]


@against_the_framework
@given(records=st.lists(RECORD, min_size=1, max_size=8), filters=FLAT)
@settings(max_examples=300)
def test_a_flat_filter_agrees_with_llama_index_core(records: list[dict[str, Any]], filters: MetadataFilters) -> None:
    accepts = build_metadata_filter_fn(lambda i: records[int(i)], filters)
    expected = [str(i) for i in range(len(records)) if accepts(str(i))]
    store = filled(records)
    assert [node.node_id for node in store.get_nodes(filters=filters)] == expected
    query = VectorStoreQuery(query_embedding=[1.0], filters=filters, similarity_top_k=100)
    assert store.query(query).ids == expected


@against_the_framework
@given(records=st.lists(RECORD, min_size=1, max_size=8), filters=NESTED)
@settings(max_examples=300)
def test_a_nested_filter_agrees_with_its_leaves(records: list[dict[str, Any]], filters: MetadataFilters) -> None:
    expected = [str(i) for i, record in enumerate(records) if matches(filters, record)]
    assert [node.node_id for node in filled(records).get_nodes(filters=filters)] == expected


@against_the_framework
@given(
    records=st.lists(RECORD, min_size=1, max_size=8),
    filters=FLAT,
    question=st.integers(0, 2**32 - 1).map(np.random.default_rng),
    top_k=st.integers(1, 9),
)
@settings(max_examples=100)
def test_a_filtered_query_agrees_with_llama_indexs_own_store(
    records: list[dict[str, Any]], filters: MetadataFilters, question: np.random.Generator, top_k: int
) -> None:
    """The same nodes in the same order with the same cosines as ``SimpleVectorStore``."""
    vectors = question.normal(size=(len(records) + 1, 8)).tolist()
    nodes = [TextNode(id_=str(i), text="x", metadata=record, embedding=vectors[i]) for i, record in enumerate(records)]
    query = VectorStoreQuery(query_embedding=vectors[-1], filters=filters, similarity_top_k=top_k)
    answers = []
    for store in (SimpleVectorStore(), BedsideVectorStore()):
        store.add(nodes)
        answers.append(store.query(query))
    theirs, ours = answers
    assert ours.ids == theirs.ids
    assert ours.similarities == pytest.approx(theirs.similarities, abs=1e-6)


@given(records=st.lists(RECORD, min_size=1, max_size=6), filters=NESTED)
@settings(max_examples=50)
def test_deleting_by_a_filter_removes_what_it_finds(records: list[dict[str, Any]], filters: MetadataFilters) -> None:
    if not filters.filters:
        return
    store = filled(records)
    expected = {node.node_id for node in store.get_nodes()} - {n.node_id for n in store.get_nodes(filters=filters)}
    store.delete_nodes(filters=filters)
    assert {node.node_id for node in store.get_nodes()} == expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Op.EQ, "1813", ["int", "float", "text"]),
        (Op.NE, "1813", ["later", "flag", "none", "padded"]),
        (Op.GT, "1812", ["int", "float", "later", "text"]),
        (Op.GTE, "1813", ["int", "float", "later", "text"]),
        (Op.LT, "1813.5", ["int", "float", "text", "padded"]),
        (Op.LTE, "1813", ["int", "float", "text", "padded"]),
        (Op.IN, ["1813", "1900"], ["int", "float", "later", "text"]),
        (Op.NIN, ["1813", "1900"], ["flag", "none", "padded"]),
        (Op.EQ, "true", ["flag"]),
        (Op.EQ, "True", ["flag"]),
        (Op.EQ, 1, ["flag"]),
        (Op.EQ, 1813, ["int", "float"]),
        (Op.GT, 1812, ["int", "float", "later"]),
        (Op.EQ, "01813", ["padded"]),
        (Op.CONTAINS, "1813", ["text", "padded"]),
    ],
)
def test_text_for_a_number_or_boolean_is_read_as_what_is_stored(operator: Op, value: Any, expected: list[str]) -> None:
    """LlamaIndex' auto-retriever teaches "1813" for an int; a number never matches text, nor "01813" a number."""
    stored: dict[str, Any] = {
        "int": 1813,
        "float": 1813.0,
        "later": 1900,
        "text": "1813",
        "flag": True,
        "none": None,
        "padded": "01813",
    }
    store = BedsideVectorStore()
    store.add(
        [TextNode(id_=name, text="x", metadata={"year": value}, embedding=[1.0]) for name, value in stored.items()]
    )
    assert found(store, MetadataFilter(key="year", value=value, operator=operator)) == expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Op.LTE, "2024-05-06", ["day", "time", "month before"]),
        (Op.GT, "2024-05-06", ["next"]),
        (Op.GTE, "2024-05-06T09:00:00+00:00", ["time", "next"]),
        (Op.EQ, "2024-05-06", ["day"]),
        (Op.IN, ["2024-05-06", "A-17"], ["day", "number"]),
        (Op.IN, ["2024-02-30", "A-17"], ["number"]),
    ],
)
def test_dates_are_ordered_as_time_and_equal_as_text(operator: Op, value: Any, expected: list[str]) -> None:
    """``MetadataFilter`` takes no date objects: dates come as text, as the auto-retriever writes them."""
    stored = {
        "day": "2024-05-06",
        "time": "2024-05-06T11:00+02:00",
        "next": "2024-05-07T00:00Z",
        "month before": "2024-04",
        "number": "A-17",
    }
    store = BedsideVectorStore()
    store.add([TextNode(id_=name, text="x", metadata={"at": at}, embedding=[1.0]) for name, at in stored.items()])
    assert found(store, MetadataFilter(key="at", value=value, operator=operator)) == expected


def test_every_operator_is_served() -> None:
    values = {Op.IN: ["a"], Op.NIN: ["a"], Op.ANY: ["a"], Op.ALL: ["a"], Op.IS_EMPTY: None}
    store = filled([{"k": "a"}, {"k": ["a"]}, {}])
    answers = {
        op: found(store, MetadataFilter(key="k", value=values.get(op, "a"), operator=op)) for op in FilterOperator
    }
    assert answers == {
        Op.EQ: ["0"],
        Op.GT: [],
        Op.LT: [],
        Op.NE: ["1", "2"],
        Op.GTE: ["0"],
        Op.LTE: ["0"],
        Op.IN: ["0"],
        Op.NIN: ["1", "2"],
        Op.ANY: ["0", "1"],
        Op.ALL: ["0", "1"],
        Op.TEXT_MATCH: ["0", "1"],
        Op.TEXT_MATCH_INSENSITIVE: ["0", "1"],
        Op.CONTAINS: ["0", "1"],
        Op.IS_EMPTY: ["2"],
    }


def test_not_means_none_of_them(store: BedsideVectorStore, notes: list[TextNode]) -> None:
    store.add(notes)
    parts = [MetadataFilter(key="section", value="HPI"), MetadataFilter(key="year", value=2024)]
    assert found(store, MetadataFilters(filters=parts, condition=FilterCondition.NOT)) == ["a-1", "lone"]


def test_a_key_reaches_into_nested_metadata_and_a_literal_dot_wins() -> None:
    store = filled([{"vitals": {"sys": 150}}, {"vitals.sys": 90, "vitals": {"sys": 150}}])
    assert found(store, MetadataFilter(key="vitals.sys", value=100, operator=Op.GT)) == ["0"]


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        (Op.EQ, ["a"]),
        (Op.NE, ["a"]),
        (Op.GT, None),
        (Op.LTE, ["a"]),
        (Op.IN, "a"),
        (Op.NIN, None),
        (Op.ANY, "a"),
        (Op.ALL, 1),
        (Op.CONTAINS, ["a"]),
        (Op.TEXT_MATCH, 1),
        (Op.TEXT_MATCH_INSENSITIVE, ["a"]),
        (Op.GT, float("nan")),
    ],
)
def test_a_value_that_the_operator_does_not_take_is_refused(operator: Op, value: Any) -> None:
    with pytest.raises(FilterError):
        found(filled([{"k": "a"}]), MetadataFilter(key="k", value=value, operator=operator))


def test_filters_of_another_kind_are_refused(make_node: Callable[..., TextNode]) -> None:
    """A dict, say, would otherwise pass for no filter and show everything."""
    store = filled([{"k": "a"}])
    with pytest.raises(FilterError, match="expected MetadataFilters, got dict"):
        store.get_nodes(filters={"k": "b"})
    with pytest.raises(FilterError, match="expected MetadataFilters, got dict"):
        store.query(VectorStoreQuery(query_embedding=[1.0], filters={}))
