"""Masked prediction: transformers' answers where those are right, and right ones where they are not."""

from __future__ import annotations

import asyncio
import math
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bedside.encoders import MaskedLanguageModel, prepare
from bedside.errors import InvalidInputError, InvalidModelError
from checkpoints import minilm_folder

TEXT = "The patient was started on [MASK] for hypertension."


@pytest.fixture(scope="module")
def model(published: Path) -> MaskedLanguageModel:
    return MaskedLanguageModel(published, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def theirs(published: Path):
    """transformers' own network; ids are given to it, so that its tokenizer has no say."""
    from transformers import BertForMaskedLM

    network = BertForMaskedLM.from_pretrained(str(prepare(published)), local_files_only=True).eval()

    def log_probabilities(ids: list[int]) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()

    return log_probabilities


def ids_of(model: MaskedLanguageModel, text: str) -> list[int]:
    return model._tokens.tokenizer.encode(text).ids


def test_the_best_words_are_those_of_the_fill_mask_pipeline_told_the_casing(
    model: MaskedLanguageModel, published: Path
) -> None:
    from transformers import pipeline

    fill = pipeline("fill-mask", model=str(prepare(published)), device="cpu", top_k=7)
    ours = model.predict(TEXT, top_k=7)
    assert len(ours) == 1
    expected = fill(TEXT)
    assert [p.word for p in ours[0]] == [entry["token_str"].replace(" ", "") for entry in expected]
    np.testing.assert_allclose([p.score for p in ours[0]], [entry["score"] for entry in expected], rtol=1e-4)


def test_capitals_are_kept(model: MaskedLanguageModel) -> None:
    assert model.predict(TEXT) != model.predict(TEXT.replace("The", "the"))


def test_several_gaps_are_answered_from_left_to_right_with_the_others_open(model: MaskedLanguageModel, theirs) -> None:
    text = "[MASK] denies [MASK] pain."
    ids = ids_of(model, text)
    scores = theirs(ids)
    gaps = [i for i, token in enumerate(ids) if token == model.mask_id]
    found = model.predict(text, top_k=1)
    for (best,), gap in zip(found, gaps, strict=True):
        assert best.score == pytest.approx(math.exp(scores[gap].max()), rel=1e-4)
        assert best.pieces == (best.word,)


def test_words_of_several_pieces_are_scored_whole_from_left_to_right(model: MaskedLanguageModel, theirs) -> None:
    """The pipeline scores "metoprolol" as its first piece."""
    pieces = model._tokens.tokens(["metoprolol"])[0]
    assert len(pieces) > 2
    ids = ids_of(model, TEXT)
    gap = ids.index(model.mask_id)
    expected = 0.0
    for done, piece in enumerate(pieces):
        slots = pieces[:done] + [model.mask_id] * (len(pieces) - done)
        expected += theirs([*ids[:gap], *slots, *ids[gap + 1 :]])[gap + done, piece]
    found = model.predict(TEXT, targets=["metoprolol", "oxygen"])[0]
    scores = {p.word: p.score for p in found}
    assert scores["metoprolol"] == pytest.approx(math.exp(expected), rel=1e-3)
    assert scores["oxygen"] == pytest.approx(
        math.exp(theirs(ids)[gap, model._tokens.tokens(["oxygen"])[0][0]]), rel=1e-4
    )
    assert [p.score for p in found] == sorted(scores.values(), reverse=True)
    assert (
        "".join(p.removeprefix("##") for p in next(p for p in found if p.word == "metoprolol").pieces) == "metoprolol"
    )


def test_a_gap_far_into_a_long_text_is_seen_in_the_window_around_it(model: MaskedLanguageModel, theirs) -> None:
    """The pipeline fails above 512 tokens."""
    text = "pain " * 700 + TEXT + " fever" * 700
    ids = model._tokens.tokens([text])[0]
    gap = ids.index(model.mask_id)
    start = gap - 255
    row = [101, *ids[start : start + 510], 102]
    best = model.predict(text, top_k=1)[0][0]
    assert best.score == pytest.approx(math.exp(theirs(row)[1 + 255].max()), rel=1e-4)
    assert len(model.predict("[MASK] " + "pain " * 900 + "[MASK]")) == 2


def test_pseudo_perplexity_masks_every_token_once(model: MaskedLanguageModel, theirs) -> None:
    text = "Patient denies chest pain."
    ids = ids_of(model, text)
    scores = [theirs([*ids[:i], model.mask_id, *ids[i + 1 :]])[i, ids[i]] for i in range(1, len(ids) - 1)]
    assert model.pseudo_perplexity(text) == pytest.approx(math.exp(-np.mean(scores)), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("no gap", {}, r"\[MASK\]"),
        (TEXT, {"top_k": 0}, "top_k=0"),
        (TEXT, {"targets": []}, "at least one word"),
        (TEXT, {"targets": ["fine", ""]}, r"targets\[1\]"),
        (TEXT, {"targets": ["\U0001f600"]}, r"targets\[0\]"),
        (TEXT, {"targets": "word"}, "list of strings"),
    ],
)
def test_what_cannot_be_answered_is_refused(model: MaskedLanguageModel, text, arguments, said) -> None:
    with pytest.raises(InvalidInputError, match=said):
        model.predict(text, **arguments)


@pytest.mark.parametrize("text", ["", " ", TEXT])
def test_pseudo_perplexity_of_nothing_or_of_a_gap_is_refused(model: MaskedLanguageModel, text: str) -> None:
    with pytest.raises(InvalidInputError, match="at least one token"):
        model.pseudo_perplexity(text)


def test_a_model_without_a_head_is_refused_by_name() -> None:
    with pytest.raises(InvalidModelError, match="no head"):
        MaskedLanguageModel(minilm_folder()).predict(TEXT)


def test_another_architecture_predicts_through_transformers(published: Path, tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 28996, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}
    network = DistilBertForMaskedLM(DistilBertConfig(**sizes)).eval()
    network.save_pretrained(tmp_path)
    shutil.copy(published / "vocab.txt", tmp_path)
    model = MaskedLanguageModel(tmp_path, device="cpu", dtype="float32")
    ids = ids_of(model, TEXT)
    with torch.inference_mode():
        expected = network(torch.tensor([ids])).logits[0, ids.index(model.mask_id)].softmax(-1).max().item()
    assert model.predict(TEXT)[0][0].score == pytest.approx(expected, rel=1e-4)


async def test_coroutines_answer_as_the_methods_do_and_at_once(model: MaskedLanguageModel) -> None:
    filled, surprise = await asyncio.gather(
        model.apredict(f"pain in the {model.mask_token}", top_k=2, targets=["chest", "knee"]),
        model.apseudo_perplexity("chest pain"),
    )
    assert filled == model.predict(f"pain in the {model.mask_token}", top_k=2, targets=["chest", "knee"])
    assert surprise == model.pseudo_perplexity("chest pain")


def test_close_and_pickle_leave_the_weights_behind_and_change_no_answer(model: MaskedLanguageModel) -> None:
    before = model.predict(TEXT)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert again._network is None
    assert again.predict(TEXT) == before
    again.close()
    assert again.predict(TEXT) == before


def test_wrong_arguments_are_refused_by_their_own_names(model: MaskedLanguageModel) -> None:
    with pytest.raises(InvalidInputError, match=r"^text: expected one text, got list"):
        model.predict([TEXT])
    with pytest.raises(InvalidInputError, match=r"^targets: expected a list of strings, got one str"):
        model.predict(TEXT, targets="aspirin")


def test_a_token_that_the_network_does_not_have_is_refused(published: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "longer"))
    with (folder / "vocab.txt").open("a") as vocabulary:
        vocabulary.write("zzend\n")
    with pytest.raises(InvalidModelError, match="the vocabulary has a token 28996, the network 28996 in all"):
        MaskedLanguageModel(folder, device="cpu").predict(f"zzend {TEXT}")
