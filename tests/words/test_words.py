"""Looking up, comparing and finding words: against plain numpy, scikit-learn and what wink answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.errors import InvalidInputError, InvalidVectorError
from bedside.words import Similarity, WordVectors
from bedside.words.nearest import DISTANCES, METRICS

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BEDSIDE_DATA", ROOT.parent / "shared" / "data" / "dev"))
ORACLE = DATA.parent.parent / "oracles" / "wink" / "oracle.json"


def plain_scores(rows, query, metric):
    rows, query = rows.astype(float), np.asarray(query, float)
    if metric == "cosine":
        return rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    if metric == "dot":
        return rows @ query
    return np.linalg.norm(rows - query, ord=2 if metric == "euclidean" else 1, axis=1)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    n=st.sampled_from([1, 5, 63, 64, 65, 130, 2_048, 2_500]),
    k=st.sampled_from([1, 3, 10, 3_000]),
    spread=st.sampled_from([1e-4, 1.0]),
)
def test_nearest_is_what_sorting_all_scores_in_float64_gives(metric, seed, n, k, spread):
    rng = np.random.default_rng(seed)
    rows = (1.0 + spread * rng.normal(size=(n, 7))).astype(np.float32)  # a small spread crowds the scores
    if n > 4:
        rows[n // 2] = rows[0]
    vectors = WordVectors([f"w{i}" for i in range(n)], rows)
    queries = (1.0 + spread * rng.normal(size=(9, 7))).astype(np.float32)
    for query, answer in zip(queries, vectors.nearest_many(queries, k, metric=metric), strict=True):
        scores = plain_scores(rows, query, metric)
        best = np.sort(scores)[:k] if metric in ("euclidean", "manhattan") else np.sort(scores)[::-1][:k]
        np.testing.assert_allclose([found.score for found in answer], best, rtol=1e-12, atol=1e-12)
        assert len({found.word for found in answer}) == min(k, n)
        np.testing.assert_allclose([scores[int(found.word[1:])] for found in answer], best, rtol=1e-12, atol=1e-12)


def test_one_query_and_many_give_the_same_neighbours(small):
    for metric in METRICS:
        many = small.nearest_many(small.words, 5, metric=metric)
        assert many == [small.nearest(word, 5, metric=metric) for word in small.words]


def test_neighbours_agree_with_scikit_learn(small):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")
    for metric in ("cosine", "euclidean", "manhattan"):
        index = neighbors.NearestNeighbors(n_neighbors=6, metric=metric, algorithm="brute").fit(small.vectors)
        found = index.kneighbors(small.vectors, return_distance=False)[:, 1:]
        expected = [[small.words[i] for i in row] for row in found]
        assert [[n.word for n in row] for row in small.nearest_many(small.words, 5, metric=metric)] == expected


def test_ties_go_to_the_more_frequent_word():
    vectors = WordVectors(["a", "b", "c", "d"], [[1, 0], [0, 1], [1, 0], [1, 0]])
    assert [n.word for n in vectors.nearest(np.array([1.0, 0.0], np.float32), 3)] == ["a", "c", "d"]


def test_a_word_is_not_its_own_neighbour_but_a_vectors_is(small):
    assert "fever" not in [n.word for n in small.nearest("fever", 60)]
    assert len(small.nearest("fever", 100)) == len(small) - 1
    assert small.nearest(small.vector("fever"), 1)[0].word == "fever"


def test_unknown_words_have_no_neighbours_and_zero_similarity(small):
    assert small.nearest("zzzxxyy") == []
    assert small.nearest_many(["zzzxxyy", "fever"], 1)[0] == []
    assert len(small.nearest_many(["zzzxxyy", "fever"], 1)[1]) == 1
    for metric in METRICS:
        found = small.similarity("fever", "zzzxxyy", metric)
        assert found == 0.0
        assert not found.known
    assert not small.vector("zzzxxyy").any()


def test_words_of_a_programming_language_are_only_words(small):
    for word in ("__proto__", "constructor", "toString", ""):
        assert word not in small
        assert small.similarity(word, "fever") == Similarity(0.0, known=False)


def test_the_ways_a_word_is_looked_up():
    vectors = WordVectors(["fever", "xray", "meniere", "follow", "up", "US", "us"], np.eye(7))
    for given_word, row in {"Fever": 0, "x-ray": 1, "X-Ray": 1, "Ménière": 2, "fever's": 0, "US": 5, "us": 6}.items():
        np.testing.assert_array_equal(vectors.vector(given_word), np.eye(7, dtype=np.float32)[row])
    np.testing.assert_allclose(vectors.vector("follow-up"), np.eye(7)[[3, 4]].mean(axis=0))
    assert "follow-ups" not in vectors  # half of a compound is not the compound
    assert "-" not in vectors
    assert "follow" not in [n.word for n in vectors.nearest("follow-up", 7)]


def test_similarities_are_those_of_plain_numpy(small):
    a, b = small.vector("fever"), small.vector("chills")
    for metric in METRICS:
        found = small.similarity("fever", "chills", metric)
        assert found.known
        assert found == pytest.approx(plain_scores(b[None], a, metric)[0], rel=1e-12)


def test_analogies_add_unit_vectors_and_leave_out_what_was_given(small):
    found = small.analogy(["heart", "dyspnea"], ["lung"], 5)
    units = {w: small.vector(w) / np.linalg.norm(small.vector(w)) for w in small.words}
    target = units["heart"] + units["dyspnea"] - units["lung"]
    expected = sorted(set(small.words) - {"heart", "dyspnea", "lung"}, key=lambda w: -float(units[w] @ target))[:5]
    assert [n.word for n in found] == expected


def test_wrong_questions_are_refused(small):
    with pytest.raises(InvalidInputError, match="cosine, dot, euclidean, manhattan"):
        small.similarity("fever", "heart", "jaccard")
    with pytest.raises(InvalidInputError, match="at least 1"):
        small.nearest("fever", 0)
    with pytest.raises(InvalidVectorError, match="12 finite numbers"):
        small.nearest([1.0, 2.0])
    for wrong in (["fever", "heart"], np.array(["a"] * 12), np.ones((3, 12)), None, np.full(12, np.nan)):
        with pytest.raises(InvalidVectorError, match="query: expected"):
            small.nearest(wrong)
    for k in (1.5, "3", None):
        with pytest.raises(InvalidInputError, match="k="):
            small.nearest("fever", k)
        with pytest.raises(InvalidInputError, match="k="):
            small.analogy(["fever"], k=k)
    with pytest.raises(InvalidInputError, match="got one str"):
        small.nearest_many("fever")
    with pytest.raises(InvalidInputError, match="got one str"):
        small.analogy("heart", "lung")
    for ask in (small.vector, small.document_vector):
        with pytest.raises(InvalidInputError, match="NoneType"):
            ask(None)
    assert small.nearest_many(np.array(["fever", "zzz"])) == small.nearest_many(["fever", "zzz"])
    with pytest.raises(InvalidInputError, match="zzz"):
        small.analogy(["zzz"])
    with pytest.raises(InvalidInputError, match="nothing is left"):
        small.analogy(["fever"], ["fever"])


def test_contextual_vectors_hold_what_a_text_needs_and_load_again(small, tmp_path):
    found = small.contextual_vectors("Patient has fever.", words=["Fever", "ankle"], similar=True, limit=20)
    assert list(found) == [
        "precision", "l2NormIndex", "wordIndex", "dimensions", "unkVector", "size", "words", "vectors"
    ]  # fmt: skip
    assert found["size"] == len(found["words"]) == len(found["vectors"]) == 20
    assert {"patient", "has", "fever", ".", "ankle", "the"} <= set(found["words"])
    assert found["words"][-2:] == ["have", "Fever"]  # unknown ones come last
    assert found["vectors"]["Fever"] == [0] * 13 + [19]
    (tmp_path / "context.json").write_text(json.dumps(found))
    again = WordVectors.load(tmp_path / "context.json", cache=tmp_path)
    assert again.words == found["words"][:-2]
    np.testing.assert_array_equal(again.vector("ankle"), small.vector("ankle"))
    with pytest.raises(InvalidInputError, match="limit"):
        small.contextual_vectors("fever", limit=len(small))


def test_similarities_survive_pickling():
    import pickle

    found = pickle.loads(pickle.dumps(Similarity(0.25, known=True)))  # noqa: S301
    assert (found, found.known) == (0.25, True)


@pytest.fixture(scope="module")
def oracle():
    if not ORACLE.is_file():
        pytest.skip(f"wink's answers are not at {ORACLE}; BEDSIDE_DATA names the data's folder beside them")
    return json.loads(ORACLE.read_text())


def cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_wink_oracle_vectors_and_pairs(wink, oracle):
    assert len(wink) == oracle["meta"]["size"]
    for word, expected in oracle["vectorOf"].items():
        np.testing.assert_allclose(wink.vector(word), expected[:-1], atol=5e-7)
        assert np.linalg.norm(wink.vector(word).astype(float)) == pytest.approx(expected[-1], abs=5e-7)
    for pair in oracle["pair_cosine"]:
        assert round(wink.similarity(pair["a"], pair["b"]), 6) == pair["cosine"]
    for pair in oracle["pair_cosine_oov"]:
        assert not wink.similarity(pair["a"], pair["b"]).known


def test_wink_oracle_sentences_and_document_vectors(wink, oracle):
    for pair in oracle["readme_pairs"] + oracle["sentence_pairs"]:
        a, b = wink.document_vector(pair["ta"]), wink.document_vector(pair["tb"])
        assert round(cosine(a, b), 6) == pair["cosine"]
    example = oracle["sentence_vector_example"]
    found = wink.document_vector(example["tokens"])
    np.testing.assert_allclose(found, example["vector"][:-1], atol=5e-7)
    assert np.linalg.norm(found.astype(float)) == pytest.approx(example["vector"][-1], abs=5e-7)
    np.testing.assert_array_equal(wink.document_vector([]), oracle["sentence_vector_empty"][:-1])


def test_wink_oracle_neighbours(wink, oracle):
    for word, expected in oracle["nearest_top5"].items():
        found = [{"word": n.word, "cosine": round(n.score, 6)} for n in wink.nearest(word, 5)]
        assert found == expected
    for word, expected in oracle["l1_nearest"].items():
        found = wink.nearest(word, 1, metric="manhattan")[0]
        assert found.word == expected["word"]
        assert found.score == pytest.approx(expected["l1"], abs=5e-6)


def test_wink_oracle_contextual_vectors(wink, oracle):
    expected = oracle["contextual"]
    options = expected["opts"]
    found = wink.contextual_vectors(
        expected["text"], words=options["specificWordVectors"], similar=True, limit=options["wordVectorsLimit"]
    )
    assert list(found) == expected["keys"]
    assert (found["size"], found["words"]) == (expected["size"], expected["words"])
    assert found["vectors"]["fever"][-1] == expected["fever_idx"]
    assert found["vectors"]["Fever"][-2] == expected["Fever_norm"]
    assert found["vectors"]["zzzq"][-2:] == expected["zzzq_tail"]
    assert found["vectors"]["fever"][:-1] == oracle["vectorOf"]["fever"]
    plain = wink.contextual_vectors(expected["text"], lemma=False)
    assert plain["words"] == oracle["contextual_default"]["words"]


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_are_compared_as_the_words_that_they_are_of(small, metric):
    words = small.similarity("fever", "chills", metric)
    assert small.similarity(small.vector("fever"), "chills", metric) == words
    assert small.similarity(list(small.vector("fever")), small.vector("chills"), metric) == words
    nothing = small.similarity(small.document_vector("zzzxxyy"), "fever", metric)
    assert (nothing, nothing.known) == (0.0, False)
    for wrong in (None, 5, [1.0], np.ones((1, small.dimension))):
        with pytest.raises(InvalidVectorError, match="query: expected"):
            small.similarity(wrong, "fever", metric)


def test_a_zero_vector_has_no_neighbours_but_by_a_distance(small):
    zeros = small.document_vector("zzzxxyy")
    for metric in METRICS:
        assert bool(small.nearest(zeros, 2, metric=metric)) == (metric in DISTANCES)
    assert [bool(found) for found in small.nearest_many(np.stack([zeros, small.vector("fever")]), 2)] == [False, True]
