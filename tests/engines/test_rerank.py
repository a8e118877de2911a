"""A second look at the best hits: words that stand together, and rerankers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from bedside.errors import InvalidInputError
from bedside.search.rerank import NEAR, PART, nearness, pairs_of
from bedside.text.tokenizer import ClinicalTokenizer
from checkpoints import make_cross_encoder
from engines.conftest import Open

WORDS = ["chest", "pain", "denies", "fever", "cough", "metoprolol", "of", "the"]
DOCUMENTS = [
    Document(
        "Pain in the knee for two days now, no fever at all, and a tender chest wall.",
        {"note": "a"},
        "apart",
        [1.0, 0.2],
    ),
    Document("Chest pain since yesterday, and a fever of unknown origin.", {"note": "b"}, "beside", [0.9, 0.3]),
    Document("Denies chest pain.", {"note": "c"}, "denied", [1.0, 0.1]),
    Document("Knee swollen.", {"note": "d"}, "other", [0.1, 1.0]),
]
ASKED: dict[str, Any] = {"vector": [1.0, 0.1]}
WAYS: list[dict[str, Any]] = [
    {},
    {"mode": "sparse"},
    {"fusion": "rrf"},
    {"fusion": "rrf", "alpha": 0.3},
    {"alpha": 0.3},
    {"diversity": 0.2},
    {"group_by": "note"},
    {"assertion": "only"},
    {"assertion": "any"},
]


@pytest.fixture
def notes(open_: Open) -> Collection:
    collection = open_()
    collection.add(DOCUMENTS)
    return collection


def naive(terms: list[str], question: list[str], weights: dict[str, float]) -> float:
    """The two shares by their definition."""
    pairs = [(a, b) for a, b in pairwise(question) if a != b and weights[a] and weights[b]]
    total = beside = near = 0.0
    for a, b in pairs:
        weight = weights[a] + weights[b]
        total += weight
        places = [(i, j) for i, s in enumerate(terms) for j, t in enumerate(terms) if (s, t) == (a, b)]
        beside += weight * any(j == i + 1 for i, j in places)
        near += weight * any(abs(i - j) <= NEAR for i, j in places)
    return (beside + near) / total if total else 0.0


@settings(max_examples=300)
@given(
    terms=st.lists(st.sampled_from("abcde"), max_size=40),
    question=st.lists(st.sampled_from("abcde"), max_size=8),
    weights=st.fixed_dictionaries({letter: st.sampled_from([0.0, 0.5, 2.0]) for letter in "abcde"}),
)
def test_nearness_is_what_its_definition_says(terms, question, weights) -> None:
    assert nearness(terms, pairs_of(question, weights)) == pytest.approx(naive(terms, question, weights), abs=1e-9)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_words_that_stand_together_add_a_named_part_and_the_parts_sum_to_the_score(notes, way) -> None:
    plain = {hit.id: hit.score for hit in notes.search("chest pain", **ASKED, **way)}
    hits = notes.search("chest pain", **ASKED, **way, rerank="proximity", explain=True)
    assert {hit.id for hit in hits} == set(plain)
    for hit in hits:
        why = hit.explanation
        assert sum((why.dense, why.sparse, *why.signals.values())) == pytest.approx(hit.score, abs=1e-9)
        assert hit.score == pytest.approx(plain[hit.id] + why.signals.get("proximity", 0.0), abs=1e-9)
        assert ("proximity" in why.signals) == (hit.id in ("beside", "denied"))
        assert ("+ proximity" in why.formula) == ("proximity" in why.signals)
    if "diversity" not in way:
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=12),
    query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
)
def test_every_engine_adds_what_the_definition_gives(open_: Open, texts, query) -> None:
    notes, tokenize = open_(), ClinicalTokenizer().tokenize
    notes.add([Document(text, {}, f"d{i}", [1, i]) for i, text in enumerate(texts)])
    rows = [tokenize(text) for text in texts]
    df = {term: sum(term in row for row in rows) for term in tokenize(query)}
    asked = tokenize(query)
    weights = {
        term: asked.count(term) * float(np.log1p((len(rows) - n + 0.5) / (n + 0.5))) if n else 0.0
        for term, n in df.items()
    }
    plain = {hit.id: hit.score for hit in notes.search(query, vector=[1, 0], top_k=50)}
    found = {hit.id: hit.score for hit in notes.search(query, vector=[1, 0], top_k=50, rerank="proximity")}
    expected = {id: score + PART * naive(rows[int(id[1:])], asked, weights) for id, score in plain.items()}
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_dense_search_and_a_question_without_pairs(notes) -> None:
    with pytest.raises(InvalidInputError, match="rerank: proximity"):
        notes.search("chest pain", **ASKED, mode="dense", assertion="any", rerank="proximity")
    for query in ("chest", "unknown words", "chest chest"):
        plain = [(hit.id, hit.score) for hit in notes.search(query, **ASKED)]
        assert [(hit.id, hit.score) for hit in notes.search(query, **ASKED, rerank="proximity")] == plain


def backwards(query: str, texts: list[str]) -> list[float]:
    """The shorter the text, the better."""
    assert query
    return [-float(len(text)) for text in texts]


class Predicts:
    """As sentence-transformers' cross-encoders: callable too, since they are torch modules."""

    def predict(self, pairs):
        return np.array([[-len(text)] for _, text in pairs], np.float32)

    def __call__(self, *_: object) -> None:
        raise AssertionError("the network itself is no function of texts")


class Scores:
    """As LangChain's."""

    def score(self, text_pairs):
        return [-len(text) for _, text in text_pairs]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("reranker", [backwards, Predicts(), Scores()], ids=["function", "predict", "score"])
def test_a_rerankers_scores_take_the_place_of_the_rankings_and_denials_come_last(notes, way, reranker) -> None:
    plain = {hit.id for hit in notes.search("chest pain", **ASKED, **way)}
    hits = notes.search("chest pain", **ASKED, **way, rerank=reranker, explain=True)
    assert {hit.id for hit in hits} == plain
    denies_last = way.get("assertion") != "any"
    if "diversity" not in way:
        expected = sorted(plain, key=lambda id: (id == "denied" and denies_last, len(notes.get([id])[0].text)))
        assert [hit.id for hit in hits] == expected
    for hit in hits:
        why = hit.explanation
        assert sum((why.dense, why.sparse, *why.signals.values())) == pytest.approx(hit.score, abs=1e-9)
        assert why.signals["rerank"] == -len(hit.text)
        assert why.formula.startswith(f"rerank {-len(hit.text):.6f}")


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real one, from a folder; of a tiny network, so that its scores mean nothing."""
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    words = ClinicalTokenizer().tokenize(" ".join(document.text for document in DOCUMENTS))
    return library.CrossEncoder(str(make_cross_encoder(tmp_path_factory.mktemp("cross"), words)), device="cpu")


@pytest.mark.parametrize("way", [{}, {"mode": "sparse"}, {"mode": "dense"}, {"assertion": "any"}], ids=str)
def test_a_cross_encoder_of_sentence_transformers_ranks_the_hits_by_what_it_says_of_each(
    notes, cross_encoder, way
) -> None:
    plain = [hit.document for hit in notes.search("chest pain", **ASKED, **way)]
    said = cross_encoder.predict([("chest pain", document.text) for document in plain])
    expected = {document.id: pytest.approx(float(score)) for document, score in zip(plain, said, strict=True)}
    assert len(set(said.tolist())) == len(plain)
    hits = notes.search("chest pain", **ASKED, **way, rerank=cross_encoder, explain=True)
    assert {hit.id: hit.explanation.signals["rerank"] for hit in hits} == expected
    order = sorted(zip(said.tolist(), [str(document.id) for document in plain], strict=True), reverse=True)
    ids = [id for _, id in order]
    if way.get("assertion") != "any" and "denied" in ids:
        ids = [*(id for id in ids if id != "denied"), "denied"]
    assert [hit.id for hit in hits] == ids


def test_a_cross_encoder_ranks_whole_notes(open_: Open, cross_encoder) -> None:
    notes = open_()
    notes.add_notes([Document(document.text, id=document.id) for document in DOCUMENTS])
    asked: dict[str, Any] = {"mode": "sparse", "assertion": "any"}
    plain = {hit.id: hit.passages[0].text for hit in notes.search_notes("chest pain", **asked)}
    said = cross_encoder.predict([("chest pain", text) for text in plain.values()])
    found = {hit.id: hit.score for hit in notes.search_notes("chest pain", rerank=cross_encoder, **asked)}
    assert found == {id: pytest.approx(float(score)) for id, score in zip(plain, said, strict=True)}
    assert list(found) == sorted(found, key=lambda id: -found[id])


def test_rerankers_see_the_dense_search_too_and_only_the_best_hits(notes) -> None:
    seen: list[int] = []

    def counting(query: str, texts: list[str]) -> list[float]:
        seen.append(len(texts))
        return backwards(query, texts)

    assert notes.search("chest pain", **ASKED, mode="dense", rerank=counting, top_k=1)[0].id == "other"
    notes.search("chest pain", **ASKED, rerank=counting, top_k=1, fetch_k=2)
    notes.search("chest pain", **ASKED, rerank=counting, top_k=3, fetch_k=2)
    assert seen == [4, 2, 2]
    above = notes.search("chest pain", **ASKED, rerank=backwards, min_score=-30)
    assert [hit.id for hit in above] == ["other"]


@pytest.mark.parametrize(
    "wrong",
    [
        "magic",
        3,
        Predicts,
        lambda query, texts: [1.0],
        lambda query, texts: [float("nan")] * len(texts),
    ],
)
def test_what_is_no_reranker_is_refused(notes, wrong) -> None:
    with pytest.raises(InvalidInputError, match="rerank"):
        notes.search("chest pain", **ASKED, rerank=wrong)


def test_whole_notes_are_looked_at_again_too(open_: Open) -> None:
    notes = open_()
    notes.add_notes([Document(document.text, id=document.id) for document in DOCUMENTS])
    plain = {hit.id: hit.score for hit in notes.search_notes("chest pain", mode="sparse")}
    hits = notes.search_notes("chest pain", mode="sparse", rerank="proximity", explain=True)
    assert hits[0].id == "beside"
    for hit in hits:
        assert hit.score == pytest.approx(plain[hit.id] + hit.explanation.signals.get("proximity", 0.0), abs=1e-9)
    assert [hit.id for hit in notes.search_notes("chest pain", mode="sparse", rerank=backwards)][-1] != "beside"
