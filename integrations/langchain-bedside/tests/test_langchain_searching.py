"""Searching through LangChain: scores, modes, relevance, MMR, rerankers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langchain_bedside import (
    BedsideEmbeddings,
    BedsideRetriever,
    BedsideVectorStore,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from bedside.errors import EncoderRequired, InvalidInputError
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
