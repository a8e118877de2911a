"""The collection's verbs: what they return, and what they refuse without changing anything."""

from __future__ import annotations

import copy
import gc
import pickle
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bedside import Collection, Document, SparseSettings
from bedside.errors import (
    BedsideError,
    CollectionClosedError,
    DuplicateIdError,
    EncoderMismatch,
    EncoderRequired,
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    NotACollectionError,
    ReadOnlyError,
)


class HashEncoder:
    """A real, tiny encoder: each word adds its own fixed direction."""

    def __init__(self, dimension: int = 16, seed: int = 0) -> None:
        self.name, self.dimension, self.seed = "hash", dimension, seed
        self.fingerprint = f"hash-{dimension}-{seed}"
        self.calls = 0

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        return np.stack([self._encode(text) for text in texts])

    encode_queries = encode_documents

    def _encode(self, text: str) -> np.ndarray:
        words = text.lower().split()
        seeds = [[self.seed, *word.encode()] for word in words]
        return np.sum([np.random.default_rng(s).normal(size=self.dimension) for s in seeds], axis=0).astype(np.float32)


NOTES = [
    Document("Denies chest pain. BP 120/80.", {"section": "ROS", "day": 1}, "ros"),
    Document("Chest pain on exertion for three days.", {"section": "HPI", "day": 2}, "hpi"),
    Document("HbA1c 8.2 %, creatinine 1.6 mg/dL.", {"section": "LABS", "day": 2}, "labs"),
    Document("Father had a myocardial infarction at 52.", {"section": "FAMILY HISTORY"}, "family"),
]


@pytest.fixture(params=["memory", "disk"])
def notes(request, tmp_path) -> Collection:
    path = None if request.param == "memory" else tmp_path / "notes"
    collection = Collection.open(path, encoder=HashEncoder())
    collection.add(NOTES)
    return collection


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
def test_an_open_collection_is_neither_copied_nor_pickled(notes, duplicate) -> None:
    """Both are refused, and what was begun of a copy does not close the original's files."""
    with pytest.raises(TypeError, match="an open collection cannot be copied or pickled"):
        duplicate({"state": notes})
    gc.collect()
    assert notes.get(["ros"])[0].text == NOTES[0].text
    assert notes.add(["Afebrile."])


def test_documents_come_back_exactly_in_insertion_order(notes):
    assert list(notes) == notes.get(filter={}) == NOTES
    assert len(notes) == notes.count() == 4
    assert "ros" in notes
    assert "nobody" not in notes


def test_get_by_id_keeps_the_order_asked_and_leaves_out_what_is_missing(notes):
    assert [d.id for d in notes.get(["labs", "nobody", "ros", "labs"])] == ["labs", "ros", "labs"]
    assert [d.id for d in notes.get(["labs", "ros"], filter={"day": 2})] == ["labs"]
    assert notes.get([]) == []


def test_get_pages_through_a_filter(notes):
    assert [d.id for d in notes.get(filter={}, offset=1, limit=2)] == ["hpi", "labs"]
    assert notes.get(filter={}, limit=0) == []


def test_add_replaces_by_id_and_moves_the_record_to_the_end(notes):
    assert notes.add([Document("Chest pain resolved.", {"section": "HPI"}, "hpi")]) == ["hpi"]
    assert [d.id for d in notes] == ["ros", "labs", "family", "hpi"]
    assert [h.id for h in notes.search("exertion", mode="sparse")] == []


def test_bare_texts_and_generators_get_ids(notes):
    ids = notes.add(text for text in ["No fever.", "No cough."])
    assert len(set(ids)) == 2
    assert [d.text for d in notes.get(ids)] == ["No fever.", "No cough."]
    assert notes.add([]) == []


def test_vectors_given_and_made_come_back_bit_for_bit(notes, rng):
    vector = rng.normal(size=16).astype(np.float32)
    notes.add([Document("given", vector=vector, id="given")])
    assert notes.get(["given"], include_vectors=True)[0].vector.tobytes() == vector.tobytes()
    made = notes.get(["ros"], include_vectors=True)[0].vector
    assert made.tobytes() == notes.encoder.encode_documents([NOTES[0].text])[0].tobytes()
    assert notes.get(["ros"])[0].vector is None


def test_what_the_caller_gave_is_neither_changed_nor_shared(notes):
    metadata = {"tags": ["a"]}
    (id,) = notes.add([Document("mine", metadata)])
    metadata["tags"].append("b")
    assert notes.get([id])[0].metadata == {"tags": ["a"]}
    assert notes.count({"tags": "b"}) == 0


def test_delete_takes_ids_or_a_filter_and_counts_what_was_there(notes):
    assert notes.delete(["ros", "ros", "nobody"]) == 1
    assert notes.delete(["labs", "hpi"], filter={"section": "HPI"}) == 1
    assert notes.delete(filter={"day": {"$exists": False}}) == 1
    assert [d.id for d in notes] == ["labs"]
    assert notes.delete(filter={}) == 1
    assert notes.delete(filter={}) == 0
    assert notes.search("labs") == []


def test_hits_are_best_first_with_exact_parts(notes):
    query = "chest pain"
    vector = notes.encoder.encode_queries([query])[0]
    hits = notes.search(query, top_k=4)
    assert hits[0].id == "hpi" or hits[0].id == "ros"
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    bm25 = {h.id: h.score for h in notes.search(query, mode="sparse", assertion="any")}
    assert set(bm25) == {"ros", "hpi"}
    for hit in hits:
        stored = notes.get([hit.id], include_vectors=True)[0].vector.astype(float)
        cosine = stored @ vector / np.linalg.norm(stored) / np.linalg.norm(vector.astype(float))
        assert hit.dense == pytest.approx(cosine, abs=1e-6)
        assert hit.sparse == pytest.approx(bm25.get(hit.id, 0.0), abs=1e-12)
        assert type(hit.score) is type(hit.dense) is type(hit.sparse) is float
    idf = notes.search(query, mode="sparse", top_k=1)[0]
    assert idf.dense is None


def test_the_hybrid_score_is_the_fixed_scale_sum(notes):
    query = "chest pain"
    engine = notes._engine
    with engine.reading() as index:
        bound = index.sparse.score(index.tokenizer.tokenize(query), None).bound
    for alpha in (0.25, 0.6, 0.9):
        for hit in notes.search(query, alpha=alpha):
            denied = 1.0 if hit.id == "ros" else 0.0
            assert hit.score == pytest.approx(alpha * hit.dense + (1 - alpha) * hit.sparse / bound - denied, abs=1e-12)
    assert [h.score for h in notes.search(query)] == [h.score for h in notes.search(query, alpha=0.6)]


def test_alpha_one_is_dense_and_alpha_zero_is_sparse(notes):
    query = "chest pain"
    pairs = lambda hits: [(h.id, h.score) for h in hits]  # noqa: E731
    assert pairs(notes.search(query, alpha=1)) == pairs(notes.search(query, mode="dense"))
    assert pairs(notes.search(query, alpha=0)) == pairs(notes.search(query, mode="sparse"))
    assert pairs(notes.search(query, alpha=0, fusion="rrf")) == pairs(notes.search(query, mode="sparse"))


def test_a_score_does_not_depend_on_what_else_was_found(notes):
    scores = {h.id: h.score for h in notes.search("chest pain", top_k=4)}
    for id, score in scores.items():
        (hit,) = notes.search("chest pain", ids=[id])
        assert hit.score == score


def test_a_query_without_known_words_is_answered_by_the_dense_half(notes):
    hits = notes.search("zzz qqq")
    assert len(hits) == 4
    assert all(h.sparse == 0.0 for h in hits)
    assert notes.search("zzz qqq", mode="sparse") == []


def test_ties_go_to_the_earlier_document():
    notes = Collection.open()
    notes.add([Document("same words", id=str(i), vector=[1, 2]) for i in range(20)])
    for mode in ("dense", "sparse", "hybrid"):
        hits = notes.search("same words", vector=[2, 1], mode=mode, top_k=5)
        assert [h.id for h in hits] == ["0", "1", "2", "3", "4"], mode


def test_rrf_scores_are_reciprocal_ranks(notes):
    query = "chest pain"
    dense = [h.id for h in notes.search(query, mode="dense")]
    sparse = [h.id for h in notes.search(query, mode="sparse")]
    for hit in notes.search(query, fusion="rrf"):
        ranks = [ranking.index(hit.id) + 1 for ranking in (dense, sparse) if hit.id in ranking]
        assert hit.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))


def test_filters_choose_before_ranking(notes):
    hits = notes.search("chest pain", filter={"section": {"$in": ["HPI", "LABS"]}}, top_k=1)
    assert [h.id for h in hits] == ["hpi"]
    assert notes.search("chest pain", filter={"section": "nowhere"}) == []
    assert notes.count({"day": {"$gte": 2}}) == 2


def test_paging_min_score_and_ids_cut_the_same_ranking(notes):
    everything = notes.search("chest pain", top_k=4)
    assert notes.search("chest pain", top_k=2, offset=1) == everything[1:3]
    assert notes.search("chest pain", top_k=2, offset=9) == []
    assert notes.search("chest pain", min_score=everything[1].score) == everything[:2]
    assert {h.id for h in notes.search("chest pain", ids=["labs", "nobody"])} == {"labs"}
    assert notes.search("chest pain", ids=[]) == []


def test_diversity_leads_from_relevance_to_difference():
    notes = Collection.open()
    vectors = {"best": [1, 0.1, 0], "twin": [1, 0.11, 0], "other": [0.7, -0.7, 0]}
    notes.add([Document("x", id=id, vector=v) for id, v in vectors.items()])
    found = lambda d: [h.id for h in notes.search(vector=[1, 0.1, 0], diversity=d, top_k=2)]  # noqa: E731
    assert found(0.0) == ["best", "twin"]
    assert found(0.6) == ["best", "other"]


def test_many_queries_are_answered_as_each_alone(notes):
    queries = ["chest pain", "HbA1c"]
    assert notes.search(queries) == [notes.search(q) for q in queries]
    vectors = notes.encoder.encode_queries(queries)
    for options in ({"mode": "dense"}, {"mode": "dense", "assertion": "only"}, {"fusion": "rrf"}, {"group_by": "day"}):
        alone = [notes.search(q, vector=v, **options) for q, v in zip(queries, vectors, strict=True)]
        assert notes.search(queries, vectors=vectors, **options) == alone
    assert notes.search([]) == []


def test_many_vectors_are_answered_as_each_alone(notes):
    """An array ``[n, d]`` or a list of vectors, without a text, gives one answer for each row."""
    vectors = notes.encoder.encode_queries(["chest pain", "HbA1c", "infarction"])
    for options in ({}, {"top_k": 2, "filter": {"day": 2}}, {"group_by": "day"}, {"diversity": 0.5, "explain": True}):
        alone = [notes.search(vector=vector, **options) for vector in vectors]
        assert notes.search(vectors=vectors, **options) == alone
        assert notes.search(vectors=vectors.tolist(), **options) == alone
    assert notes.search(vectors=vectors[:1]) == [notes.search(vector=vectors[0])]
    assert notes.search(vectors=[]) == notes.search(vectors=vectors[:0]) == notes.search([], vectors=[]) == []


def test_without_an_encoder_texts_are_found_by_words_alone(tmp_path):
    with Collection.open(tmp_path / "texts") as notes:
        notes.add(["HbA1c 8.2 %", "Fever."])
        assert notes.dimension == 0
        assert [h.text for h in notes.search("8.2")] == ["HbA1c 8.2 %"]
        with pytest.raises(InvalidVectorError, match="texts without vectors"):
            notes.add([Document("x", vector=[1.0])])
    with Collection.open(tmp_path / "texts") as notes:
        assert [h.text for h in notes.search("fever")] == ["Fever."]


def test_an_encoder_that_a_collection_of_texts_would_not_use_is_refused_and_reembed_named(tmp_path):
    with Collection.open(tmp_path / "c") as notes:
        notes.add(["chest pain"])
    with Collection.open(tmp_path / "c", encoder=HashEncoder()) as notes:
        for use in (
            lambda: notes.add(["angina"]),
            lambda: notes.search("angina"),
            lambda: notes.search_notes("angina"),
        ):
            with pytest.raises(EncoderMismatch, match="reembed"):
                use()
        assert [hit.text for hit in notes.search("pain", mode="sparse")] == ["chest pain"]
        assert len(notes) == 1


@pytest.mark.parametrize("options", [{"mode": "dense"}, {"mode": "hybrid"}, {"vector": np.ones(16)}, {"alpha": 1.0}])
def test_a_collection_of_texts_alone_refuses_to_be_searched_by_vectors(tmp_path, options):
    """It would find nothing, or answer a hybrid question with BM25 alone."""
    with Collection.open(tmp_path / "c") as notes:
        notes.add(["chest pain"])
    with Collection.open(tmp_path / "c", encoder=HashEncoder()) as notes:
        assert notes.search("pain", mode="sparse")[0].dense is None
        with pytest.raises(InvalidInputError, match="texts without vectors"):
            notes.search("pain", **{"mode": "hybrid", **options})
        with pytest.raises(InvalidInputError, match="texts without vectors"):
            notes.search(vector=np.ones(16))
        assert notes.search("pain", mode="hybrid", alpha=0.0)
        notes.reembed(HashEncoder())
        assert notes.search("pain", **options)[0].dense is not None


def test_an_empty_collection_answers_nothing(tmp_path):
    for notes in (Collection.open(), Collection.open(tmp_path / "c", encoder=HashEncoder())):
        assert notes.search("pain") == []
        assert notes.get(filter={}) == [] == list(notes)
        assert notes.count() == len(notes) == notes.delete(filter={}) == 0
        assert bool(notes)
        notes.compact()


def test_a_reopened_collection_answers_alike(tmp_path):
    encoder = HashEncoder()
    with Collection.open(tmp_path / "c", encoder=encoder) as notes:
        notes.add(NOTES)
        notes.delete(["family"])
        before = notes.search("chest pain"), notes.get(filter={}, include_vectors=True)
    with Collection.open(tmp_path / "c", encoder=encoder) as notes:
        assert (notes.search("chest pain"), notes.get(filter={}, include_vectors=True)) == before
        notes.compact()
        assert (notes.search("chest pain"), notes.get(filter={}, include_vectors=True)) == before
    with Collection.open(tmp_path / "c", encoder=encoder) as notes:
        assert (notes.search("chest pain"), notes.get(filter={}, include_vectors=True)) == before


def test_two_collections_on_one_folder_see_each_other_at_once(tmp_path):
    one, two = (Collection.open(tmp_path / "c", encoder=HashEncoder()) for _ in range(2))
    one.add(NOTES)
    assert list(two) == NOTES
    two.delete(["ros"])
    assert "ros" not in one
    two.compact()
    one.add([Document("No fever.", id="n")])
    assert [d.id for d in two] == ["hpi", "labs", "family", "n"]


def test_files_are_for_their_owner_only(tmp_path):
    with Collection.open(tmp_path / "c", encoder=HashEncoder()) as notes:
        notes.add(NOTES)
        notes.compact()
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o700
    for path in (tmp_path / "c").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_another_encoder_or_dimension_is_refused(tmp_path):
    with Collection.open(tmp_path / "c", encoder=HashEncoder()) as notes:
        notes.add(NOTES)
    with pytest.raises(EncoderMismatch, match="hash-16-0"):
        Collection.open(tmp_path / "c", encoder=HashEncoder(seed=1))
    with pytest.raises(EncoderMismatch):
        Collection.open(tmp_path / "c", encoder=HashEncoder(dimension=8))
    with Collection.open(tmp_path / "c") as notes:
        with pytest.raises(EncoderRequired, match="vector="):
            notes.search("pain")
        with pytest.raises(EncoderRequired, match=r"Document\.vector"):
            notes.add(["text"])
        assert notes.search("exertion", mode="sparse")


SURROGATE = "\ud800"
BAD_DOCUMENTS = [
    (Document(""), InvalidDocumentError, r"documents\[1\].text: empty"),
    (Document("  \n"), InvalidDocumentError, "empty"),
    (Document(SURROGATE), InvalidDocumentError, "lone surrogate"),
    (Document(b"bytes"), InvalidDocumentError, "expected a str, got bytes"),
    ({"text": "a"}, InvalidDocumentError, "expected a Document or str, got dict"),
    (Document("a", id=""), InvalidDocumentError, "id: expected a non-empty str"),
    (Document("a", id=7), InvalidDocumentError, "id: expected a non-empty str, got int"),
    (Document("a", id=SURROGATE), InvalidDocumentError, "lone surrogate"),
    (Document("a", id="twice"), DuplicateIdError, "given twice"),
    (Document("a", {"x": float("nan")}), InvalidDocumentError, "metadata.x: is NaN"),
    (Document("a", {"x": {"y": [1, float("inf")]}}), InvalidDocumentError, r"metadata.x.y\[1\]"),
    (Document("a", {"x": 2**63}), InvalidDocumentError, "64 bits"),
    (Document("a", {1: "x"}), InvalidDocumentError, "keys must be str, got int"),
    (Document("a", {"x": {SURROGATE: 1}}), InvalidDocumentError, "lone surrogate"),
    (Document("a", {"x": (1, 2)}), InvalidDocumentError, "got tuple"),
    (Document("a", {"x": np.float32(1)}), InvalidDocumentError, "got float32"),
    (Document("a", {"x": {1, 2}}), InvalidDocumentError, "got set"),
    (Document("a", [1]), InvalidDocumentError, "expected a mapping"),
    (Document("a", vector=[1.0] * 15), InvalidVectorError, "16.*15"),
    (Document("a", vector=[float("nan")] * 16), InvalidVectorError, "finite"),
    (Document("a", vector=[1e39] * 16), InvalidVectorError, "finite"),
    (Document("a", vector=[0.0] * 16), InvalidVectorError, "zero vector"),
    (Document("a", vector=[[1.0] * 16]), InvalidVectorError, "shape"),
    (Document("a", vector=["x"] * 16), InvalidVectorError, "expected numbers"),
    (Document("a", vector=[]), InvalidVectorError, "shape"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_DOCUMENTS)
def test_one_bad_document_is_named_and_nothing_of_the_call_is_stored(notes, bad, error, message):
    calls = notes.encoder.calls
    before = notes.get(filter={}, include_vectors=True)
    with pytest.raises(error, match=message) as caught:
        notes.add([Document("good", id="twice"), bad])
    assert isinstance(caught.value, BedsideError)
    assert isinstance(caught.value, ValueError)
    assert notes.get(filter={}, include_vectors=True) == before
    if error is not InvalidVectorError:
        assert notes.encoder.calls == calls, "nothing is encoded before everything is checked"


def test_nesting_is_bounded_by_name(notes):
    deep: dict = {}
    for _ in range(100):
        deep = {"x": deep}
    with pytest.raises(InvalidDocumentError, match="nested deeper than 64"):
        notes.add([Document("a", deep)])


def test_hostile_but_valid_metadata_comes_back_exactly(notes):
    metadata = {
        "": "empty key", "a.b": 1, "$eq": {"$in": [None]}, "k" * 10_000: "long", "\x00\x1f": "\x00\r\n\u2028",
        "big": 2**63 - 1, "small": -(2**63), "tiny": 5e-324, "minus": -0.0, "list": [[], {}, [True, 1, 1.0, "1"]],
        "crc": "deadbeef", "op": "delete", "emoji": "🩺", "quote": '"\\',
    }  # fmt: skip
    (id,) = notes.add([Document("a", metadata)])
    stored = notes.get([id])[0].metadata
    assert stored == metadata
    assert repr(stored) == repr(metadata)


BAD_CALLS = [
    (lambda c: c.get(), InvalidInputError, "give ids=, or filter="),
    (lambda c: c.delete(), InvalidInputError, "give ids=, or filter="),
    (lambda c: c.get("ros"), InvalidInputError, "expected a list of str"),
    (lambda c: c.get([7]), InvalidInputError, r"ids\[0\]"),
    (lambda c: c.get(7), InvalidInputError, "ids: expected a list of str, got int"),
    (lambda c: c.get(filter={}, limit=True), InvalidInputError, "limit"),
    (lambda c: c.add(None), InvalidInputError, "documents: expected an iterable of Document or str, got NoneType"),
    (lambda c: c.search(5), InvalidInputError, "query"),
    (lambda c: c.search(q for q in ("pain", "")), InvalidInputError, "query"),
    (lambda c: c.search("x", min_score=float("nan")), InvalidInputError, "min_score"),
    (lambda c: c.search("x", min_score=True), InvalidInputError, "min_score"),
    (lambda c: c.search("x", mode=""), InvalidInputError, "mode: expected one of"),
    (lambda c: c.search("x", mode=[]), InvalidInputError, "mode: expected one of"),
    (lambda c: c.search_notes("x", mode=0), InvalidInputError, "mode: expected one of"),
    (lambda c: c.search("x", group_by=["section"]), InvalidInputError, "group_by"),
    (lambda c: c.facets(None), InvalidInputError, "key: expected a metadata key, got NoneType"),
    (lambda c: c.reembed("all-MiniLM-L6-v2"), InvalidInputError, "load_encoder.* got str without name"),
    (lambda c: c.reembed(None), InvalidInputError, "load_encoder.* got None"),
    (lambda c: c.get(filter={}, limit=-1), InvalidInputError, "limit"),
    (lambda c: c.add("text"), InvalidInputError, "wrap it in"),
    (lambda c: c.add(Document("text")), InvalidInputError, "wrap it in"),
    (lambda c: c.count({"a": {"$near": 1}}), FilterError, r"filter\.a"),
    (lambda c: c.search("x", filter={"a": {"$in": "b"}}), FilterError, "expected a list, got str"),
    (lambda c: c.delete(filter={"$or": []}), FilterError, r"\$or"),
    (lambda c: c.search(), InvalidInputError, "query="),
    (lambda c: c.search(""), InvalidInputError, "not empty$"),
    (lambda c: c.search(["a", ""]), InvalidInputError, "not empty, or a list of them$"),
    (lambda c: c.search("x", mode="fuzzy"), InvalidInputError, "hybrid, dense, sparse"),
    (lambda c: c.search("x", fusion="max"), InvalidInputError, "weighted, rrf"),
    (lambda c: c.search("x", top_k=0), InvalidInputError, "top_k"),
    (lambda c: c.search("x", top_k=True), InvalidInputError, "top_k"),
    (lambda c: c.search("x", offset=-1), InvalidInputError, "offset"),
    (lambda c: c.search("x", fetch_k=0), InvalidInputError, "fetch_k"),
    (lambda c: c.search("x", alpha=1.1), InvalidInputError, "alpha"),
    (lambda c: c.search("x", alpha=float("nan")), InvalidInputError, "alpha"),
    (lambda c: c.search("x", diversity=-0.1), InvalidInputError, "diversity"),
    (lambda c: c.search("x", min_score="high"), InvalidInputError, "min_score"),
    (lambda c: c.search(vector=[1.0] * 16, mode="hybrid"), InvalidInputError, "give query="),
    (lambda c: c.search(vector=[1.0] * 16, mode="sparse"), InvalidInputError, "give query="),
    (lambda c: c.search(vector=[1.0] * 3), InvalidVectorError, "16"),
    (lambda c: c.search(vector=[0.0] * 16), InvalidVectorError, "zero"),
    (lambda c: c.search(["a", "b"], vectors=np.ones((1, 16))), InvalidInputError, "each of 2"),
    (lambda c: c.search(["a"], vector=[1.0] * 16), InvalidInputError, "a vector is for one query"),
    (lambda c: c.search("a", vectors=np.ones((1, 16))), InvalidInputError, "vectors for a list of them"),
    (lambda c: c.search(vector=[1.0] * 16, vectors=np.ones((1, 16))), InvalidInputError, "a vector is for one query"),
    (lambda c: c.search(vector=np.ones((2, 16))), InvalidVectorError, "vector: expected vectors of shape"),
    (lambda c: c.search(vectors=np.ones(16)), InvalidVectorError, "vectors: expected vectors of shape"),
    (lambda c: c.search(vectors=np.ones((2, 3))), InvalidVectorError, "vectors: expected dimension 16"),
    (lambda c: c.search(vectors=np.ones((2, 16)), mode="hybrid"), InvalidInputError, "give query="),
    (lambda c: c.search([], vectors=np.ones((2, 16))), InvalidInputError, "each of 0"),
    (lambda c: c.scoped(patient_id="A"), BedsideError, "it is not divided"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_a_wrong_call_is_refused_by_name_and_changes_nothing(notes, call, error, message):
    with pytest.raises(error, match=message):
        call(notes)
    assert list(notes) == NOTES


def test_a_closed_collection_says_so(notes):
    notes.close()
    notes.close()
    assert notes.closed
    for call in (
        len,
        list,
        lambda c: c.add(["a"]),
        lambda c: c.search("a"),
        lambda c: c.compact(),
        lambda c: c.count(),
    ):
        with pytest.raises(CollectionClosedError):
            call(notes)


@pytest.mark.parametrize(
    "path",
    ["", 7, b"notes", ["notes"], "a\0b", "new/" + "n" * 300, "new/" + "é" * 200, "new/" + "n/" * 3_000, "new/\ud800"],
)
def test_a_path_that_no_folder_can_have_is_refused_and_nothing_is_made(tmp_path, monkeypatch, path) -> None:
    """A name too long, of another type or with a character that file systems do not take is named as the argument."""
    monkeypatch.chdir(tmp_path)
    for act in (Collection.open, Collection.open().copy_to):
        with pytest.raises(InvalidInputError, match=r"^path: ") as raised:
            act(path)
        assert len(str(raised.value)) < 200
    assert list(tmp_path.iterdir()) == []


def test_only_a_collection_or_an_empty_place_can_be_opened(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("x")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "manifest.json").write_text('{"name": "a web app"}')
    for name in ("file", "full", "strange"):
        before = sorted(p.name for p in tmp_path.rglob("*"))
        with pytest.raises(NotACollectionError):
            Collection.open(tmp_path / name)
        assert sorted(p.name for p in tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    Collection.open(tmp_path / "empty").close()
    Collection.open(tmp_path / "deep" / "er" / "c").close()


def test_a_collection_that_lost_its_manifest_is_not_started_anew(tmp_path):
    with Collection.open(tmp_path / "c") as notes:
        notes.add(["Chest pain on exertion since yesterday, worse on stairs." * 5])
    (tmp_path / "c" / "manifest.json").unlink()
    with pytest.raises(NotACollectionError, match=r"log-000001\.jsonl"):
        Collection.open(tmp_path / "c")


def test_reading_only_creates_nothing_and_writes_nothing(tmp_path):
    with pytest.raises(NotACollectionError):
        Collection.open(tmp_path / "c", read_only=True)
    with Collection.open(tmp_path / "c") as notes:
        notes.add(["Fever."])
    (tmp_path / "c" / "write.lock").unlink()
    with Collection.open(tmp_path / "c", read_only=True) as notes:
        assert notes.search("fever")
        for write in (lambda: notes.add(["x"]), lambda: notes.delete(filter={}), notes.compact):
            with pytest.raises(ReadOnlyError):
                write()
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["log-000001.jsonl", "manifest.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "all-MiniLM-L6-v2"}, "load_encoder.* got str without name, dimension"),
        ({"encoder": len}, "without .*encode_documents"),
        ({"scope_keys": "patient_id"}, "scope_keys.*wrap one key"),
        ({"scope_keys": 5}, "scope_keys: expected a list of str, got int"),
        ({"scope_keys": ["a", ""]}, r"scope_keys\[1\]"),
        ({"scope_keys": (key for key in ("a", None))}, r"scope_keys\[1\]"),
        ({"scope_keys": ["\ud800"]}, "lone surrogate"),
        ({"scope_keys": ["a", "a"]}, "twice"),
        ({"sparse": {"k1": 1.2}}, "expected SparseSettings, got dict"),
        ({"sparse": SparseSettings(k1=float("inf"))}, "k1"),
        ({"sparse": SparseSettings(k1="1.2")}, "k1"),
        ({"sparse": SparseSettings(b=float("nan"))}, "b: "),
        ({"lock_timeout": None}, "lock_timeout"),
        ({"lock_timeout": -1}, "lock_timeout"),
    ],
)
def test_a_collection_that_is_opened_wrongly_is_not_created(tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        Collection.open(tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_an_empty_path_is_not_the_folder_one_is_in(tmp_path, monkeypatch):
    """An environment variable that was not set must not put notes wherever the program happens to run."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="path"):
        Collection.open("")
    assert not list(tmp_path.iterdir())


def test_a_relative_path_means_the_folder_it_meant_when_the_collection_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.open("c") as notes:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with Collection.open("c") as other:
            other.add([Document("another collection of the same name", id="other")])
        notes.add([Document("seen", id="one")])
        assert [document.id for document in notes] == ["one"]
        notes.compact()
        assert notes.erase(["one"]).files
    assert not len(Collection.open(tmp_path / "c"))


def test_numbers_of_numpy_are_numbers(notes):
    everything = notes.search("chest pain", top_k=4)
    assert notes.search("chest pain", top_k=np.int8(4), offset=np.int8(0), fetch_k=np.int8(100)) == everything
    grouped = notes.search("chest pain", top_k=np.int8(100), group_by="day")
    assert grouped == notes.search("chest pain", top_k=100, group_by="day")
    assert notes.get(filter={}, limit=np.int64(2), offset=np.int64(1)) == NOTES[1:3]


def test_queries_may_come_as_any_iterable(notes):
    expected = notes.search(["chest pain", "HbA1c"])
    assert notes.search(query for query in ("chest pain", "HbA1c")) == expected
    assert notes.search(np.array(["chest pain", "HbA1c"])) == expected


def test_groups_are_those_of_the_filter_language(notes):
    """A dotted path reaches into objects, 1 and 1.0 are one value, True and "1" are others, and null is a value."""
    values = [1, 1.0, True, "1", None, None, {"x": 1, "y": 2}, {"y": 2, "x": 1}, [1], [1.5]]
    notes.delete(filter={})
    notes.add(Document("chest pain", {"visit": {"number": value}}, str(i)) for i, value in enumerate(values))
    notes.add([Document("chest pain", {"visit": 7}, "7a"), Document("chest pain", {}, "none")])
    found = [hit.id for hit in notes.search("chest pain", group_by="visit.number", mode="sparse", top_k=20)]
    assert found == ["0", "2", "3", "4", "6", "8", "9", "7a", "none"]
    assert notes.search("chest pain", group_by="visit.number", mode="sparse", top_k=2, offset=2)[1].id == "4"


def test_sparse_settings_are_decided_once(tmp_path):
    Collection.open(tmp_path / "c", sparse=SparseSettings(stem=False, k1=1.5)).close()
    with Collection.open(tmp_path / "c") as notes:
        notes.add(["infarctions"])
        assert notes.search("infarction") == []
    with pytest.raises(InvalidInputError, match="created with"):
        Collection.open(tmp_path / "c", sparse=SparseSettings())


def test_a_path_is_never_built_from_an_id(tmp_path):
    with Collection.open(tmp_path / "c", scope_keys=["patient_id"]) as notes:
        for evil in ("../../evil", "/etc/passwd", "a\x00b", "CON", "log-000001.jsonl"):
            notes.add([Document("x", {"patient_id": evil}, evil, [1.0])])
            assert notes.scoped(patient_id=evil).get([evil])
    assert {p.name for p in Path(tmp_path).rglob("*")} == {"c", "log-000001.jsonl", "manifest.json", "write.lock"}


@pytest.mark.parametrize("options", [{"mode": "dense"}, {"mode": "sparse"}, {}, {"alpha": 0.3}, {"fusion": "rrf"}])
def test_an_explanation_sums_to_the_score(notes, options):
    for query in ("chest pain", "HbA1c pain 8.2"):
        hits = notes.search(query, explain=True, filter={"section": {"$ne": "X"}}, **options)
        assert hits
        for hit in hits:
            explanation = hit.explanation
            parts = explanation.dense + explanation.sparse + sum(explanation.signals.values())
            assert parts == pytest.approx(hit.score, abs=1e-9)
            if hit.sparse is not None:
                assert sum(explanation.terms.values()) == pytest.approx(hit.sparse, abs=1e-9)
            assert explanation.filter == {"section": {"$ne": "X"}}
            assert explanation.scope == {}
            assert explanation.formula
        assert [h.score for h in notes.search(query, **options)] == [h.score for h in hits]
        assert notes.search(query, **options)[0].explanation is None


def test_grouping_returns_the_best_hit_of_each_value(notes):
    notes.add([Document(f"chest pain {'x ' * i}", {"note": f"n{i % 3}", "i": i}, f"g{i}") for i in range(60)])
    everything = notes.search("chest pain", top_k=100)
    best: dict = {}
    for hit in everything:
        best.setdefault(hit.metadata.get("note", hit.id), hit)
    assert notes.search("chest pain", group_by="note", top_k=100) == list(best.values())
    assert notes.search("chest pain", group_by="note", top_k=2) == list(best.values())[:2]
    assert notes.search("chest pain", group_by="note", top_k=2, offset=1) == list(best.values())[1:3]
    with pytest.raises(InvalidInputError, match="group_by"):
        notes.search("x", group_by="")


def test_facets_count_what_the_filter_leaves(notes):
    assert notes.facets("day") == [(2, 2), (1, 1)]
    assert notes.facets("section", filter={"day": 2}) == [("HPI", 1), ("LABS", 1)]
    assert notes.facets("nothing") == []
    notes.delete(["hpi"])
    assert notes.facets("day") == [(1, 1), (2, 1)]


def test_many_queries_share_one_product_and_answer_alike(rng):
    notes = Collection.open()
    notes.add(Document(f"word{i % 7} pain", {"i": i}, str(i), rng.normal(size=24)) for i in range(500))
    notes.delete(["3", "77"])
    vectors = rng.normal(size=(70, 24)).astype(np.float32)
    texts = [f"word{i % 9}" for i in range(70)]
    for options in ({"mode": "dense"}, {}, {"filter": {"i": {"$gt": 100}}}):
        together = notes.search(texts, vectors=vectors, **options)
        assert together == [notes.search(t, vector=v, **options) for t, v in zip(texts, vectors, strict=True)]


def test_near_duplicates_are_grouped_within_a_scope_only():
    notes = Collection.open(scope_keys=["patient_id"])
    text = "seen today for follow up of hypertension, no new complaints, continue lisinopril ten milligrams"
    notes.add(
        [Document(text, {"patient_id": p}, f"{p}{day}") for p in "AB" for day in (1, 2)]
        + [Document("flu", {"patient_id": "A"})]
    )
    assert [sorted(group.ids) for group in notes.scoped(patient_id="A").duplicates()] == [["A1", "A2"]]
