"""Searching through LangChain: scores, modes, options, MMR, filters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_bedside import (
    BedsideEmbeddings,
    BedsideRetriever,
    BedsideTranslator,
    BedsideVectorStore,
    UnknownSearchArgumentError,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from bedside.errors import EncoderRequired, FilterError, InvalidInputError, ScopeRequired
from checkpoints import make_cross_encoder

MODES = ("dense", "sparse", "hybrid")


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_scores_are_cosines_as_python_floats(
    store: BedsideVectorStore, embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> None:
    """Dense scores are numpy's cosines, highest first; a note that denies what is asked has 1 less."""
    query = np.array(embedding.embed_query("chest pain"))
    vectors = np.array(embedding.embed_documents([note.page_content for note in notes]))
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    cosines[[note.page_content.startswith("Denies chest pain") for note in notes]] -= 1
    found = store.similarity_search_with_score("chest pain", k=10, retrieval_mode="dense")
    assert [type(score) for _, score in found] == [float] * 4
    assert ids([d for d, _ in found]) == [notes[i].id for i in np.argsort(-cosines)]
    assert [score for _, score in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alpha", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("fusion", ["weighted", "rrf"])
def test_ids_and_scores_are_the_cores(store: BedsideVectorStore, mode: Any, alpha: Any, fusion: Any) -> None:
    """Every mode, alpha and fusion gives what the collection itself gives, to the last bit."""
    options = {"alpha": alpha, "fusion": fusion, "filter": {"year": {"$exists": True}}}
    found = store.similarity_search_with_score("chest pain", k=3, retrieval_mode=mode, **options)
    hits = store.collection.search("chest pain", top_k=3, mode=mode, **options)
    assert [(d.id, d.page_content, d.metadata, s) for d, s in found] == [
        (h.id, h.text, h.metadata, h.score) for h in hits
    ]


def test_the_constructor_sets_the_defaults_of_every_search(
    embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> None:
    """``retrieval_mode``, ``alpha`` and ``fusion`` of the constructor hold until a call says otherwise."""
    store = BedsideVectorStore.from_documents(notes, embedding, retrieval_mode="hybrid", alpha=0.2)
    core = store.collection
    hybrid = [(h.id, h.score) for h in core.search("chest pain", top_k=4, mode="hybrid", alpha=0.2)]
    dense = [(h.id, h.score) for h in core.search("chest pain", top_k=4, mode="dense")]
    assert [(d.id, s) for d, s in store.similarity_search_with_score("chest pain")] == hybrid
    assert [(d.id, s) for d, s in store.similarity_search_with_score("chest pain", retrieval_mode="dense")] == dense
    assert [(d.id, s) for d, s in store.similarity_search_with_score("chest pain", alpha=1.0)] == dense


def test_a_search_is_hybrid_where_nobody_says_otherwise(store: BedsideVectorStore) -> None:
    """In every search by text, and in every retriever; by vector it is dense, and without a model sparse."""
    expected = [hit.id for hit in store.collection.search("chest pain", top_k=4, mode="hybrid")]
    scores = [hit.score for hit in store.collection.search("chest pain", top_k=4, mode="hybrid")]
    assert [score for _, score in store.similarity_search_with_score("chest pain")] == scores
    for retriever in (store.as_retriever(), BedsideRetriever(vectorstore=store)):
        assert ids(retriever.invoke("chest pain")) == expected
    words = BedsideVectorStore()
    words.add_texts(["Chest pain.", "Cough."], ids=["1", "2"])
    for retriever in (words.as_retriever(), BedsideRetriever(vectorstore=words)):
        assert ids(retriever.invoke("chest pain")) == ["1"]


def test_hybrid_finds_meaning_and_numbers(minilm: BedsideEmbeddings, notes: list[Document]) -> None:
    """With a real model, dense finds a paraphrase, sparse a number, and hybrid both."""
    store = BedsideVectorStore.from_documents(notes, minilm, retrieval_mode="hybrid")
    assert store.similarity_search("glucose lowering drug", k=1, retrieval_mode="dense")[0].id == "a-2"
    assert store.similarity_search("7.2", k=1, retrieval_mode="sparse")[0].id == "b-2"
    assert store.similarity_search("glucose lowering drug", k=1)[0].id == "a-2"
    assert store.similarity_search("7.2", k=1)[0].id == "b-2"


@pytest.mark.parametrize("mode", MODES)
def test_relevance_is_the_score_mapped_to_0_1(store: BedsideVectorStore, mode: str) -> None:
    """Relevance is the score's place on its mode's scale, and the threshold applies to it."""
    scored = store.similarity_search_with_score("chest pain", k=4, retrieval_mode=mode)
    relevant = store.similarity_search_with_relevance_scores("chest pain", k=4, retrieval_mode=mode)
    hits = store.collection.search("chest pain", top_k=1, mode="sparse", explain=True)
    terms = store.collection.search("chest pain", top_k=1, mode="hybrid", alpha=0.5)[0]
    bound = 0.5 * terms.sparse / (terms.score - 0.5 * terms.dense)  # score = 0.5 * cosine + 0.5 * bm25 / bound
    expected = [s / bound if mode == "sparse" else min(max((s + 1) / 2, 0), 1) for _, s in scored]
    assert hits
    assert [d.id for d, _ in scored] == [d.id for d, _ in relevant]
    assert [s for _, s in relevant] == pytest.approx(expected, abs=1e-9)
    cut = relevant[len(relevant) // 2][1]
    above = store.similarity_search_with_relevance_scores("chest pain", k=4, retrieval_mode=mode, score_threshold=cut)
    assert above == [pair for pair in relevant if pair[1] >= cut]


def test_search_by_vector_is_dense_whatever_the_default(
    embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> None:
    """A vector is searched by cosine also in a store whose default is sparse, and a mode that needs text is refused."""
    store = BedsideVectorStore.from_documents(notes, embedding, retrieval_mode="sparse")
    vector = embedding.embed_query(notes[3].page_content)
    assert store.similarity_search_by_vector(vector, k=1)[0].id == "b-2"
    assert store.similarity_search_with_score_by_vector(vector, k=1)[0][1] == pytest.approx(1.0)
    with pytest.raises(InvalidInputError):
        store.similarity_search_by_vector(vector, retrieval_mode="hybrid")


def test_score_key_puts_the_score_into_the_metadata(store: BedsideVectorStore) -> None:
    """Chains that see documents only can cite the score; the store itself is not changed."""
    found = store.similarity_search_with_score("chest pain", k=2, score_key="score")
    assert [d.metadata["score"] for d, _ in found] == [score for _, score in found]
    assert "score" not in store.get_by_ids([found[0][0].id])[0].metadata


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


def test_bm25_keeps_its_order_as_relevance(embedding: DeterministicFakeEmbedding) -> None:
    """Scores far above 1 are shares of the most that the question could score, not all 1."""
    texts = [f"Routine visit {n}, all fine." for n in range(200)]
    texts += ["Metoprolol overdose with severe bradycardia.", "Metoprolol refill.", "Overdose of metoprolol."]
    store = BedsideVectorStore.from_texts(texts, embedding, retrieval_mode="sparse")
    scored = store.similarity_search_with_score("metoprolol overdose bradycardia", k=3)
    relevant = store.similarity_search_with_relevance_scores("metoprolol overdose bradycardia", k=3)
    assert [d.page_content for d, _ in relevant] == [texts[i] for i in (200, 202, 201)]
    assert [d.page_content for d, _ in scored] == [d.page_content for d, _ in relevant]
    assert 1 > relevant[0][1] > relevant[1][1] > relevant[2][1] > 0
    assert relevant[0][1] / relevant[1][1] == pytest.approx(scored[0][1] / scored[1][1])
    cut = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": relevant[1][1], "k": 3}
    )
    assert len(cut.invoke("metoprolol overdose bradycardia")) == 2


@pytest.mark.parametrize("fusion", ["weighted", "rrf"])
def test_relevance_of_a_rank_fusion_is_its_share_of_two_first_places(store: BedsideVectorStore, fusion: Any) -> None:
    """The best possible is 1 in either fusion, and the order stays."""
    text = "Metformin 500 mg twice daily for type 2 diabetes."
    found = store.similarity_search_with_relevance_scores(text, k=4, retrieval_mode="hybrid", fusion=fusion)
    assert found[0][0].page_content == text
    assert found[0][1] == pytest.approx(1.0, abs=0.21 if fusion == "weighted" else 1e-9)
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)


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


def test_search_by_meaning_without_a_model_is_refused() -> None:
    """A store without a model says so instead of searching otherwise."""
    store = BedsideVectorStore(retrieval_mode="sparse")
    store.add_texts(["one"])
    with pytest.raises(EncoderRequired):
        store.similarity_search("one", retrieval_mode="dense")


@pytest.mark.parametrize("lambda_mult", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("fetch_k", [6, 20])
def test_mmr_agrees_with_langchains_own(lambda_mult: float, fetch_k: int) -> None:
    """On 40 random texts our MMR chooses what LangChain's function chooses from the same pool."""
    embedding = DeterministicFakeEmbedding(size=12)
    texts = [f"text {i}" for i in range(40)]
    store = BedsideVectorStore.from_texts(texts, embedding, retrieval_mode="dense")
    vectors, query = np.array(embedding.embed_documents(texts)), np.array(embedding.embed_query("question"))
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
    pool = np.argsort(-cosines)[:fetch_k]
    chosen = maximal_marginal_relevance(query, list(vectors[pool]), lambda_mult, k=5)
    expected = [texts[pool[i]] for i in chosen]
    found = store.max_marginal_relevance_search("question", k=5, fetch_k=fetch_k, lambda_mult=lambda_mult)
    by_vector = store.max_marginal_relevance_search_by_vector(
        query.tolist(), k=5, fetch_k=fetch_k, lambda_mult=lambda_mult
    )
    assert [d.page_content for d in found] == expected
    assert by_vector == found


def test_mmr_takes_the_other_options(store: BedsideVectorStore) -> None:
    """MMR filters before it chooses, and adds the score where asked."""
    found = store.max_marginal_relevance_search("chest pain", filter={"patient_id": "A"}, score_key="score")
    assert sorted(str(d.id) for d in found) == ["a-1", "a-2"]
    assert all(isinstance(d.metadata["score"], float) for d in found)


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


class ByLength(BaseDocumentCompressor):
    """Keeps the two shortest documents, the shortest first."""

    scored: bool = True

    def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> list[Document]:
        best = sorted(documents, key=lambda document: len(document.page_content))[:2]
        for document in best if self.scored else []:
            document.metadata["relevance_score"] = 1 / len(document.page_content)
        return best


def test_a_cross_encoder_of_sentence_transformers_looks_at_the_hits_again(store: BedsideVectorStore, tmp_path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    plain = store.similarity_search("chest pain", k=4, assertion="any")
    words = " ".join(document.page_content for document in plain).lower().split()
    model = library.CrossEncoder(str(make_cross_encoder(tmp_path / "cross", words)), device="cpu")
    said = model.predict([("chest pain", document.page_content) for document in plain])
    expected = {document.id: pytest.approx(float(score)) for document, score in zip(plain, said, strict=True)}
    found = store.similarity_search_with_score("chest pain", k=4, assertion="any", rerank=model)
    assert {document.id: score for document, score in found} == expected
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    retrieved = store.as_retriever(search_kwargs={"k": 4, "assertion": "any", "rerank": model}).invoke("chest pain")
    assert [document.id for document in retrieved] == [document.id for document, _ in found]


@pytest.mark.parametrize("scored", [True, False])
def test_a_document_compressor_looks_at_the_hits_again(store: BedsideVectorStore, *, scored: bool) -> None:
    """``rerank`` takes what LangChain calls a reranker, and what the core takes."""
    plain = store.similarity_search("chest pain", k=10, assertion="any")
    found = store.similarity_search("chest pain", k=10, assertion="any", rerank=ByLength(scored=scored))
    shortest = sorted(plain, key=lambda document: len(document.page_content))[:2]
    assert [d.id for d in found] == [*(d.id for d in shortest), *(d.id for d in plain if d not in shortest)]
    near = store.similarity_search_with_score("chest pain", retrieval_mode="hybrid", rerank="proximity")
    hits = store.collection.search("chest pain", mode="hybrid", top_k=4, rerank="proximity")
    assert [(d.id, score) for d, score in near] == [(hit.id, hit.score) for hit in hits]
    with pytest.raises(InvalidInputError, match="rerank"):
        store.similarity_search("chest pain", rerank="magic")
