"""Distilling: what the vocabulary holds, what the steps keep, and that the command's folder says how it was made."""

from __future__ import annotations

import json
import shutil
import string
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bedside.encoders.load import load_encoder
from bedside.encoders.presets import PRESETS
from bedside.encoders.static import StaticEncoder, load_static
from bedside.encoders.wordpiece import WordPiece
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.tuning.static.distillation import Recipe, distill, new_vocabulary, quantize, spread
from bedside.tuning.static.token_vectors import tune

CORPUS = ["chest pain and fever", "the fever of metoprolol", "metoprolol for chest pain", "no fever", "pain"] * 3
PAIRS = [("chest pain", "pain in the chest"), ("fever", "no fever"), ("metoprolol", "the metoprolol")] * 2
SMALL = Recipe(dimension=8, epochs=2, batch=4)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights whose vocabulary cuts "metoprolol" up and holds tokens that no text needs."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = tmp_path_factory.mktemp("teacher")
    letters = [*string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *letters, "chest", "pain", "fever", "the", "of", "and", "no", "meto", "##pro", "##lol", "三"]
    config = transformers.BertConfig(
        vocab_size=len(tokens), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(0)
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    description = WordPiece({token: i for i, token in enumerate(tokens)}).description()
    (folder / "tokenizer.json").write_text(json.dumps(description), "utf-8")
    return folder


@pytest.fixture(scope="module")
def made(teacher: Path) -> StaticEncoder:
    return distill(teacher, CORPUS, pairs=PAIRS, vocabulary=["Atenolol"], recipe=SMALL)


def test_whole_words_join_and_useless_tokens_leave(made: StaticEncoder) -> None:
    """Given and frequent words become tokens; placeholders, special tokens and other scripts go."""
    vocabulary = made.tokenizer.vocabulary
    assert {"metoprolol", "atenolol", "chest", "[UNK]"} <= set(vocabulary)
    assert not {"[unused0]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "三"} & set(vocabulary)
    assert made.tokenizer("metoprolol") == [vocabulary["metoprolol"]]


def test_the_vocabulary_keeps_to_its_bound(made: StaticEncoder) -> None:
    """The teacher's tokens first, then given words, then the most frequent."""
    old = WordPiece({token: i for i, token in enumerate(["[UNK]", "a", "##b"])})
    new = new_vocabulary(old, ["rare rare often often often"] * 3, ["given"], Recipe(max_tokens=5))
    assert list(new.vocabulary) == ["[UNK]", "a", "##b", "given", "often"]


def test_a_full_vocabulary_lets_go_of_pieces_that_the_texts_hardly_use() -> None:
    """Rare pieces make room for words; the unknown token and pieces of one or two characters stay."""
    old = WordPiece({token: i for i, token in enumerate(["[UNK]", "a", "##b", "used", "##less", "idle"])})
    texts = ["used useful"] * 3 + ["useless"]
    full = new_vocabulary(old, texts, [], Recipe(max_tokens=5))
    assert list(full.vocabulary) == ["[UNK]", "a", "##b", "used", "useful"]
    assert {"##less", "idle", "useful"} <= set(new_vocabulary(old, texts, [], Recipe()).vocabulary)


def test_texts_of_one_pair_are_no_wrong_answers_for_another_that_shares_a_text(rng: np.random.Generator) -> None:
    """Two pairs with the same question hold nothing to be told apart, so tuning leaves the vectors as they are."""
    pytest.importorskip("torch", reason="torch is not installed")
    tokens = WordPiece({word: i for i, word in enumerate(["pain", "chest", "head"])})
    rows = rng.standard_normal((3, 4)).astype(np.float32)
    recipe = Recipe(dimension=4, epochs=3, teacher_weight=0.0)
    tuned = tune(
        rows, tokens, [("pain", "chest"), ("pain", "head")], ["pain", "chest"], np.eye(2, 4, dtype="f4"), recipe
    )
    assert np.allclose(tuned, rows / np.linalg.norm(rows, axis=1).mean(), atol=1e-6)
    told_apart = tune(
        rows, tokens, [("pain", "chest"), ("head", "head")], ["pain", "chest"], np.eye(2, 4, dtype="f4"), recipe
    )
    assert not np.allclose(tuned, told_apart, atol=1e-3)


def test_the_same_arguments_give_the_same_encoder(teacher: Path, made: StaticEncoder) -> None:
    """And another seed another one."""
    again = distill(teacher, CORPUS, pairs=PAIRS, vocabulary=["Atenolol"], recipe=SMALL)
    assert again.fingerprint == made.fingerprint
    other = Recipe(dimension=8, epochs=2, batch=4, seed=1)
    assert distill(teacher, CORPUS, pairs=PAIRS, recipe=other).fingerprint != made.fingerprint


def test_a_generator_is_read_whole_and_empty_passages_are_left_out(teacher: Path) -> None:
    expected = distill(teacher, CORPUS, recipe=Recipe(dimension=4))
    mixed = (text for passage in CORPUS for text in (passage, " "))
    assert distill(teacher, mixed, recipe=Recipe(dimension=4)).fingerprint == expected.fingerprint


def test_without_pairs_nothing_is_tuned(teacher: Path) -> None:
    """Token vectors from the teacher alone are an encoder too."""
    encoder = distill(teacher, CORPUS, recipe=Recipe(dimension=4))
    assert encoder.encode_documents(["chest pain"]).shape == (1, 4)


def test_tuning_brings_pairs_together(teacher: Path) -> None:
    """What was said to belong together is nearer after than before."""
    pairs = [("chest", "metoprolol"), ("fever", "pain"), ("the", "and"), ("of", "no")] * 4
    recipe = Recipe(dimension=8, epochs=40, batch=16, learning_rate=0.03, teacher_weight=0.0, dropout=0.0)
    before, after = (distill(teacher, CORPUS, pairs=p, recipe=recipe) for p in ([], pairs))

    def nearness(encoder: StaticEncoder) -> float:
        left, right = (encoder.encode_documents([pair[side] for pair in pairs]) for side in (0, 1))
        return float((left * right).sum(axis=1).mean())

    assert nearness(after) > nearness(before) + 0.1


def test_spreading_evens_out_how_much_directions_vary(rng: np.random.Generator) -> None:
    """Vectors that crowd along one axis crowd less than half as much afterwards; with power 0 they are only turned."""
    words = [f"w{a}{b}" for a in string.ascii_lowercase for b in string.ascii_lowercase]
    tokens = WordPiece({word: i for i, word in enumerate(words)})
    rows = (rng.standard_normal((len(words), 4)) * [9, 3, 1, 1]).astype(np.float32)
    corpus = [" ".join(rng.choice(words, 6)) for _ in range(2000)]

    def deviations(found: np.ndarray) -> np.ndarray:
        return np.sort(StaticEncoder(found, tokens).encode_documents(corpus).std(axis=0))

    turned = spread(rows, tokens, corpus, 0.0)
    assert np.allclose(rows @ rows.T, turned @ turned.T, atol=1e-2)
    before, after = deviations(rows), deviations(spread(rows, tokens, corpus, 1.0))
    assert before[-1] / before[0] > 3
    assert after[-1] / after[0] < before[-1] / before[0] / 2


@given(arrays.arrays(np.float32, (5, 7), elements=st.floats(-1e3, 1e3, width=32)))
def test_rounding_moves_no_number_by_more_than_half_a_step(rows: np.ndarray) -> None:
    """A step is a 127th of the row's largest number."""
    embeddings, weights = quantize(rows)
    assert embeddings.dtype == np.int8
    assert np.all(np.abs(embeddings * weights[:, None] - rows) <= weights[:, None] * 0.5001 + 1e-12)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bedside.cli", "distill", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_the_command_writes_a_folder_that_says_how_it_was_made(teacher: Path, tmp_path: Path) -> None:
    """Recipe, hashes and versions stand beside the weights."""
    (tmp_path / "corpus.txt").write_text("\n".join(CORPUS), "utf-8")
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)), "utf-8")
    texts = ["--corpus", tmp_path / "corpus.txt", "--pairs", tmp_path / "pairs.jsonl"]
    done = run(teacher, tmp_path / "out", *texts, "--recipe", '{"dimension": 8, "batch": 4}', "--note", "a line")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'} holds out: 8 dimensions\n"
    said = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    encoder = load_static(tmp_path / "out")
    assert said["fingerprint"] == encoder.fingerprint
    assert said["note"] == "a line"
    assert set(said["texts"]) == {"corpus.txt", "pairs.jsonl"}
    assert encoder.config["recipe"]["dimension"] == 8


def test_the_command_names_a_wrong_recipe_and_a_wrong_pair(teacher: Path, tmp_path: Path) -> None:
    """The recipe as wrong usage with what is allowed, the pair by its line."""
    (tmp_path / "corpus.txt").write_text("\n".join(CORPUS), "utf-8")
    (tmp_path / "pairs.jsonl").write_text('["a", "b"]\n["a"]\n', "utf-8")
    corpus = ["--corpus", tmp_path / "corpus.txt"]
    done = run(teacher, tmp_path / "out", *corpus, "--recipe", '{"dimensions": 8}')
    assert done.returncode == 2
    assert "dimension (int)" in " ".join(done.stderr.split())
    done = run(teacher, tmp_path / "out", *corpus, "--pairs", tmp_path / "pairs.jsonl")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "bedside: pairs, line 2: expected a JSON list of two texts"
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_named(teacher: Path, tmp_path: Path) -> None:
    """No corpus, more dimensions than the teacher has, a teacher of another kind."""
    with pytest.raises(InvalidInputError, match="corpus"):
        distill(teacher, [])
    for corpus, said in (
        ("one string", "list of strings"),
        ([None], r"texts\[0\]"),
        (["", " "], "corpus: expected at least one passage with a word"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            distill(teacher, corpus, recipe=SMALL)
    with pytest.raises(InvalidInputError, match="dimension=0: expected 1 to"):
        distill(teacher, CORPUS, recipe=Recipe(dimension=0))
    with pytest.raises(InvalidInputError, match="dimension=64"):
        distill(teacher, CORPUS, recipe=Recipe(dimension=64))
    with pytest.raises(InvalidModelError, match=r"config\.json is missing"):
        distill(tmp_path, CORPUS)
    with pytest.raises(InvalidInputError, match="teacher: expected a transformer"):
        distill("bedside/static", CORPUS)
    with pytest.raises(InvalidInputError, match="preset 'clinical': expected one of"):
        distill("preset:clinical", CORPUS)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pooling": "cls"}, "has pooling='cls'"),
        ({"pooling": "first-last-mean"}, "has pooling='first-last-mean'"),
        ({"document_prompt": "passage: "}, "has pooling='mean' and a document prompt"),
    ],
)
def test_a_teacher_whose_vectors_are_made_otherwise_is_refused(
    teacher: Path, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    """Token vectors add up to a mean of hidden states: of another vector they would learn something else."""
    load_encoder(teacher, **settings).save(tmp_path / "saved")
    with pytest.raises(InvalidInputError, match=said):
        distill(tmp_path / "saved", CORPUS, recipe=SMALL)


def test_a_preset_is_distilled_as_its_model_is(
    teacher: Path, made: StaticEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A preset's name stands for its hub id, here of a folder of that name, and for its pooling."""
    monkeypatch.chdir(tmp_path)
    for name in ("minilm", "sapbert"):
        shutil.copytree(teacher, tmp_path / PRESETS[name].model)
    again = distill("preset:minilm", CORPUS, pairs=PAIRS, vocabulary=["Atenolol"], recipe=SMALL)
    assert again.fingerprint == made.fingerprint
    with pytest.raises(InvalidInputError, match="has pooling='cls'"):
        distill("preset:sapbert", CORPUS, recipe=SMALL)
