"""The static encoder: what it promises for odd input, that it agrees with independent code, and that it ranks well."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection
from bedside.encoders.presets import STATIC
from bedside.encoders.static import StaticEncoder, is_static, load_static
from bedside.encoders.tensors import read_tensors, write_tensors
from bedside.encoders.wordpiece import LibraryTokens, WordPiece, load_tokens
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError
from bedside.types import Encoder

VOCABULARY = [
    "[UNK]",
    "chest",
    "pain",
    "##s",
    "no",
    "fever",
    "acetyl",
    "##chol",
    "##ine",
    ",",
    "-",
    "µ",
    "é",
    "e",
    "三",
]
TEXTS = ["Chest pains, no fever", "acetylcholine", "fever", "no no no", "pain-fever", "É e", "chest 三三 pain"]


@pytest.fixture(scope="module")
def shipped() -> StaticEncoder:
    return load_static()


@pytest.fixture
def tiny() -> StaticEncoder:
    return tiny_encoder()


def tiny_encoder(*, normalize: bool = True, seed: int = 3) -> StaticEncoder:
    rng = np.random.default_rng(seed)
    return StaticEncoder(
        rng.integers(-127, 128, (len(VOCABULARY), 16), dtype=np.int8),
        WordPiece({token: i for i, token in enumerate(VOCABULARY)}),
        weights=rng.random(len(VOCABULARY), dtype=np.float32),
        normalize=normalize,
    )


def test_the_shipped_encoder_fulfils_the_protocol(shipped: StaticEncoder) -> None:
    """It has the name, the dimension and the methods that a collection asks for."""
    assert isinstance(shipped, Encoder)
    assert shipped.name == STATIC
    assert shipped.dimension == 256


def test_vectors_are_float32_rows_of_length_one_in_the_order_given(shipped: StaticEncoder) -> None:
    """One C-contiguous row per text, each as if encoded alone, bit for bit."""
    texts = ["Chest pain on exertion.", "No fever.", "x", "Chest pain on exertion. " * 900]
    vectors = shipped.encode_documents(texts)
    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    for i, text in enumerate(texts):
        assert np.array_equal(shipped.encode_queries([text])[0], vectors[i])


def test_a_text_repeated_has_the_same_direction(shipped: StaticEncoder) -> None:
    """Counting a long text's tokens first changes the sum by rounding only."""
    short, long = shipped.encode_documents(["Metoprolol 25 mg twice daily.", "Metoprolol 25 mg twice daily. " * 2000])
    assert short @ long > 0.99999


def test_no_texts_give_no_rows(shipped: StaticEncoder) -> None:
    """An empty list is an array [0, d] and not an error."""
    assert shipped.encode_documents([]).shape == (0, 256)


@pytest.mark.parametrize("text", ["", " \n\t\f", "\x00\x07", "\u200b", "🩺", "\ud800"])
def test_texts_without_a_known_word_get_the_unknown_tokens_vector_and_are_counted(
    tiny: StaticEncoder, text: str
) -> None:
    """One of them does not stop a corpus from being encoded."""
    expected = tiny.embeddings[0] * tiny.weights[0]
    with pytest.warns(BedsideWarning, match="2 of 3 texts have nothing"):
        vectors = tiny.encode_documents([text, "fever", text])
    assert np.allclose(vectors[[0, 2]], expected / np.linalg.norm(expected), atol=1e-6)
    assert np.array_equal(vectors[1], tiny.encode_documents(["fever"])[0])


@pytest.mark.parametrize("unknown", [None, "[GONE]", "[ZERO]"])
def test_without_a_vector_for_the_unknown_they_get_the_mean_of_all(unknown: str | None) -> None:
    """A vector of zeros would say nothing, and no collection takes it."""
    tokens = WordPiece({"[ZERO]": 0, "fever": 1, "cough": 2}, unknown=unknown)
    encoder = StaticEncoder(np.array([[0, 0], [1, 0], [0, 2]], np.float32), tokens, normalize=False)
    with pytest.warns(BedsideWarning, match="1 of 1"):
        assert np.allclose(encoder.encode_documents(["🩺"]), [[1 / 3, 2 / 3]])


def test_a_collection_takes_texts_of_signs_alone(shipped: StaticEncoder) -> None:
    """One note of emoji or of invisible signs does not keep ten thousand others out."""
    with Collection.open(encoder=shipped) as notes:
        with pytest.warns(BedsideWarning, match="2 of 3"):
            notes.add(["fever", "🩺", "\u200b"])
        assert len(notes) == 3


def test_a_tokenizer_of_the_library_passes_over_lone_surrogates_too() -> None:
    """Half of an emoji, which a careless cut left, does not stop a corpus from being encoded."""
    tokens = WordPiece({"[UNK]": 0, "fever": 1})
    assert LibraryTokens(tokens.description())("fever \ud83d") == tokens("fever \ud83d") == [1]


def test_where_all_vectors_cancel_out_there_still_is_a_direction() -> None:
    """Whatever the model: a finite vector that is not zero."""
    tokens = WordPiece({"fever": 0, "cough": 1}, unknown=None)
    encoder = StaticEncoder(np.array([[1, 0], [-1, 0]], np.float32), tokens)
    with pytest.warns(BedsideWarning, match="2 of 3"):
        vectors = encoder.encode_documents(["fever cough", "fever", ""])
    assert np.allclose(vectors, [[0.5**0.5, 0.5**0.5], [1, 0], [0.5**0.5, 0.5**0.5]])


def test_unknown_words_do_not_count_beside_known_ones(tiny: StaticEncoder) -> None:
    """A word without pieces leaves the others' mean alone."""
    one, two = tiny.encode_documents(["fever", "fever 🩺 qqq"])
    assert np.array_equal(one, two)


@pytest.mark.parametrize("texts", ["fever", ["fever", None], [b"fever"]])
def test_anything_but_a_list_of_strings_is_refused(tiny: StaticEncoder, texts: object) -> None:
    """One bare string would otherwise be encoded letter by letter."""
    with pytest.raises(InvalidInputError, match="texts"):
        tiny.encode_documents(texts)  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=60), max_size=5))
@pytest.mark.filterwarnings("ignore:.* texts have nothing that the encoder knows")
def test_any_text_gets_a_unit_vector(texts: list[str]) -> None:
    """Whatever Unicode holds, surrogates included."""
    assert np.allclose(np.linalg.norm(tiny_encoder().encode_documents(texts), axis=1), 1.0, atol=1e-5)


# The library's Unicode is older than Python's: punctuation that came since splits words here and not there.
OLD_PUNCTUATION = [c for c in map(chr, range(0x110000)) if unicodedata.ucd_3_2_0.category(c).startswith("P")]
CHARACTERS = st.characters(
    exclude_characters="\x0b\x0c\x1c\x1d\x1e\x1f\x85", exclude_categories=["Cs", "Cn", "P"]
) | st.sampled_from(OLD_PUNCTUATION)


@given(st.text(CHARACTERS))
def test_word_pieces_are_those_of_the_tokenizers_library(text: str) -> None:
    """Same ids for any text, unknown words left out, cased and uncased."""
    for lowercase, accents in ((True, None), (False, None), (False, True)):
        ours = WordPiece({t: i for i, t in enumerate(VOCABULARY)}, lowercase=lowercase, strip_accents=accents)
        theirs = LibraryTokens(ours.description())
        assert ours(text) == theirs(text)


def test_word_pieces_of_the_shipped_vocabulary_are_those_of_the_library(shipped: StaticEncoder, data: Path) -> None:
    """Same ids for clinical text at full vocabulary."""
    with (data / "mtsdialog" / "corpus.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][:300]
    theirs = LibraryTokens(shipped.tokenizer.description())
    assert [shipped.tokenizer(text) for text in texts] == [theirs(text) for text in texts]


def test_the_fingerprint_names_what_changes_a_vector(tiny: StaticEncoder) -> None:
    """Equal for an equal encoder; different for other weights, vocabulary or normalisation."""
    assert tiny.fingerprint == tiny_encoder().fingerprint
    others = [tiny_encoder(seed=4), tiny_encoder(normalize=False)]
    scaled = tiny_encoder()
    scaled.weights = scaled.weights * 2
    renamed = tiny_encoder()
    renamed.tokenizer = WordPiece({t: i for i, t in enumerate(["[UNK]", "ankle", *VOCABULARY[2:]])})
    found = {encoder.fingerprint for encoder in [tiny, *others, scaled, renamed]}
    assert len(found) == 5


def test_a_saved_encoder_comes_back_the_same(tiny: StaticEncoder, tmp_path: Path) -> None:
    """Folder and back: same fingerprint, same vectors; and the same files for the same encoder."""
    again = load_static(tiny.save(tmp_path / "a"))
    assert is_static(tmp_path / "a")
    assert again.fingerprint == tiny.fingerprint
    assert np.array_equal(again.encode_documents(TEXTS), tiny.encode_documents(TEXTS))
    again.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_pickled_encoder_comes_back_the_same(shipped: StaticEncoder) -> None:
    """Workers of a process pool may be handed one."""
    again = pickle.loads(pickle.dumps(shipped))  # noqa: S301 - our own bytes
    assert again.fingerprint == shipped.fingerprint
    assert np.array_equal(again.encode_documents(["gout"]), shipped.encode_documents(["gout"]))


def test_threads_get_the_vectors_of_one_thread() -> None:
    """The first use, from many threads at once, gives the same vectors."""
    encoder, texts = load_static(), [f"day {i}: chest pain, {i} mg" for i in range(200)]
    expected = load_static().encode_documents(texts)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: encoder.encode_documents([text])[0], texts))
    assert np.array_equal(np.stack(rows), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_model2vec_reads_our_folder_and_agrees(tiny: StaticEncoder, tmp_path: Path, normalize: bool) -> None:
    """Same vectors from the library whose file format this is."""
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    ours = tiny_encoder(normalize=normalize)
    theirs = model2vec.StaticModel.from_pretrained(ours.save(tmp_path))
    assert np.allclose(ours.encode_documents(TEXTS), theirs.encode(TEXTS), atol=1e-5 if normalize else 1e-3)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_we_read_model2vecs_folder_and_agree(tmp_path: Path, kind: str) -> None:
    """Mapped, weighted vectors under a BERT tokenizer and under one that is not BERT's."""
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer.from_str(json.dumps(tiny_encoder().tokenizer.description()))
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram([(token, -1.0 - i) for i, token in enumerate(VOCABULARY)], unk_id=0))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((6, 8)).astype(np.float32)
    mapping = rng.integers(0, 6, len(VOCABULARY))
    weights = rng.random(len(VOCABULARY))
    theirs = model2vec.StaticModel(vectors, tokenizer, weights=weights, token_mapping=mapping, normalize=True)
    theirs.save_pretrained(tmp_path)
    known = [text for text in TEXTS if theirs.tokenize([text])[0]]
    assert np.allclose(load_static(tmp_path).encode_documents(known), theirs.encode(known), atol=1e-5)


def test_model2vecs_shipped_reading_agrees(shipped: StaticEncoder) -> None:
    """The folder in the package is a model2vec model."""
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    theirs = model2vec.StaticModel.from_pretrained(DATA)
    texts = ["Shortness of breath on exertion.", "What are the treatments for gout?"]
    assert np.allclose(shipped.encode_documents(texts), theirs.encode(texts), atol=1e-5)


def test_tensors_are_those_of_the_safetensors_library(tmp_path: Path) -> None:
    """Written by one, read by the other, both ways."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tensors = {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": np.ones(3, np.float16), "c": np.zeros((0, 2))}
    write_tensors(tmp_path / "ours", tensors)
    safetensors.save_file(tensors, tmp_path / "theirs")
    for found in (safetensors.load_file(tmp_path / "ours"), read_tensors(tmp_path / "theirs")):
        assert {k: (v.dtype, v.tolist()) for k, v in found.items()} == {
            k: (v.dtype, v.tolist()) for k, v in tensors.items()
        }


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_cut_weights_file_is_named(tiny: StaticEncoder, tmp_path: Path, keep: int) -> None:
    """A copy that broke off does not load."""
    file = tiny.save(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InvalidModelError, match=r"model\.safetensors"):
        load_static(tmp_path)


def test_a_folder_with_fewer_rows_than_tokens_is_refused(tmp_path: Path) -> None:
    """Or a rare word would crash a search months later."""
    with pytest.raises(InvalidModelError, match="shapes"):
        StaticEncoder(np.ones((3, 2), np.float32), WordPiece({"a": 0, "b": 3}))
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(InvalidModelError, match=r"tokenizer\.json"):
        load_tokens(tmp_path / "tokenizer.json")


def test_nothing_but_numpy_is_loaded() -> None:
    """Encoding with the shipped model imports neither torch nor transformers nor tokenizers."""
    code = (
        "import sys; from bedside.encoders.static import load_static; load_static().encode_documents(['gout']);"
        "print([m for m in ('torch', 'transformers', 'tokenizers', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_load_encoder_knows_the_shipped_model_and_static_folders(tiny: StaticEncoder, tmp_path: Path) -> None:
    """One function for every kind of encoder."""
    from bedside.encoders import load_encoder

    assert load_encoder("bedside/static").fingerprint == load_static().fingerprint
    assert load_encoder(tiny.save(tmp_path)).fingerprint == tiny.fingerprint


def test_what_means_the_same_is_nearer_than_what_shares_a_topic_word(shipped: StaticEncoder) -> None:
    """Pairs without a common word are told from unrelated ones."""
    triples = [
        ("heart attack", "myocardial infarction", "ankle sprain"),
        ("high blood pressure", "hypertension", "eczema"),
        ("kidney failure", "renal insufficiency", "sore throat"),
        ("difficulty breathing", "dyspnea", "rash"),
        ("stroke", "cerebrovascular accident", "conjunctivitis"),
    ]
    for text, same, other in triples:
        a, b, c = shipped.encode_documents([text, same, other])
        assert a @ b > a @ c, (text, same, other)


def test_the_shipped_files_are_what_the_provenance_says(shipped: StaticEncoder) -> None:
    """Hash, size and licence stand beside the weights."""
    import hashlib

    said = json.loads((DATA / "provenance.json").read_text("utf-8"))
    weights = (DATA / "model.safetensors").read_bytes()
    assert said["files"]["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert said["fingerprint"] == shipped.fingerprint
    assert "Apache-2.0" in said["note"]
    assert sum(file.stat().st_size for file in DATA.iterdir()) <= 10_000_000


def test_retrieval_on_pubmedqa_is_what_the_documentation_says(shipped: StaticEncoder, data: Path) -> None:
    """Mean nDCG@10 of the title questions over all abstract sections stays above 0.78."""
    documents, queries = (
        {row["_id"]: row["text"] for row in map(json.loads, (data / "pubmedqa" / name).open(encoding="utf-8"))}
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    relevant: dict[str, set[str]] = {}
    for line in (data / "pubmedqa" / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant.setdefault(query, set()).add(document)
    names = np.array(list(documents))
    scores = shipped.encode_queries([queries[q] for q in relevant]) @ shipped.encode_documents([*documents.values()]).T
    discounts = 1 / np.log2(np.arange(2, 12))
    found = []
    for right, row in zip(relevant.values(), scores, strict=True):
        gains = np.isin(names[np.argsort(-row)[:10]], list(right))
        found.append(float(gains @ discounts / discounts[: len(right)].sum()))
    assert np.mean(found) > 0.78


DATA = Path(sys.modules["bedside.encoders.static"].__file__ or "").parent / "data" / "static"
