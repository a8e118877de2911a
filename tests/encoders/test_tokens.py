"""Token ids: cased, unbounded, the same as transformers' own slow-but-sure classes give."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
from transformers import BertTokenizer

from bedside.encoders import TransformerEncoder, load_encoder
from bedside.encoders.tokenizer import TextTokenizer, is_cased, load_tokenizer
from bedside.errors import BedsideWarning, InvalidInputError, InvalidModelError
from checkpoints import minilm_folder

# Made by hand from the vocabulary: longest match first over words and signs, no code of this project or of tokenizers.
GOLDEN = {
    "Patient denies chest pain.": [7195, 9080, 26360, 2229, 2489, 119],
    "BP 120/80 mmHg, HbA1c 7.2%": [
        *(21062, 5356, 120, 2908, 2608, 3048, 1403, 117),
        *(145, 1830, 1592, 1475, 1665, 128, 119, 123, 110),
    ],
    "pt. c/o SOB": [185, 1204, 119, 172, 120, 184, 156, 2346, 2064],
}
MIXED = [
    "Straße, naïve café; µg/mL ≥ 5",
    "糖尿病 patient",
    "пациент болен",
    "emoji 😀👩‍⚕️ and\u200bzero width",
    "tab\tnew\nline\x00control\x1b",
    "[CLS] literal [MASK] tokens",
    "supercalifragilisticexpialidocious" * 5,
]


def tokens(folder: Path, text: str, **how: bool) -> list[int]:
    return TextTokenizer(load_tokenizer(folder, **how)).tokens([text])[0]


def test_golden_ids_keep_the_capitals_of_the_cased_vocabulary(published: Path) -> None:
    assert {text: tokens(published, text) for text in GOLDEN} == GOLDEN
    assert tokens(published, "Patient") != tokens(published, "patient")


@pytest.mark.parametrize("text", [*GOLDEN, *MIXED])
def test_ids_equal_those_of_transformers_told_the_casing(published: Path, text: str) -> None:
    theirs = BertTokenizer(str(published / "vocab.txt"), do_lower_case=False)
    assert tokens(published, text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_the_converted_folder_tokenizes_alike_here_and_in_transformers(bert: TransformerEncoder) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(bert.folder), local_files_only=True)
    for text, ids in GOLDEN.items():
        assert tokens(bert.folder, text) == ids
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
    assert theirs.model_max_length == 512


def test_a_cased_tokenizer_json_without_a_config_stays_cased(bert: TransformerEncoder, tmp_path: Path) -> None:
    """transformers lower-cases this folder."""
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(bert.folder / name, tmp_path)
    assert {text: tokens(tmp_path, text) for text in GOLDEN} == GOLDEN


def test_a_config_that_lower_cases_a_cased_vocabulary_is_obeyed_with_a_warning(published: Path, tmp_path: Path) -> None:
    shutil.copy(published / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    with pytest.warns(BedsideWarning, match="lowercase=False"):
        assert tokens(tmp_path, "Patient") == tokens(published, "patient")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tokens(tmp_path, "Patient", lowercase=False) == tokens(published, "Patient")
        assert tokens(tmp_path, "Patient", lowercase=True) == tokens(published, "patient")


def test_the_callers_word_on_casing_reaches_the_vectors_and_the_fingerprint(published: Path) -> None:
    cased, lower = load_encoder(published), load_encoder(published, lowercase=True)
    assert (cased.encode_documents(["PAIN"]) != lower.encode_documents(["PAIN"])).any()
    assert (lower.encode_documents(["PAIN"]) == lower.encode_documents(["pain"])).all()
    assert cased.fingerprint != lower.fingerprint
    assert cased.fingerprint == load_encoder(published, lowercase=False).fingerprint


def test_truncation_and_padding_written_in_a_tokenizer_json_are_switched_off() -> None:
    """MiniLM's file cuts at 128 tokens and pads to 128."""
    stored = json.loads((minilm_folder() / "tokenizer.json").read_text("utf-8"))
    assert stored["truncation"]["max_length"] == 128
    assert len(tokens(minilm_folder(), "pain " * 300)) == 300
    assert len(tokens(minilm_folder(), "pain")) == 1


def test_casing_is_seen_in_the_vocabulary_itself(published: Path) -> None:
    assert is_cased((published / "vocab.txt").read_text("utf-8").split("\n"))
    assert not is_cased((minilm_folder() / "vocab.txt").read_text("utf-8").split("\n"))


def test_vocabulary_lines_that_look_like_line_ends_keep_their_ids(published: Path, tmp_path: Path) -> None:
    words = (published / "vocab.txt").read_text("utf-8").split("\n")
    words[20], words[21] = "\u2028", "\x85"
    (tmp_path / "vocab.txt").write_text("\n".join(words), "utf-8", newline="")
    assert tokens(tmp_path, "Patient denies chest pain.") == GOLDEN["Patient denies chest pain."]


def test_counts_hold_special_tokens_so_that_they_compare_with_max_length(bert: TransformerEncoder) -> None:
    assert bert.count_tokens(["Patient denies chest pain.", ""]) == [8, 2]
    assert bert.max_length == 512


def test_a_vocabulary_that_is_not_berts_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("hello\nworld\n")
    with pytest.raises(InvalidModelError, match=r"vocab\.txt.*\[CLS\]"):
        load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_json_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InvalidModelError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_lone_surrogate_is_refused_with_its_position(bert: TransformerEncoder) -> None:
    with pytest.raises(InvalidInputError, match=r"texts\[1\].*surrogate"):
        bert.encode_documents(["fine", "\ud800"])
