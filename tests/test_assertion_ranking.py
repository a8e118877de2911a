"""Rankings that read what a text asserts: contradicted documents come last, or are left out, and nothing else moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import langchain_bedside
import llama_index.vector_stores.bedside as llama_index_bedside
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from bedside import Collection, Document, load_encoder
from bedside.search.rank import RRF_K
from bedside.text.assertions import asked_polarity, marked_terms
from bedside.text.tokenizer import ClinicalTokenizer

ENCODER = load_encoder("bedside/static")
TOKENIZER = ClinicalTokenizer()
LOSS = {"any": 0.0, "prefer": -1.0, "only": -math.inf}
WORDS = ["chest", "pain", "cough", "fever", "no", "denies", "patient", "but", ".", "today"]

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
stores = st.lists(st.tuples(texts, st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=16)
queries = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
asked = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["hybrid", "dense", "sparse", "rrf"]),
        "assertion": st.sampled_from(list(LOSS)),
        "top_k": st.integers(1, 6),
        "offset": st.integers(0, 3),
        "group_by": st.sampled_from([None, "note"]),
        "filter": st.sampled_from([None, {"kind": 0}]),
    }
)


class Brute:
    """What one search should give, computed text by text."""

    def __init__(self, documents: list[Document], query: str, vector: np.ndarray, assertion: str) -> None:
        self.documents, self.loss = documents, LOSS[assertion]
        self.marked = [marked_terms(document.text, TOKENIZER) for document in documents]
        self.terms = list(dict.fromkeys(TOKENIZER.tokenize(query)))
        self.times = {term: TOKENIZER.tokenize(query).count(term) for term in self.terms}
        self.asked = asked_polarity(query, TOKENIZER) if assertion != "any" else {}
        stored = np.stack([document.vector for document in documents]).astype(np.float64)
        self.cosines = stored @ vector / np.linalg.norm(stored, axis=1) / np.linalg.norm(vector)
        self.idf = {term: self._idf(term) for term in self.terms}
        self.bound = sum(self.idf.values())
        average = sum(len(found.terms) for found in self.marked) / len(documents)
        self.bm25 = [self._bm25(found.terms, average) for found in self.marked]
        self.against = [self._contradicts(found) for found in self.marked]

    def _idf(self, term: str) -> float:
        df = sum(term in found.terms for found in self.marked)
        return self.times[term] * math.log(1 + (len(self.marked) - df + 0.5) / (df + 0.5)) if df else 0.0

    def _bm25(self, terms: list[str], average: float) -> float:
        norm = 1.2 * (0.25 + 0.75 * len(terms) / average) if average else 1.0
        return sum(self.idf[term] * terms.count(term) / (terms.count(term) + norm) for term in self.terms)

    def _contradicts(self, found) -> bool:
        bits = {term: [b for t, b in zip(*found, strict=True) if t == term] for term in self.asked}
        wrong = {term: not any(b) if self.asked[term] == "absent" else all(b) for term, b in bits.items() if b}
        lost = sum(self.idf[term] for term in wrong if wrong[term])
        return lost > 0 and lost >= 0.9 * sum(self.idf[term] for term in self.asked)

    def scores(self, mode: str) -> dict[int, float]:
        """Row -> score of those that may be hits."""
        found = {}
        for row, (cosine, bm25) in enumerate(zip(self.cosines, self.bm25, strict=True)):
            loss = self.loss if self.against[row] else 0.0
            if mode == "sparse" and bm25 > 0 and not (loss and self.against[row]):
                found[row] = bm25
            elif mode == "dense":
                found[row] = cosine + loss
            elif mode == "hybrid":
                found[row] = 0.6 * cosine + (0.4 * bm25 / self.bound if self.bound else 0.0) + loss
        return {row: score for row, score in found.items() if score > -math.inf}

    def ranked(self, scores: dict[int, float], allowed: list[bool], group: Callable[[int], Any]) -> list[int]:
        """Rows best first, one of each group."""
        order = sorted((row for row in scores if allowed[row]), key=lambda row: (-scores[row], row))
        firsts: dict[Any, int] = {}
        for row in order:
            firsts.setdefault(group(row), row)
        return list(firsts.values())


@settings(max_examples=150)
@given(store=stores, query=queries, options=asked, seed=st.integers(0, 1000))
def test_the_best_are_those_of_a_ranking_made_text_by_text(store, query, options, seed):
    rng = np.random.default_rng(seed)
    notes = Collection.open(scope_keys=["patient"])
    for i, (text, note, patient, kind) in enumerate(store):
        metadata = {"note": note, "patient": f"p{patient}", "kind": kind}
        notes.add([Document(text, metadata, str(i), rng.normal(size=4).astype(np.float32))])
    view, vector = notes.scoped(patient="p0"), rng.normal(size=4).astype(np.float32)
    documents = view.get(filter={}, include_vectors=True)
    mode, fused = ("hybrid", True) if options["mode"] == "rrf" else (options["mode"], False)
    given = {**options, "mode": mode, "fusion": "rrf" if fused else "weighted"}
    hits = view.search(query, vector=vector, explain=True, **given)
    if not documents:
        assert hits == []
        return
    brute = Brute(documents, query, vector, options["assertion"])
    allowed = [options["filter"] is None or document.metadata["kind"] == 0 for document in documents]

    def group(row: int) -> Any:
        return row if options["group_by"] is None else documents[row].metadata["note"]

    if fused:
        halves = [brute.ranked(brute.scores(half), allowed, group) for half in ("dense", "sparse")]
        places = [{group(row): place for place, row in enumerate(half, 1)} for half in halves]
        scores = {
            key: sum(1 / (RRF_K + place[key]) for place in places if key in place) for key in {**places[0], **places[1]}
        }
        expected = sorted(scores.values(), reverse=True)
        by_hit = {document.id: scores.get(group(row)) for row, document in enumerate(documents)}
    else:
        scores = brute.scores(mode)
        if mode == "sparse" and options["assertion"] == "prefer" and not any(allowed[row] for row in scores):
            scores = Brute(documents, query, vector, "any").scores(mode)  # denials alone rank as before
        expected = [scores[row] for row in brute.ranked(scores, allowed, group)]
        by_hit = {document.id: scores[row] for row, document in enumerate(documents) if row in scores}
    page = slice(options["offset"], options["offset"] + options["top_k"])
    assert [hit.score for hit in hits] == pytest.approx(expected[page], abs=1e-6)
    for hit in hits:
        assert hit.score == pytest.approx(by_hit[hit.id], abs=1e-6)
        why = hit.explanation
        assert why.dense + why.sparse + sum(why.signals.values()) == pytest.approx(hit.score, abs=1e-9)


@given(store=stores, query=queries, assertion=st.sampled_from(list(LOSS)), seed=st.integers(0, 1000))
def test_marginal_relevance_chooses_among_the_ranking_that_reads_assertions(store, query, assertion, seed):
    rng = np.random.default_rng(seed)
    notes = Collection.open()
    notes.add([Document(text, vector=rng.normal(size=4)) for text, *_ in store])
    vector = rng.normal(size=4)
    for fusion in ("weighted", "rrf"):
        options = {"vector": vector, "assertion": assertion, "fusion": fusion}
        pool = notes.search(query, top_k=5, **options)
        chosen = notes.search(query, top_k=3, fetch_k=5, diversity=0.5, **options)
        if fusion == "weighted":
            assert {(hit.id, hit.score) for hit in chosen} <= {(hit.id, hit.score) for hit in pool}
            assert notes.search(query, top_k=3, fetch_k=5, diversity=0, **options) == pool[:3]
        assert len(chosen) == min(3, len(notes.search(query, top_k=3, fetch_k=5, **options)))


PAIRS = [
    ("chest pain", "Chest pain on exertion.", "Denies chest pain."),
    ("no chest pain", "Denies chest pain.", "Chest pain on exertion."),
    ("denies chest pain", "No chest pain.", "Chest pain on exertion."),
    ("patient with chest pain", "Chest pain on exertion.", "Denies chest pain."),
    ("cough", "Cough for a week.", "No cough but fever."),
    ("fever", "No cough but fever.", "No fever but a cough."),
    ("rash", "Rash on both arms.", "No nausea, vomiting, or rash."),
    ("PE", "Cannot rule out PE.", "No PE on the scan."),
    ("PE", "PE was not ruled out.", "PE was ruled out."),
    ("gram negative rods", "Gram negative rods in the urine.", "No gram negative rods in the urine."),
    ("arthritis", "No cure for arthritis.", "No arthritis."),
    ("fever", "Fever since Monday.", "Fever: none."),
    ("rash", "Rash since Monday.", "He didn't report a rash."),
    ("murmur", "No change in the murmur.", "No murmur."),
    ("chest pain", "No chest pain today. Chest pain at night.", "No chest pain today, no chest pain at night."),
]


@pytest.mark.parametrize(("query", "right", "wrong"), PAIRS)
@pytest.mark.parametrize("options", [{}, {"mode": "dense"}, {"fusion": "rrf"}, {"diversity": 0.2}, {"alpha": 0.3}])
def test_what_contradicts_a_question_comes_last(query, right, wrong, options):
    with Collection.open(encoder=ENCODER) as notes:
        notes.add([wrong, right, "The father works in a mill."])
        found = [hit.text for hit in notes.search(query, **options)]
        assert found.index(right) < found.index(wrong)
        only = [hit.text for hit in notes.search(query, assertion="only", **options)]
        assert right in only
        assert wrong not in only


@pytest.mark.parametrize(("query", "right", "wrong"), PAIRS)
def test_in_a_search_for_words_what_contradicts_is_no_hit(query, right, wrong):
    with Collection.open() as notes:
        notes.add([wrong, right, "The father works in a mill."])
        assert [hit.text for hit in notes.search(query)] == [right]
        assert {hit.text for hit in notes.search(query, assertion="any")} == {right, wrong}


@pytest.mark.parametrize(
    "query",
    [
        "Does the patient have chest pain?",
        "Any chest pain?",
        "no",
        "denies",
        "patient history",
        "chest pain and no chest pain",
    ],
)
def test_a_question_that_asks_both_ways_or_about_no_finding_ranks_as_before(query):
    with Collection.open(encoder=ENCODER) as notes:
        notes.add([text for _, *pair in PAIRS for text in pair])
        for mode in ("hybrid", "dense", "sparse"):
            assert notes.search(query, mode=mode) == notes.search(query, mode=mode, assertion="any")


def test_a_vector_alone_asks_for_no_polarity():
    with Collection.open(encoder=ENCODER) as notes:
        notes.add(["Denies chest pain.", "Chest pain on exertion."])
        vector = notes.encode_queries(["chest pain"])[0]
        assert all(hit.score == hit.dense for hit in notes.search(vector=vector, assertion="only"))


@pytest.mark.parametrize(("query", "right", "wrong"), PAIRS)
def test_langchain_ranks_so_by_default_and_takes_the_option(query, right, wrong):
    embeddings = langchain_bedside.BedsideEmbeddings(model="bedside/static")
    store = langchain_bedside.BedsideVectorStore(embedding=embeddings)
    store.add_texts([wrong, right, "The father works in a mill."])
    for mode in ("dense", "hybrid"):
        found = [d.page_content for d in store.similarity_search(query, retrieval_mode=mode)]
        assert found.index(right) < found.index(wrong)
        retriever = store.as_retriever(search_kwargs={"assertion": "only", "retrieval_mode": mode})
        assert wrong not in [d.page_content for d in retriever.invoke(query)]


@pytest.mark.parametrize(("query", "right", "wrong"), PAIRS)
def test_llama_index_ranks_so_by_default_and_takes_the_option(query, right, wrong):
    store = llama_index_bedside.BedsideVectorStore()
    written = [wrong, right, "The father works in a mill."]
    vectors = ENCODER.encode_documents(written).tolist()
    store.add([TextNode(text=text, embedding=vector) for text, vector in zip(written, vectors, strict=True)])
    for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.MMR):
        embedding = ENCODER.encode_queries([query])[0].tolist()
        asked = VectorStoreQuery(query_embedding=embedding, query_str=query, mode=mode, similarity_top_k=3)
        found = [node.get_content() for node in store.query(asked).nodes]
        assert found.index(right) < found.index(wrong)
        assert wrong not in [node.get_content() for node in store.query(asked, assertion="only").nodes]


def test_an_explanation_says_what_is_negated_and_what_it_cost():
    with Collection.open(encoder=ENCODER) as notes:
        notes.add(["Denies chest pain. No chest pain at night.", "Chest pain on exertion, no pain at rest."])
        right, wrong = notes.search("chest pain", explain=True)
        assert right.explanation.signals == {}
        assert right.explanation.negated == {"chest": "0 of 1 negated", "pain": "1 of 2 negated"}
        assert wrong.explanation.signals == {"assertion": -1.0}
        assert wrong.explanation.negated == {"chest": "2 of 2 negated", "pain": "2 of 2 negated"}
        assert wrong.explanation.formula.endswith(" - assertion 1.000000 (chest 2 of 2 negated, pain 2 of 2 negated)")
        fused = notes.search("chest pain", explain=True, fusion="rrf")[1].explanation
        assert fused.formula == (
            "rrf of dense rank 2 and sparse rank None, k 60"
            " (lower in each half: chest 2 of 2 negated, pain 2 of 2 negated)"
        )
        assert notes.search("chest pain", explain=True, assertion="any")[0].explanation.negated == {}


def test_whole_notes_count_over_their_passages():
    denied = "HPI: Denies chest pain. ROS: No chest pain, no dyspnea."
    both = "HPI: No chest pain today. ROS: Chest pain last week, on the stairs."
    with Collection.open(encoder=ENCODER) as notes:
        notes.add_notes([Document(denied, id="denied"), Document(both, id="both"), Document("PLAN: Rest.", id="plan")])
        assert [hit.id for hit in notes.search_notes("chest pain")] == ["both", "plan", "denied"]
        assert [hit.id for hit in notes.search_notes("chest pain", assertion="only")] == ["both", "plan"]
        assert [hit.id for hit in notes.search_notes("chest pain", mode="sparse")] == ["both"]
        assert "denied" in [hit.id for hit in notes.search_notes("chest pain", assertion="any")][:2]
        (hit, *_) = notes.search_notes("chest pain", assertion="only")
        assert len(hit.passages) == len(notes.get(filter={"source_id": "both"}))


def test_marks_outlive_a_checkpoint_and_other_rules_make_it_stale(tmp_path, monkeypatch):
    from bedside.engines.embedded import state

    monkeypatch.setattr(state, "_CACHE_AFTER", 1)
    written = [text for _, *pair in PAIRS for text in pair]
    with Collection.open(tmp_path / "c") as notes:
        notes.add(written)
        expected = {query: notes.search(query) for query, *_ in PAIRS}
    assert list((tmp_path / "c").rglob("*.cache*")) or list((tmp_path / "c").rglob("cache*"))
    monkeypatch.setattr("bedside.text.analyzer.marked_terms", None)  # nothing is cut anew
    with Collection.open(tmp_path / "c") as notes:
        assert {query: notes.search(query) for query, *_ in PAIRS} == expected
    monkeypatch.setattr(state, "RULES_VERSION", "other")
    with pytest.raises(TypeError):
        Collection.open(tmp_path / "c")
