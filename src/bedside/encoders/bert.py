"""BERT's tensor names and shape, known once for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.encoders.checkpoint import read_json
from bedside.errors import InvalidModelError

_ACTIVATIONS = {"gelu": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


@dataclass(frozen=True)
class BertShape:
    """The numbers of a BERT that its weights do not tell.

    Attributes:
        layers: Number of encoder layers.
        heads: Attention heads per layer.
        epsilon: Of the layer normalisation.
        gelu: ``"erf"`` (exact) or ``"tanh"`` (approximation).
    """

    layers: int
    heads: int
    epsilon: float
    gelu: str


def bert_shape(folder: Path) -> BertShape | None:
    """Read ``config.json``; ``None`` where the network is not a plain BERT encoder and needs transformers' own code.

    Raises:
        InvalidModelError: a number is missing, or they contradict each other.
    """
    config = read_json(folder / "config.json")
    plain = (
        config.get("model_type", "bert") == "bert"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in _ACTIVATIONS
        and not config.get("is_decoder", False)
    )
    if not plain:
        return None
    try:
        layers, heads, size = (config[name] for name in ("num_hidden_layers", "num_attention_heads", "hidden_size"))
        if not all(isinstance(n, int) and n > 0 for n in (layers, heads, size)) or size % heads:
            raise InvalidModelError(
                f"{folder / 'config.json'}: num_hidden_layers={layers!r}, num_attention_heads={heads!r} and "
                f"hidden_size={size!r} fit no network"
            )
        return BertShape(
            layers=layers,
            heads=heads,
            epsilon=config.get("layer_norm_eps", 1e-12),
            gelu=_ACTIVATIONS[config.get("hidden_act", "gelu")],
        )
    except KeyError as error:
        raise InvalidModelError(f"{folder / 'config.json'}: {error.args[0]} is missing") from error


def modern(name: str) -> str:
    """A tensor's name as transformers writes it today.

    Old conversions from TensorFlow call the layer normalisation's weight and bias ``gamma`` and ``beta``.

    Example:
        >>> modern("bert.embeddings.LayerNorm.gamma")
        'bert.embeddings.LayerNorm.weight'
    """
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def bert_tensors(folder: Path, tensors: Mapping[str, Any], shape: BertShape) -> dict[str, Any]:
    """Pick the encoder's tensors out of a checkpoint, heads and pooler left aside.

    Raises:
        InvalidModelError: one is missing; the message names it.
    """
    found = {modern(name).removeprefix("bert."): tensor for name, tensor in tensors.items()}
    missing = [name for name in tensor_names(shape) if name not in found]
    if missing:
        raise InvalidModelError(f"{folder}: {len(missing)} tensors are missing from the weights, first {missing[0]!r}")
    return {name: found[name] for name in tensor_names(shape)}


def tensor_names(shape: BertShape) -> list[str]:
    """Every tensor the encoder needs, in order of use."""
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
             "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")  # fmt: skip
    names = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    names += ["embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"]
    for layer in range(shape.layers):
        names += [f"encoder.layer.{layer}.{part}.{end}" for part in parts for end in ("weight", "bias")]
    return names
