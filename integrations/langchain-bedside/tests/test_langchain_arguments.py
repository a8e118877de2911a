"""What a search through LangChain may be asked: unknown and wrong arguments, blank questions, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_bedside import (
    BedsideRetriever,
    BedsideVectorStore,
    UnknownSearchArgumentError,
)
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from bedside.errors import FilterError, InvalidInputError, ScopeRequired


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


SEARCHES: list[Callable[[BedsideVectorStore, dict[str, Any]], Any]] = [
    lambda store, kwargs: store.similarity_search("x", **kwargs),
    lambda store, kwargs: store.similarity_search_with_score("x", **kwargs),
    lambda store, kwargs: store.similarity_search_with_relevance_scores("x", **kwargs),
    lambda store, kwargs: store.similarity_search_by_vector([1.0] * 16, **kwargs),
    lambda store, kwargs: store.similarity_search_with_score_by_vector([1.0] * 16, **kwargs),
    lambda store, kwargs: store.max_marginal_relevance_search("x", **kwargs),
    lambda store, kwargs: store.max_marginal_relevance_search_by_vector([1.0] * 16, **kwargs),
    lambda store, kwargs: store.search("x", "hybrid", **kwargs),
    lambda store, kwargs: store.as_retriever(search_kwargs=kwargs).invoke("x"),
]


@pytest.mark.parametrize("search", SEARCHES)
def test_unknown_search_arguments_are_refused(store: BedsideVectorStore, search: Any) -> None:
    """A misspelt argument is an error that names it, in every search: a filter is never dropped in silence."""
    for error in (UnknownSearchArgumentError, TypeError, ValueError):
        with pytest.raises(error, match="where"):
            search(store, {"where": {"patient_id": "A"}})


WRITES: list[Callable[[BedsideVectorStore, dict[str, Any]], Any]] = [
    lambda store, kwargs: store.add_texts(["x"], **kwargs),
    lambda store, kwargs: store.add_documents([Document("x")], **kwargs),
    lambda store, kwargs: store.delete(["a-1"], **kwargs),
    lambda store, kwargs: store.as_retriever().add_documents([Document("x")], **kwargs),
    lambda store, kwargs: asyncio.run(store.aadd_texts(["x"], **kwargs)),
    lambda store, kwargs: asyncio.run(store.aadd_documents([Document("x")], **kwargs)),
    lambda store, kwargs: asyncio.run(store.adelete(["a-1"], **kwargs)),
    lambda store, kwargs: BedsideVectorStore.from_texts(["x"], store.embeddings, **kwargs),
    lambda store, kwargs: BedsideVectorStore.from_documents([Document("x")], store.embeddings, **kwargs),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", ["where", "metadata", "k"])
def test_unknown_arguments_of_a_write_are_refused(store: BedsideVectorStore, write: Any, name: str) -> None:
    """Misspelt metadata are not dropped, a misspelt filter does not delete more, and nothing is changed."""
    with pytest.raises(UnknownSearchArgumentError, match=f"unknown argument '{name}'; allowed are"):
        write(store, {name: [{"patient_id": "A"}]})
    assert store.count() == 4


@pytest.mark.parametrize(
    "arguments",
    [
        *({"k": k} for k in (-1, False, 0.0, "0")),
        {"retrieval_mode": "magic"},
        {"alpha": 2},
        {"fusion": "sum"},
        {"fetch_k": 0},
    ],
)
def test_arguments_out_of_range_are_refused(store: BedsideVectorStore, arguments: dict[str, Any]) -> None:
    """Values that mean nothing raise the core's named error."""
    with pytest.raises(InvalidInputError):
        store.similarity_search("x", **arguments)


WRONG: list[tuple[str, list[Any]]] = [
    ("retrieval_mode", ["magic", "", 0, [], {}]),
    ("alpha", ["0.5", -1, 2, float("nan"), True, [0.5]]),
    ("fusion", [None, "sum", 0, []]),
    ("fetch_k", [0, 1.5, "20", True]),
    ("score_key", [0, True, [], {}]),
]


@pytest.mark.parametrize(("name", "values"), WRONG)
def test_a_wrong_option_is_named_in_every_search(store: BedsideVectorStore, name: str, values: list[Any]) -> None:
    """None where a value is needed and values of other types raise the error that says which option is wrong."""
    for value in values:
        with pytest.raises(InvalidInputError, match=f"^{name}: expected"):
            store.similarity_search("x", **{name: value})
        with pytest.raises(InvalidInputError, match=f"^{name}: expected"):
            BedsideRetriever(vectorstore=store).invoke("x", **{name: value})


@pytest.mark.parametrize(("name", "values"), WRONG[:3])
def test_a_wrong_default_is_refused_before_a_folder_is_made(
    tmp_path: Path, embedding: DeterministicFakeEmbedding, name: str, values: list[Any]
) -> None:
    """The constructor names it, and not the first search of a store that was filled meanwhile."""
    for value in values:
        with pytest.raises(InvalidInputError, match=f"^{name}: expected"):
            BedsideVectorStore(embedding, tmp_path / "new.bedside", **{name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [None, "0.5", True, -0.1, 1.1, float("nan"), []])
async def test_a_wrong_lambda_mult_is_named(store: BedsideVectorStore, wrong: Any) -> None:
    """MMR names it by text, by vector and in a coroutine."""
    with pytest.raises(InvalidInputError, match=r"^lambda_mult: expected a number from 0 to 1"):
        store.max_marginal_relevance_search("x", lambda_mult=wrong)
    with pytest.raises(InvalidInputError, match=r"^lambda_mult: expected a number from 0 to 1"):
        store.max_marginal_relevance_search_by_vector([1.0] * 16, lambda_mult=wrong)
    with pytest.raises(InvalidInputError, match=r"^lambda_mult: expected a number from 0 to 1"):
        await store.amax_marginal_relevance_search("x", lambda_mult=wrong)


BLANK: list[Callable[[BedsideVectorStore, str, dict[str, Any]], list[Document]]] = [
    lambda store, blank, given: store.similarity_search(blank, **given),
    lambda store, blank, given: [d for d, s in store.similarity_search_with_score(blank, **given) if s == 1.0],
    lambda store, blank, given: [
        d for d, _ in store.similarity_search_with_relevance_scores(blank, score_threshold=0.9, **given)
    ],
    lambda store, blank, given: store.max_marginal_relevance_search(blank, **given),
    lambda store, blank, given: store.as_retriever(search_kwargs=given).invoke(blank),
    lambda store, blank, given: store.as_retriever(search_type="hybrid", search_kwargs=given).invoke(blank),
    lambda store, blank, given: BedsideRetriever(vectorstore=store).invoke(blank, **given),
    lambda store, blank, given: asyncio.run(store.asimilarity_search(blank, **given)),
    lambda store, blank, given: asyncio.run(store.amax_marginal_relevance_search(blank, **given)),
]


@pytest.mark.parametrize("ask", BLANK)
@pytest.mark.parametrize("blank", ["", " ", " \n\t "])
def test_a_blank_question_gives_what_the_filter_leaves(store: BedsideVectorStore, ask: Any, blank: str) -> None:
    """A self-query that is all filter is answered in insertion order; a blank line of a multi-query finds nothing."""
    assert ids(ask(store, blank, {"filter": {"patient_id": "B"}})) == ["b-1", "b-2"]
    assert ids(ask(store, blank, {"filter": lambda d: "year" in d.metadata})) == ["a-1", "a-2", "b-1"]
    assert ids(ask(store, blank, {"ids": ["b-2"]})) == ["b-2"]
    assert ids(ask(store, blank, {"filter": {"year": {"$gte": 2021}}, "k": 1, "offset": 1})) == ["a-2"]
    for nothing in ({}, {"filter": {}}, {"filter": lambda _: False}):
        assert ask(store, blank, nothing) == []
    with pytest.raises(FilterError):
        ask(store, blank, {"filter": {"year": {"$near": 1}}})


def test_a_blank_question_is_about_what_was_valid_then(embedding: DeterministicFakeEmbedding) -> None:
    """What bounds a search in time bounds what a filter leaves, too."""
    store = BedsideVectorStore(embedding)
    store.add_texts(
        ["Warfarin.", "Apixaban."], [{"drug": 1, "valid_to": "2024-01-01"}, {"drug": 1}], ids=["old", "new"]
    )
    assert ids(store.similarity_search(" ", filter={"drug": 1}, as_of="2024-06-01")) == ["new"]


def test_a_blank_question_stays_in_its_scope(embedding: DeterministicFakeEmbedding, notes: list[Document]) -> None:
    """Without a scope it is refused as every other, and with one it sees that alone."""
    store = BedsideVectorStore.from_documents(notes, embedding, scope_keys=["patient_id"])
    everyone = {"patient_id": {"$exists": True}}
    with pytest.raises(ScopeRequired):
        store.similarity_search(" ", filter=everyone)
    assert ids(store.scoped(patient_id="B").similarity_search(" ", filter=everyone)) == ["b-1", "b-2"]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_k_of_0_gives_nothing(store: BedsideVectorStore, search: Any) -> None:
    """Nothing was asked for; a computed budget may well come to that."""
    assert search(store, {"k": 0}) == []


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None, True])
def test_a_k_that_is_no_count_is_refused_by_that_name(store: BedsideVectorStore, wrong: Any) -> None:
    for search in (store.similarity_search, store.max_marginal_relevance_search, store.search_notes):
        with pytest.raises(InvalidInputError, match=r"^k: expected an int of at least 0, got "):
            search("chest pain", k=wrong)


def test_fetch_k_bounds_the_pool_also_where_it_is_smaller_than_k(store: BedsideVectorStore) -> None:
    """As in LangChain's own stores, two candidates give two documents."""
    best = ids(store.similarity_search("chest pain", k=2))
    found = store.max_marginal_relevance_search("chest pain", k=4, fetch_k=2)
    assert sorted(map(str, ids(found))) == sorted(map(str, best))


async def test_a_dict_as_question_is_told_what_it_is(store: BedsideVectorStore) -> None:
    """The usual slip in a chain; its values, which may be a patient's, are not repeated."""
    question = {"question": "Jane Doe's pain?", "scope": "A"}
    expected = r"^query: expected one text, got dict with the keys \['question', 'scope'\]; pick the question"
    for call in (store.similarity_search, store.as_retriever().invoke, BedsideRetriever(vectorstore=store).invoke):
        with pytest.raises(InvalidInputError, match=expected) as caught:
            call(question)
        assert "Jane" not in str(caught.value)
    with pytest.raises(InvalidInputError, match=expected):
        await store.asimilarity_search(question)


@pytest.mark.parametrize("question", [[], {}, ["one", "two"], ("one",), 7, b"x"])
async def test_a_question_is_one_text(store: BedsideVectorStore, question: Any) -> None:
    """A list is refused: the core would take it for several questions."""
    with pytest.raises(InvalidInputError, match=r"^query: expected"):
        store.similarity_search(question)
    with pytest.raises(InvalidInputError, match=r"^query: expected"):
        await store.asimilarity_search(question)
