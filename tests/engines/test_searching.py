"""Ranking: every engine finds what the definitions say, in their order, with their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import Collection, Document
from engines import reference
from engines.conftest import Open

WORDS = ["chest", "pain", "denies", "fever", "cough", "120/80", "metoprolol", "5mg", "HbA1c", "nausea"]
QUERY = "chest pain and HbA1c, no fever fever"
WAYS: list[dict[str, Any]] = [
    {"mode": "dense"},
    {"mode": "sparse"},
    {"mode": "hybrid"},
    {"mode": "hybrid", "alpha": 0.2},
    {"mode": "hybrid", "alpha": 1.0},
    {"mode": "hybrid", "alpha": 0.0},
    {"mode": "hybrid", "fusion": "rrf"},
    {"mode": "hybrid", "fusion": "rrf", "fetch_k": 15},
    {"mode": "hybrid", "fusion": "rrf", "alpha": 0.3},
]


def notes_of(rng: np.random.Generator, count: int = 80) -> list[Document]:
    made = []
    for i in range(count):
        metadata: dict[str, Any] = {"n": i, "day": i % 5} | ({"note": f"v{rng.integers(12)}"} if i % 7 else {})
        text = " ".join(rng.choice(WORDS, rng.integers(1, 9)))
        made.append(Document(text, metadata, f"d{i}", rng.normal(size=6).astype(np.float32)))
    return made


@pytest.fixture
def corpus(rng: np.random.Generator) -> list[Document]:
    return notes_of(rng)


@pytest.fixture
def vector(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=6).astype(np.float32)


@pytest.fixture
def notes(open_: Open, corpus: list[Document]) -> Collection:
    """The corpus, and dead records that must leave no trace in any statistic."""
    collection = open_()
    collection.add([Document("chest chest pain fever", {"n": -1}, id, [1] * 6) for id in ("d3", "gone")])
    collection.add(corpus)
    collection.delete(["gone"])
    return collection


def check_answer(notes: Collection, expected: reference.Ranking, vector: Any, **options: Any) -> None:
    found = notes.search(QUERY, vector=vector, **options)
    assert [hit.id for hit in found] == [id for id, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("more", [{}, {"top_k": 3}, {"top_k": 200}, {"top_k": 5, "offset": 7}], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_search_answers_as_brute_force_does(notes, corpus, vector, way, more) -> None:
    check_answer(notes, reference.search(corpus, QUERY, vector, **way, **more), vector, **way, **more)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_filter_and_ids_choose_before_ranking_and_change_no_statistic(notes, corpus, vector, way) -> None:
    ids = [document.id for document in corpus[::-2]]
    expected = reference.search(
        corpus, QUERY, vector, **way, allowed=lambda d: d.metadata["day"] in (1, 2) and d.id in ids
    )
    check_answer(notes, expected, vector, **way, filter={"day": {"$in": [1, 2]}}, ids=[*ids, "none"])


@pytest.mark.parametrize("more", [{"top_k": 4}, {"top_k": 200}, {"top_k": 4, "offset": 5}], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_group_by_returns_the_best_of_each_group(notes, corpus, vector, way, more) -> None:
    expected = reference.search(
        corpus, QUERY, vector, **way, **more, group=lambda d: d.metadata.get("note", d.metadata["n"])
    )
    check_answer(notes, expected, vector, **way, **more, group_by="note")


@pytest.mark.parametrize("diversity", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_diversity_chooses_by_maximal_marginal_relevance(notes, corpus, vector, way, diversity) -> None:
    more = {"diversity": diversity, "top_k": 6, "fetch_k": way.get("fetch_k", 20), "offset": 1}
    check_answer(notes, reference.search(corpus, QUERY, vector, **{**way, **more}), vector, **{**way, **more})


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_min_score_leaves_out_what_lies_below_and_nothing_else(notes, corpus, vector, way) -> None:
    whole = reference.search(corpus, QUERY, vector, **way, top_k=200)
    floor = (whole[4][1] + whole[5][1]) / 2
    check_answer(notes, whole[:5], vector, **way, top_k=200, min_score=floor)


@pytest.mark.parametrize("group_by", [None, "note"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_explanation_has_the_halves_and_its_parts_sum_to_the_score(notes, corpus, vector, way, group_by) -> None:
    words, _ = reference.bm25(corpus, QUERY)
    vectors = {document.id: document.vector for document in corpus}
    hits = notes.search(QUERY, vector=vector, **way, group_by=group_by, explain=True, top_k=20)
    assert hits
    for hit in hits:
        why = hit.explanation
        assert sum((why.dense, why.sparse, *why.signals.values())) == pytest.approx(hit.score, abs=1e-9)
        if hit.dense is not None:
            assert hit.dense == pytest.approx(reference.cosine(vector, vectors[hit.id]), abs=1e-6)
        if hit.sparse is not None:
            assert hit.sparse == pytest.approx(words[hit.id], abs=1e-9)
            assert sum(why.terms.values()) == pytest.approx(hit.sparse, abs=1e-9)


@pytest.mark.parametrize("way", [way for way in WAYS if "fetch_k" not in way], ids=str)
def test_what_is_equal_comes_in_insertion_order_and_a_replaced_record_last(open_, way) -> None:
    notes = open_()
    notes.add([Document("chest pain", {}, f"e{i}", [1, 2]) for i in range(30)])
    notes.add([Document("chest pain", {}, "e4", [2, 4])])
    order = [*(f"e{i}" for i in range(30) if i != 4), "e4"]
    assert [hit.id for hit in notes.search("pain", vector=[2, 1], **way, top_k=50)] == order
    assert [hit.id for hit in notes.search("pain", vector=[2, 1], **way, top_k=3, offset=2)] == order[2:5]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_several_questions_are_answered_as_each_alone(notes, vector, way) -> None:
    texts, vectors = [QUERY, "cough", "unknownword"], np.stack([vector, -vector, vector])
    alone = [notes.search(text, vector=v, **way) for text, v in zip(texts, vectors, strict=True)]
    together = notes.search(texts, vectors=vectors, **way)
    assert [[hit.id for hit in hits] for hits in together] == [[hit.id for hit in hits] for hits in alone]
    for some, others in zip(together, alone, strict=True):
        assert [hit.score for hit in some] == pytest.approx([hit.score for hit in others], abs=1e-12)


def test_texts_without_vectors_are_found_by_words_and_by_nothing_else(open_, corpus, vector) -> None:
    notes = open_()
    notes.add([Document(document.text, document.metadata, document.id) for document in corpus])
    expected = reference.search(corpus, QUERY, vector, mode="sparse")
    for mode in (None, "sparse"):
        found = notes.search(QUERY, mode=mode)
        assert [hit.id for hit in found] == [id for id, _ in expected]
        assert {hit.dense for hit in found} == {None}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_empty_collection_finds_nothing(open_, way) -> None:
    assert open_().search("pain", vector=[1, 0], **way) == []


@pytest.mark.parametrize("fusion", ["weighted", "rrf"])
@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_a_note_of_many_passages_near_the_query_hides_no_other_note(open_, rng, mode, fusion) -> None:
    notes, near = open_(), np.array([1, 0, 0, 0], np.float32)
    passages = [
        Document("chest pain", {"note": "long"}, f"p{i}", near + rng.normal(scale=0.01, size=4)) for i in range(300)
    ]
    others = [Document("pain", {"note": f"o{i}"}, f"o{i}", [1, 1 + i, 0, 0]) for i in range(20)]
    notes.add(passages + others)
    hits = notes.search("chest pain", vector=near, mode=mode, fusion=fusion, group_by="note", top_k=10)
    assert [hit.metadata["note"] for hit in hits] == ["long", *(f"o{i}" for i in range(9))]


GROUPS: list[Any] = [["a", 1], ["a", True], [1, "a"], {"x": 1, "y": 2}, {"y": 2, "x": 1}, {"x": True}, [], {}, None]


def test_lists_and_objects_are_groups_where_they_are_equal_and_a_missing_key_is_a_group_of_its_own(open_) -> None:
    notes = open_()
    for twice in "ab":
        notes.add(
            [Document("pain", {"g": value}, f"{twice}{i}", [1, 0]) for i, value in enumerate(GROUPS)]
            + [Document("pain", {}, f"{twice}-missing", [1, 0])]
        )
    expected = ["a0", "a1", "a2", "a3", "a5", "a6", "a7", "a8", "a-missing", "b-missing"]
    for way in WAYS:
        assert [hit.id for hit in notes.search("pain", vector=[1, 0], **way, group_by="g", top_k=50)] == expected


rows = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS[:4]), min_size=1, max_size=4).map(" ".join),
        st.sampled_from([None, 1, True, "x", ["x"], {"y": 1}, ...]),
        st.tuples(st.integers(-2, 2), st.integers(-2, 2)).filter(any),
    ),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=rows, mode=st.sampled_from(["dense", "sparse", "hybrid"]), page=st.integers(1, 4))
def test_pages_of_groups_are_the_whole_ranking_with_each_group_once(open_, rows, mode, page) -> None:
    notes = open_()
    notes.add([Document(t, {} if g is ... else {"g": g}, str(i), vector) for i, (t, g, vector) in enumerate(rows)])
    ask: dict[str, Any] = {"vector": [2, 1], "mode": mode}
    seen, expected = set(), []
    for hit in notes.search("chest pain", **ask, top_k=100):
        group = repr(hit.metadata.get("g", hit))
        if group not in seen:
            seen.add(group)
            expected.append((hit.id, hit.score))
    paged = []
    for offset in range(0, len(expected) + page, page):
        found = notes.search("chest pain", **ask, group_by="g", top_k=page, offset=offset)
        paged += [(hit.id, hit.score) for hit in found]
    assert [id for id, _ in paged] == [id for id, _ in expected]
    assert [score for _, score in paged] == pytest.approx([score for _, score in expected], abs=1e-12)
