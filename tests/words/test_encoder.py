"""Word vectors as a text encoder: pooling by formula, what a corpus adds, use in a collection and the frameworks."""

from __future__ import annotations

import numpy as np
import pytest

from bedside import Collection, Document, Encoder
from bedside.errors import BedsideWarning, EncoderMismatch, InvalidInputError, InvalidModelError
from bedside.words import WordPooling, WordVectors
from bedside.words.pooling import words_of

NOTES = [
    "Patient has severe chest pain and angina.",
    "Fever, chills and temperature of 39 with infection.",
    "Cough with dyspnea, asthma and COPD.",
    "Ankle sprain with swelling, no fracture; cast on.",
    "Warfarin and aspirin; metformin with insulin.",
    "Chest pain, cardiac, myocardial infarction, aspirin.",
]


def test_words_of_a_text_keep_compounds_numbers_and_negations():
    assert words_of("The pt's x-ray: BP 120/80, Na+ 3.5; no fever.") == [
        "pt's", "x-ray", "BP", "120/80", "Na+", "3.5", "no", "fever"
    ]  # fmt: skip
    assert words_of("to be or not") == ["not"]
    assert words_of("of the") == ["of", "the"]
    assert words_of("…") == []


def test_pooling_methods_follow_their_formulas(small):
    words = ["fever", "cough", "the"]
    rows = np.stack([small.vector(word) for word in words]).astype(float)
    ranks = np.array([small.row(word) + 1 for word in words])
    p = 1 / (ranks + 2.7) / (1 / (np.arange(1, len(small) + 1) + 2.7)).sum()
    expected = {
        "mean": rows.mean(axis=0),
        "max": rows.max(axis=0),
        "idf": -np.log(p) @ rows / -np.log(p).sum(),
        "sif": (1e-3 / (1e-3 + p)) @ rows / (1e-3 / (1e-3 + p)).sum(),
    }
    for method, vector in expected.items():
        np.testing.assert_allclose(small.document_vector(words, pooling=method), vector, rtol=1e-5, atol=1e-6)


def test_the_parts_of_a_compound_share_its_weight():
    vectors = WordVectors(["follow", "up", "fever"], np.eye(3))
    np.testing.assert_allclose(vectors.document_vector(["follow-up", "fever"]), [0.25, 0.25, 0.5])


def test_a_text_without_a_known_word_is_zeros_pooled_and_the_average_encoded(small):
    assert not small.document_vector("zzz qqq").any()
    average = small.vectors.mean(axis=0)
    with pytest.warns(BedsideWarning, match="4 of 5 texts have nothing"):
        found = small.encode_documents(["zzz", "fever", "", "🩺", "\u200b"])
    np.testing.assert_allclose(found[[0, 2, 3, 4]], [average / np.linalg.norm(average)] * 4, atol=1e-6)
    np.testing.assert_array_equal(found[1], small.encode_documents(["fever"])[0])


def test_a_text_whose_words_cancel_out_has_a_direction_too():
    vectors = WordVectors(["hot", "cold"], [[1.0, 0.0], [-1.0, 0.0]])
    with pytest.warns(BedsideWarning, match="1 of 1"):
        np.testing.assert_allclose(np.linalg.norm(vectors.encode_documents(["hot cold"])), 1, atol=1e-6)


def test_every_encoding_has_length_one_and_does_not_depend_on_its_neighbours(small):
    fitted = small.fit(NOTES)
    for vectors in (small, fitted, small.fit(NOTES, whiten=True), small.with_pooling("max")):
        assert isinstance(vectors, Encoder)
        together = vectors.encode_documents(NOTES)
        assert together.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
        alone = np.concatenate([vectors.encode_queries([note]) for note in NOTES])
        np.testing.assert_array_equal(together, alone)
    assert small.encode_documents([]).shape == (0, 12)


def test_idf_of_a_corpus_counts_documents(small):
    weights = small.fit(NOTES, pooling="idf").pooling.weights
    n = len(NOTES)
    for word, df in {"pain": 2, "aspirin": 2, "fever": 1, "banana": 0}.items():
        assert weights[small.row(word)] == pytest.approx(np.log(1 + (n - df + 0.5) / (df + 0.5)), rel=1e-6)


def test_sif_takes_out_the_first_common_component(small):
    fitted = small.fit(NOTES)
    weights = fitted.pooling.weights
    pooled = np.stack([small.with_pooling(WordPooling("sif", weights)).document_vector(note) for note in NOTES])
    component = np.linalg.svd(pooled.astype(float), full_matrices=False)[2][0]
    left = np.stack([fitted.document_vector(note) for note in NOTES])
    np.testing.assert_allclose(left @ component, 0, atol=1e-5)
    np.testing.assert_allclose(left, pooled - np.outer(pooled @ component, component), atol=1e-5)


def test_whitening_gives_a_corpus_mean_zero_and_equal_variances(small, rng):
    texts = [" ".join(rng.choice(small.words, 6)) for _ in range(400)]
    fitted = small.fit(texts, pooling="mean", whiten=True)
    vectors = np.stack([fitted.document_vector(text) for text in texts]).astype(float)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(vectors.T, bias=True), np.eye(12), atol=2e-2)


def test_a_corpus_of_one_text_teaches_nothing_in_common(small):
    with pytest.raises(InvalidInputError, match="at least 2"):
        small.fit(NOTES[:1])


def test_a_pooling_is_saved_and_taken_back(small, tmp_path):
    fitted = small.fit(NOTES)
    fitted.pooling.save(tmp_path / "sif.npz")
    again = small.with_pooling(WordPooling.load(tmp_path / "sif.npz"))
    assert again.fingerprint == fitted.fingerprint != small.fingerprint
    np.testing.assert_array_equal(again.encode_documents(NOTES), fitted.encode_documents(NOTES))
    (tmp_path / "not.npz").write_bytes(b"nothing")
    with pytest.raises(InvalidModelError, match=r"not\.npz"):
        WordPooling.load(tmp_path / "not.npz")
    with pytest.raises(InvalidInputError, match="weights are for"):
        WordVectors(["a"], [[1.0]]).with_pooling(fitted.pooling)
    with pytest.raises(InvalidInputError, match="mean, idf, sif, max"):
        small.with_pooling("median")


def test_what_is_not_a_list_of_texts_is_refused(small):
    for bad, message in ((["fever", 5], r"texts\[1\]"), ("fever", "list")):
        with pytest.raises(InvalidInputError, match=message):
            small.encode_documents(bad)


def test_coverage_is_the_share_of_known_words(small):
    assert small.coverage(["fever and zzz"]) == 0.5
    assert small.coverage([]) == 0.0


def test_a_collection_searches_with_word_vectors_fitted_to_its_own_texts(small, tmp_path):
    with Collection.open(tmp_path / "notes", encoder=small) as notes:
        notes.add([Document(text, id=str(i)) for i, text in enumerate(NOTES)])
        assert notes.search("pyrexia", mode="dense", top_k=1)[0].id == "1"
        fitted = small.fit(notes)
        notes.reembed(fitted)
        assert notes.search("coronary heart pain", mode="dense", top_k=2)[0].id in ("0", "5")
    with pytest.raises(EncoderMismatch):
        Collection.open(tmp_path / "notes", encoder=small)
    with Collection.open(tmp_path / "notes", encoder=small.with_pooling(fitted.pooling)) as notes:
        assert len(notes) == len(NOTES)


def test_langchain_takes_word_vectors_as_its_embedding_model(small):
    langchain = pytest.importorskip("langchain_bedside", reason="langchain-bedside is not installed")
    embeddings = langchain.BedsideEmbeddings.from_encoder(small)
    np.testing.assert_allclose(embeddings.embed_documents(NOTES), small.encode_documents(NOTES), rtol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query("fever"), small.encode_queries(["fever"])[0], rtol=1e-6)
    assert embeddings.dims == 12
    store = langchain.BedsideVectorStore(embeddings)
    store.add_texts(NOTES)
    assert store.similarity_search("pyrexia", k=1)[0].page_content == NOTES[1]
    other = langchain.BedsideEmbeddings.from_encoder(small.with_pooling("max"))
    assert other.model != embeddings.model


def test_llamaindex_takes_word_vectors_as_its_embedding_model(small):
    import pickle

    llama = pytest.importorskip("llama_index.embeddings.bedside", reason="its LlamaIndex package is not installed")
    model = llama.BedsideEmbedding.from_encoder(small)
    for one in (model, pickle.loads(pickle.dumps(model))):  # noqa: S301
        np.testing.assert_allclose(one.get_text_embedding_batch(NOTES), small.encode_documents(NOTES), rtol=1e-6)
        np.testing.assert_allclose(one.get_query_embedding("fever"), small.encode_queries(["fever"])[0], rtol=1e-6)
    assert llama.BedsideEmbedding.from_encoder(small.with_pooling("max")).model_name != model.model_name
