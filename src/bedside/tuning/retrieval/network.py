"""The network that is tuned, as sentence-transformers wants it, and the folder that it is saved to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.encoders.calibration import CALIBRATION_FILE
from bedside.encoders.checkpoint import EXPORTED, SAFE_WEIGHTS, read_json, resolve
from bedside.encoders.folders import copy_model, write_settings
from bedside.encoders.prepare import prepared, write_manifest
from bedside.encoders.quiet import quiet_transformers
from bedside.encoders.settings import Settings, folder_settings, positions
from bedside.encoders.static import is_static
from bedside.encoders.tokenizer import TextTokenizer, load_tokenizer
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.support.extras import needs
from bedside.tuning.retrieval.rows import Data
from bedside.tuning.trainer import adapters, merged

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_POOLINGS = ("mean", "cls", "max")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


def base_folder(base: object, **where: Any) -> tuple[Path, str]:
    """Find the model that is to be tuned.

    Args:
        base: A hub id or a folder.
        **where: ``revision``, ``local_files_only``, ``cache_dir``.

    Returns:
        Its local folder and its name.

    Raises:
        InvalidInputError: Not a name or folder, a static encoder, or a pooling that cannot be trained.
        InvalidModelError: A head that its weights may not have (SPLADE, ColBERT), or no usable checkpoint.
        ModelNotFoundError: Nowhere to be found.
    """
    if not isinstance(base, (str, os.PathLike)):
        raise InvalidInputError(
            f"base: expected a model's name or folder, got {type(base).__name__}. SparseEncoder and MultiVectorEncoder "
            "put a head of random weights on a plain BERT and say nothing, so only text encoders are tuned"
        )
    checkpoint = resolve(base, **where)
    if is_static(checkpoint.folder):
        raise InvalidInputError(f"base={checkpoint.name!r}: a static encoder; bedside distill makes a new one")
    folder = prepared(checkpoint)
    _refuse_heads(folder)
    pooling = folder_settings(folder).pooling
    if pooling not in _POOLINGS:
        raise InvalidInputError(f"base={checkpoint.name!r}: pooling {pooling!r} cannot be trained; {_POOLINGS} can")
    return folder, checkpoint.name


def copy_base(source: Path, target: Path) -> Path:
    """Copy a base with its tokenizer, so that a run that is resumed starts from the same bytes."""
    target.mkdir(exist_ok=True)
    copy_model(source, target)
    for file in (CALIBRATION_FILE, "README.md"):
        (target / file).unlink(missing_ok=True)
    for exported in target.glob(EXPORTED):
        shutil.rmtree(exported.parent)
    return target


def open_network(folder: Path, data: Data) -> SentenceTransformer:
    """Open a folder for training: network, pooling, normalisation; with adapters where they are asked for.

    Args:
        folder: What :func:`copy_base` made.
        data: Its settings say length, adapters and device; a student to be distilled keeps some of the layers, evenly
            spaced, the last one among them.

    Raises:
        InvalidInputError: A length or a number of layers that the network does not have, or no such device.
        InvalidModelError: sentence-transformers reads other tokens than Bedside does.
    """
    with needs("tuning"):
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Transformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

        from bedside.encoders.backends.torch_backend import choose_device
    known, settings = folder_settings(folder), data.settings
    length = settings.max_length or known.max_length
    if length > positions(folder):
        raise InvalidInputError(f"max_length={length}: this model takes at most {positions(folder)} tokens")
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    with quiet_transformers():
        transformer = Transformer(str(folder), max_seq_length=length)
    if data.method == "distill":
        _keep_layers(transformer.auto_model, settings.layers)
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), known.pooling)]
    modules += [Normalize()] if known.normalize else []
    network = SentenceTransformer(modules=modules, device=str(device))
    _check_tokens(network, folder)
    transformer.model = adapters(transformer.model, settings, target_modules="all-linear")
    return network


def save_network(network: SentenceTransformer, base: Path, target: Path, *, papers: dict[str, str]) -> None:
    """Write a tuned network into an empty folder that ``load_encoder`` and sentence-transformers open.

    Args:
        network: Adapters are merged into its weights.
        base: The folder that it came from: its tokenizer and settings are kept.
        target: Where it is written.
        papers: File names and contents to be put beside it.
    """
    transformer: Any = network[0]
    transformer.model = merged(transformer.model)
    _drop_new_pooler(network, base)
    with quiet_transformers():
        network.save_pretrained(str(target), create_model_card=False)
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, target / name)
    _write_length(target, folder_settings(base))
    for name, text in papers.items():
        (target / name).write_text(text, "utf-8")
    write_manifest(target, {})


def _write_length(target: Path, settings: Settings) -> None:
    """Say pooling, length and prompts: for Bedside, and the length for sentence-transformers as well."""
    write_settings(target, settings)
    theirs = read_json(target / "sentence_bert_config.json") | {"max_seq_length": settings.max_length}
    (target / "sentence_bert_config.json").write_text(json.dumps(theirs, indent=2) + "\n", "utf-8")


def _refuse_heads(folder: Path) -> None:
    try:
        folder_settings(folder)
    except InvalidModelError as error:
        raise InvalidModelError(f"{error}. Other heads may hold weights that nobody has trained") from error


def _check_tokens(network: SentenceTransformer, folder: Path) -> None:
    sample = "BP 120/80, HbA1c 8.2 %; Dr. Müller denies CHEST pain."
    ours = TextTokenizer(load_tokenizer(folder)).tokens([sample])[0]
    theirs = network.tokenizer(sample, add_special_tokens=False)["input_ids"]
    if list(theirs) != list(ours):
        raise InvalidModelError(f"{folder}: transformers reads its tokenizer differently from Bedside")


def _keep_layers(network: Any, count: int) -> None:
    stack = getattr(getattr(network, "encoder", None), "layer", None)
    if stack is None:
        raise InvalidInputError(f"distill: {type(network).__name__} has no list of layers to choose from")
    if count >= len(stack):
        raise InvalidInputError(f"layers={count}: the base has {len(stack)}, and a student must be smaller")
    import torch

    kept = [round((i + 1) * len(stack) / count) - 1 for i in range(count)]
    network.encoder.layer = torch.nn.ModuleList([stack[i] for i in kept])
    network.config.num_hidden_layers = count


def _drop_new_pooler(network: SentenceTransformer, base: Path) -> None:
    """Leave out a pooler that transformers made up: nothing uses it, and its random weights would be saved."""
    model: Any = network[0].auto_model
    if getattr(model, "pooler", None) is not None and not any("pooler." in name for name in _weight_names(base)):
        model.pooler = None


def _weight_names(folder: Path) -> Sequence[str]:
    from safetensors import safe_open

    names: list[str] = []
    for file in (file for pattern in SAFE_WEIGHTS for file in folder.glob(pattern) if file.suffix == ".safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            names += tensors.keys()
    return names
