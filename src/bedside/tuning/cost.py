"""What training costs, told without training: parameters, memory, and the time of one pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bedside.tuning.settings import TrainingSettings

FORWARD = 1 / 3
"""Time of a pass that only predicts, of one forward and backward, which costs twice as much again."""
T = TypeVar("T")


def parameters(model: Any) -> dict[str, int]:
    """How many a network has, and how many of them are trained."""
    every = list(model.parameters())
    trained = sum(p.numel() for p in every if p.requires_grad)
    return {"parameters": sum(p.numel() for p in every), "trainable": trained}


def memory(model: Any, config: Any, texts: int, tokens: int, settings: TrainingSettings) -> int:
    """Bytes: weights, gradients, AdamW's two moments, and the activations of a batch.

    The activations are estimated for a transformer's layers in float32 as ``2 b t h (34 + 5 a t / h)`` each
    (Korthikanti et al., Reducing Activation Recomputation in Large Transformer Models, 2022, in half precision).

    Args:
        model: The network that is trained.
        config: transformers' configuration of it.
        texts: In memory at once, ``b``.
        tokens: Of the longest, ``t``.
        settings: With gradient checkpointing, the activations of one layer are held at a time.
    """
    counts, hidden = parameters(model), int(config.hidden_size)
    layers = 1 if settings.gradient_checkpointing else int(config.num_hidden_layers)
    each = 34 + 5 * int(config.num_attention_heads) * tokens / hidden
    return 4 * (counts["parameters"] + 3 * counts["trainable"]) + int(2 * texts * tokens * hidden * each * layers)


def seconds(run: Callable[[Sequence[T]], object], batch: Sequence[T]) -> float:
    """The time of one pass over a batch; a first pass sets up what later ones use again."""
    run(batch[:1])
    began = time.perf_counter()
    run(batch)
    return time.perf_counter() - began
