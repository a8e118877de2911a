"""Every query mode answers as the core does, and what is not served is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.postprocessor import SentenceTransformerRerank
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.vector_stores.bedside import BedsideVectorStore

import bedside
from bedside.errors import EncoderRequired, InvalidInputError, InvalidVectorError, UnknownOptionError
from checkpoints import make_cross_encoder

Mode = VectorStoreQueryMode
QUESTION = "chest pain at night"
HPI = MetadataFilters(filters=[MetadataFilter(key="section", value="HPI")])
CORE = {
    Mode.DEFAULT: {"mode": "dense"},
    Mode.SPARSE: {"mode": "sparse"},
    Mode.TEXT_SEARCH: {"mode": "sparse"},
    Mode.HYBRID: {"mode": "hybrid"},
    Mode.SEMANTIC_HYBRID: {"mode": "hybrid"},
    Mode.MMR: {"mode": "dense", "diversity": 0.5},
}


@pytest.fixture
def filled(store: BedsideVectorStore, notes: list[TextNode]) -> BedsideVectorStore:
    store.add(notes)
    return store


@pytest.fixture
def ask(filled: BedsideVectorStore, embed_model: BaseEmbedding) -> Callable[..., VectorStoreQueryResult]:
    def ask(question: str = QUESTION, /, **query: Any) -> VectorStoreQueryResult:
        options = query.pop("options", {})
        vector = embed_model.get_query_embedding(question)
        given = {"query_str": question, "query_embedding": vector, "similarity_top_k": 10, **query}
        return filled.query(VectorStoreQuery(**given), **options)

    return ask


@pytest.mark.parametrize("mode", CORE)
@pytest.mark.parametrize("filters", [None, HPI])
def test_a_mode_gives_the_ids_and_scores_of_the_core(
    filled: BedsideVectorStore, ask: Callable[..., VectorStoreQueryResult], mode: Mode, filters: MetadataFilters | None
) -> None:
    options: dict[str, Any] = dict(CORE[mode])
    if options["mode"] != "sparse":
        options["vector"] = filled.get_nodes()[0].embedding  # any vector: the same for both
    hits = filled.client.search(
        None if options["mode"] == "dense" else QUESTION,
        **options,
        filter={"section": "HPI"} if filters else None,
    )
    answer = ask(mode=mode, filters=filters, query_embedding=options.get("vector"))
    assert hits
    assert answer.ids == [hit.id for hit in hits]
    assert answer.similarities == [hit.score for hit in hits]
    assert all(type(score) is float for score in answer.similarities)
    assert [node.node_id for node in answer.nodes] == answer.ids
    assert not filters or set(answer.ids) <= {"a-0", "b-0"}


def test_the_default_mode_gives_the_cosines_of_llama_indexs_own_store(
    ask: Callable[..., VectorStoreQueryResult], notes: list[TextNode], embed_model: BaseEmbedding
) -> None:
    other = SimpleVectorStore()
    other.add(notes)
    query = VectorStoreQuery(query_embedding=embed_model.get_query_embedding(QUESTION), similarity_top_k=10)
    expected = other.query(query)
    answer = ask()
    assert answer.ids == expected.ids
    assert answer.similarities == pytest.approx(expected.similarities, abs=1e-6)


def test_a_mode_may_be_given_by_its_name(ask: Callable[..., VectorStoreQueryResult]) -> None:
    assert ask(mode="hybrid").similarities == ask(mode=Mode.HYBRID).similarities


@pytest.mark.parametrize("mode", [Mode.SVM, Mode.LOGISTIC_REGRESSION, Mode.LINEAR_REGRESSION, "semantic", "", None])
def test_a_mode_that_is_not_served_is_refused(ask: Callable[..., VectorStoreQueryResult], mode: Any) -> None:
    with pytest.raises(InvalidInputError, match="is not served; served are default, sparse, text_search, hybrid"):
        ask(mode=mode)


def test_alpha_0_is_the_lexical_half_alone_and_alpha_1_the_dense_one(
    ask: Callable[..., VectorStoreQueryResult],
) -> None:
    lexical, dense, even = (ask(mode=Mode.HYBRID, alpha=alpha) for alpha in (0, 1, 0.5))
    assert lexical.ids == ask(mode=Mode.SPARSE).ids
    assert "a-1" not in lexical.ids
    assert dense.ids == ask().ids
    assert len(dense.ids) == 5
    assert even.similarities not in (lexical.similarities, dense.similarities)


def test_each_mode_counts_by_its_own_top_k(ask: Callable[..., VectorStoreQueryResult]) -> None:
    counts = {"similarity_top_k": 3, "sparse_top_k": 1, "hybrid_top_k": 2}
    assert len(ask(mode=Mode.DEFAULT, **counts).ids) == 3
    assert len(ask(mode=Mode.MMR, **counts).ids) == 3
    assert len(ask(mode=Mode.SPARSE, **counts).ids) == 1
    assert len(ask(mode=Mode.HYBRID, **counts).ids) == 2
    assert len(ask(mode=Mode.HYBRID, similarity_top_k=3).ids) == 3


@pytest.mark.parametrize("mode", CORE)
def test_top_k_may_exceed_the_store(ask: Callable[..., VectorStoreQueryResult], mode: Mode) -> None:
    assert 1 < len(ask(mode=mode, similarity_top_k=10_000).ids) <= 5


def test_an_empty_store_answers_with_nothing(store: BedsideVectorStore) -> None:
    answer = store.query(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=3))
    assert (answer.ids, answer.nodes, answer.similarities) == ([], [], [])


class TestMmr:
    @pytest.fixture
    def twins(self) -> BedsideVectorStore:
        store = BedsideVectorStore()
        vectors = {"best": [1.0, 0.0], "twin": [1.0, 0.01], "other": [0.6, 0.8]}
        store.add([TextNode(id_=name, text=name, embedding=vector) for name, vector in vectors.items()])
        return store

    @staticmethod
    def ids(store: BedsideVectorStore, threshold: float | None = None, **options: Any) -> list[str]:
        query = VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=2, mode=Mode.MMR, mmr_threshold=threshold)
        return store.query(query, **options).ids

    def test_threshold_1_is_relevance_and_less_is_difference(self, twins: BedsideVectorStore) -> None:
        assert self.ids(twins, 1) == ["best", "twin"]
        assert self.ids(twins, 0.3) == ["best", "other"]
        assert self.ids(twins, 0) == ["best", "other"]

    def test_the_keyword_goes_before_the_query(self, twins: BedsideVectorStore) -> None:
        assert self.ids(twins, mmr_threshold=0.3) == ["best", "other"]
        assert self.ids(twins, 0.3, mmr_threshold=1) == ["best", "twin"]
        assert self.ids(twins, 1, mmr_threshold=0) == ["best", "other"]

    def test_the_pool_may_be_limited(self, twins: BedsideVectorStore) -> None:
        assert self.ids(twins, 0, fetch_k=2) == ["best", "twin"]
        assert self.ids(twins, 0, fetch_k=1) == ["best"]

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, "high", True, float("nan")])
    def test_a_threshold_out_of_range_is_refused(self, twins: BedsideVectorStore, threshold: Any) -> None:
        with pytest.raises(InvalidInputError, match="mmr_threshold: expected a number from 0 to 1"):
            self.ids(twins, threshold)


def test_node_ids_doc_ids_and_filters_all_restrict(ask: Callable[..., VectorStoreQueryResult]) -> None:
    assert set(ask(node_ids=["a-0", "b-0", "gone"]).ids) == {"a-0", "b-0"}
    assert set(ask(doc_ids=["a"]).ids) == {"a-0", "a-1"}
    assert set(ask(filters=HPI).ids) == {"a-0", "b-0"}
    assert ask(node_ids=["a-0", "a-1", "b-0"], doc_ids=["a"], filters=HPI).ids == ["a-0"]
    assert ask(node_ids=["a-1"], filters=HPI).ids == []


def test_empty_node_ids_do_not_restrict_and_empty_doc_ids_leave_nothing(
    ask: Callable[..., VectorStoreQueryResult],
) -> None:
    """An index over a store that keeps text passes ``node_ids=[]`` with every query."""
    assert len(ask(node_ids=[]).ids) == 5
    assert ask(doc_ids=[]).ids == []
    assert ask(doc_ids=["None"]).ids == []


@pytest.mark.parametrize("wrong", ["a-0", b"a-0", 7, True, [7], ["a-0", None]])
def test_ids_are_lists_of_texts(ask: Callable[..., VectorStoreQueryResult], wrong: Any) -> None:
    """One id alone is refused, and not taken for a list of its letters."""
    for name in ("node_ids", "doc_ids"):
        with pytest.raises(InvalidInputError, match=f"query: {name}: expected a list of str"):
            ask(**{name: wrong})


@pytest.mark.parametrize("wrong", [None, "chest pain", {"query_str": "chest pain"}])
def test_a_query_is_llama_indexs_own_object(filled: BedsideVectorStore, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="query: expected a VectorStoreQuery"):
        filled.query(wrong)


def test_an_empty_filter_group_does_not_restrict(ask: Callable[..., VectorStoreQueryResult]) -> None:
    assert len(ask(filters=MetadataFilters(filters=[])).ids) == 5


def test_filters_without_a_question_give_what_they_leave(ask: Callable[..., VectorStoreQueryResult]) -> None:
    answer = ask(query_str="", query_embedding=None, filters=HPI)
    assert answer.ids == ["a-0", "b-0"]
    assert answer.similarities is None
    assert ask(query_str=None, query_embedding=None, filters=HPI, similarity_top_k=1).ids == ["a-0"]


@pytest.mark.parametrize("mode", CORE)
@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_a_blank_question_gives_what_the_filters_leave_and_nothing_without_any(
    ask: Callable[..., VectorStoreQueryResult], mode: Mode, blank: str
) -> None:
    """The auto-retriever's query may be blank; LlamaIndex embeds white space, and that embedding asks for nothing."""
    for embedding in (None, [0.1] * 64)[: 1 if blank == "" else 2]:
        given: dict[str, Any] = {"mode": mode, "query_str": blank, "query_embedding": embedding}
        answer = ask(**given, filters=HPI, hybrid_top_k=None)
        assert (answer.ids, answer.similarities) == (["a-0", "b-0"], None)
        assert ask(**given, filters=HPI, similarity_top_k=1).ids == ["a-0"]
        assert ask(**given, doc_ids=["b"], options={"offset": 1}).ids == ["b-1"]
        assert ask(**given).ids == []
        assert ask(**given, filters=MetadataFilters(filters=[])).ids == []


def test_an_embedding_beside_an_empty_text_is_the_question(ask: Callable[..., VectorStoreQueryResult]) -> None:
    assert len(ask(query_str="").ids) == 5


@pytest.mark.parametrize("mode", CORE)
def test_a_query_of_nothing_at_all_is_refused(ask: Callable[..., VectorStoreQueryResult], mode: Mode) -> None:
    with pytest.raises(InvalidInputError):
        ask(mode=mode, query_str=None, query_embedding=None)


@pytest.mark.parametrize("mode", CORE)
def test_a_top_k_of_0_gives_nothing(ask: Callable[..., VectorStoreQueryResult], mode: Mode) -> None:
    answer = ask(mode=mode, similarity_top_k=0)
    assert (answer.ids, answer.nodes, answer.similarities) == ([], [], [])
    assert ask(mode=mode, similarity_top_k=0, query_str=" ", query_embedding=None, filters=HPI).ids == []
    with pytest.raises(InvalidInputError, match="top_k"):
        ask(mode=mode, similarity_top_k=-1)


@pytest.mark.parametrize("wrong", [{"question": "chest pain"}, ["chest pain"], 7])
def test_a_question_is_one_text(ask: Callable[..., VectorStoreQueryResult], wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"query_str: expected one text or None, got {type(wrong).__name__}"):
        ask(query_str=wrong)


def test_text_without_a_vector_needs_an_encoder(ask: Callable[..., VectorStoreQueryResult]) -> None:
    with pytest.raises(EncoderRequired):
        ask(query_embedding=None)


@pytest.mark.parametrize("vector", [[1.0], [float("nan")] * 64, [0.0] * 64])
def test_a_vector_that_cannot_be_compared_is_refused(
    ask: Callable[..., VectorStoreQueryResult], vector: list[float]
) -> None:
    with pytest.raises(InvalidVectorError):
        ask(query_embedding=vector)


def test_an_unknown_keyword_is_refused(ask: Callable[..., VectorStoreQueryResult]) -> None:
    with pytest.raises(UnknownOptionError, match=r"^query: unknown argument 'filter'; allowed are mmr_threshold, "):
        ask(options={"filter": {"section": "HPI"}})


@pytest.mark.parametrize("field", [{"output_fields": ["text"]}, {"embedding_field": "other"}])
def test_a_field_of_a_query_that_is_not_served_is_refused(
    ask: Callable[..., VectorStoreQueryResult], field: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(field))):
        ask(**field)


def test_no_verb_drops_a_keyword_in_silence(filled: BedsideVectorStore, make_node: Callable[..., TextNode]) -> None:
    """A misspelt filter of a deletion must not delete everything that the rest of it names."""
    index = VectorStoreIndex.from_vector_store(filled)
    for call in (
        lambda: filled.add([make_node("new", "Nausea.")], filter=HPI),
        lambda: filled.delete("a", filters=HPI),
        lambda: filled.delete_nodes(["a-0"], filter=HPI),
        lambda: asyncio.run(filled.async_add([make_node("new", "Nausea.")], where=HPI)),
        lambda: asyncio.run(filled.adelete("a", filters=HPI)),
        lambda: asyncio.run(filled.adelete_nodes(["a-0"], where=HPI)),
        lambda: index.delete_ref_doc("a", filters=HPI),
        lambda: index.delete_nodes(["a-0"], where=HPI),
    ):
        with pytest.raises(UnknownOptionError, match=r"unknown argument '(filters?|where)'; allowed are none"):
            call()
    assert len(filled.get_nodes()) == 5


@pytest.mark.parametrize("mode", CORE)
@pytest.mark.parametrize(
    ("name", "wrong"),
    [("fusion", None), ("fusion", "rff"), ("fetch_k", 0), ("fetch_k", "9"), ("min_score", "0.5"), ("min_score", True)]
    + [("mmr_threshold", value) for value in (2, "high", True)],
)
def test_a_wrong_option_is_named_whatever_the_mode(
    ask: Callable[..., VectorStoreQueryResult], mode: Mode, name: str, wrong: Any
) -> None:
    with pytest.raises(InvalidInputError, match=f"{name}: expected"):
        ask(mode=mode, options={name: wrong})


@pytest.mark.parametrize("mode", CORE)
@pytest.mark.parametrize("name", ["similarity_top_k", "sparse_top_k", "hybrid_top_k"])
def test_a_top_k_that_is_no_count_is_refused_by_its_name(filled: BedsideVectorStore, mode: Mode, name: str) -> None:
    for wrong in (-1, 1.5, "3", True):
        query = VectorStoreQuery(query_str=QUESTION, mode=mode, **{name: wrong})
        with pytest.raises(InvalidInputError, match=f"query: {name}: expected an int of at least 0"):
            filled.query(query)


@pytest.mark.parametrize("mode", [Mode.HYBRID, Mode.SPARSE])
def test_a_mode_that_compares_words_says_that_it_needs_them(
    filled: BedsideVectorStore, embed_model: BaseEmbedding, mode: Mode
) -> None:
    query = VectorStoreQuery(query_embedding=embed_model.get_query_embedding(QUESTION), mode=mode)
    with pytest.raises(InvalidInputError, match=f"query: query_str: mode '{mode.value}' compares words"):
        filled.query(query)


def test_fusion_and_min_score_work_per_call(
    filled: BedsideVectorStore, ask: Callable[..., VectorStoreQueryResult], embed_model: BaseEmbedding
) -> None:
    vector = embed_model.get_query_embedding(QUESTION)
    hits = filled.client.search(QUESTION, vector=vector, mode="hybrid", fusion="rrf")
    assert ask(mode=Mode.HYBRID, options={"fusion": "rrf"}).similarities == [hit.score for hit in hits]
    scores = ask().similarities
    assert ask(options={"min_score": scores[1]}).similarities == scores[:2]


def test_queries_from_many_tasks_at_once_do_not_disturb_each_other(
    filled: BedsideVectorStore, ask: Callable[..., VectorStoreQueryResult], embed_model: BaseEmbedding
) -> None:
    async def all_at_once() -> list[VectorStoreQueryResult]:
        vector = embed_model.get_query_embedding(QUESTION)
        query = VectorStoreQuery(query_embedding=vector, similarity_top_k=10)
        return await asyncio.gather(*(filled.aquery(query) for _ in range(20)))

    expected = ask()
    for answer in asyncio.run(all_at_once()):
        assert (answer.ids, answer.similarities) == (expected.ids, expected.similarities)


class Lengths:
    """An encoder for a store that is asked by text: a text's length and its number of words."""

    name, dimension, fingerprint = "lengths", 2, "lengths-1"

    def encode_documents(self, texts: list[str]) -> bedside.types.Matrix:
        return np.array([[len(text), len(text.split())] for text in texts], np.float32)

    encode_queries = encode_documents


def test_a_store_with_an_encoder_embeds_what_comes_without_a_vector(tmp_path: Any) -> None:
    store = BedsideVectorStore(tmp_path / "notes", encoder=Lengths())
    store.add([TextNode(id_="1", text="Chest pain."), TextNode(id_="2", text="a b c d e f")])
    assert store.query(VectorStoreQuery(query_str="u v w x y z", similarity_top_k=1)).ids == ["2"]


class ByLength(BaseNodePostprocessor):
    """Keeps the two shortest nodes, the shortest first."""

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: Any = None) -> list[NodeWithScore]:
        assert query_bundle.query_str
        return sorted(nodes, key=lambda each: len(each.node.get_content()))[:2]


def test_a_cross_encoder_of_sentence_transformers_looks_at_the_hits_again(tmp_path: Any) -> None:
    """By itself and as LlamaIndex' own postprocessor of it."""
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    texts = {"a": "Chest pain on exertion.", "b": "Chest pain.", "c": "Cough at night, no pain.", "d": "Cough."}
    folder = make_cross_encoder(tmp_path / "cross", " ".join(texts.values()).lower().replace(".", "").split())
    model = library.CrossEncoder(str(folder), device="cpu")
    said = dict(zip(texts, model.predict([("chest pain", text) for text in texts.values()]).tolist(), strict=True))
    store = BedsideVectorStore()
    store.add([TextNode(text=text, id_=id, embedding=[1.0, float(i)]) for i, (id, text) in enumerate(texts.items())])
    query = VectorStoreQuery(query_str="chest pain", query_embedding=[1.0, 0.0], similarity_top_k=4)
    plain = store.query(query, assertion="any")
    assert set(plain.ids or []) == set(texts)
    for rerank in (model, SentenceTransformerRerank(model=str(folder), top_n=4, device="cpu")):
        found = store.query(query, assertion="any", rerank=rerank)
        assert found.ids == sorted(texts, key=lambda id: -said[id])
        assert found.similarities == pytest.approx(sorted(said.values(), reverse=True))


def test_a_node_postprocessor_looks_at_the_hits_again() -> None:
    store = BedsideVectorStore()
    texts = {
        "long": "Chest pain on exertion.",
        "short": "Chest pain.",
        "middle": "No chest pain.",
        "other": "Cough at night.",
    }
    store.add([TextNode(text=text, id_=id, embedding=[1.0, float(i)]) for i, (id, text) in enumerate(texts.items())])
    query = VectorStoreQuery(query_str="chest pain", query_embedding=[1.0, 0.0], similarity_top_k=4, mode=Mode.HYBRID)
    assert store.query(query, assertion="any", rerank=ByLength()).ids == ["short", "middle", "long", "other"]
    near, plain = store.query(query, assertion="any", rerank="proximity"), store.query(query, assertion="any")
    assert set(near.ids) == set(plain.ids)
    assert max(near.similarities or []) > max(plain.similarities or [])
    with pytest.raises(InvalidInputError, match="rerank"):
        store.query(query, rerank="magic")
