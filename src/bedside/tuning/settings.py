"""The settings of retrieval tuning, in one frozen record, checked when it is made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from bedside.errors import InvalidInputError
from bedside.tuning.options import check_number, check_whole

Method: TypeAlias = Literal["contrastive", "tsdae", "simcse", "gpl", "distill"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class TuneSettings:
    """How an encoder is tuned.

    Attributes:
        epochs: Passes over the training rows.
        learning_rate: Peak of a linear schedule with warm-up. 2e-5 is usual for full weights of a trained encoder, 1e-4
            to 1e-3 for LoRA and for a network that starts from random weights.
        batch_size: Rows of one step. Contrastive rows compete with all others of their step, so more is better.
        mini_batch: Rows in memory at once. Contrastive steps cache gradients (Gao et al. 2021), so that memory does not
            depend on ``batch_size``; the other methods add up the gradients of several small batches.
        max_length: Tokens of a training text, special ones included; longer ones are cut. ``None`` is the base's own
            length. The saved encoder keeps the base's length either way.
        temperature: Cosines are divided by it before the softmax; 0.05 is that of SimCSE and sentence-transformers.
        negatives: Hard negatives mined for each pair with BM25 and the base's own vectors; 0 mines none.
        negatives_from: How many of the best hits are passed over first, since unjudged answers stand there.
        holdout: Share of the queries kept back for early stopping and for the metrics before and after, where no
            ``held_out`` is given; 0 keeps none.
        heldout_queries: At most so many held-out queries are asked.
        heldout_documents: At most so many passages are searched for them, their answers included.
        early_stopping: Stop after so many measurements without a better nDCG@10; ``None`` never does. The best weights
            are kept either way.
        checkpoint_steps: Measure and save each so many steps; ``None`` does it after each epoch.
        lora_rank: Train low-rank adapters (peft) of this rank, merged when they are saved; ``None`` trains all weights.
        lora_alpha: Their scale; ``None`` is twice the rank.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: AdamW's.
        deletion: TSDAE: share of the words that are deleted from a text before it is encoded.
        layers: Distillation: how many of the base's layers the student keeps.
        precision: ``"auto"`` mixes in bfloat16 or float16 on a GPU that has it and uses float32 elsewhere.
        gradient_checkpointing: Compute activations twice to keep fewer of them.
        device: ``"auto"`` takes a GPU where there is one; ``"cpu"`` never does.
        seed: Of new weights, dropout, the order of the rows, deletions and the held-out share.

    Raises:
        InvalidInputError: a value is out of its range.

    Example:
        >>> TuneSettings(epochs=3).batch_size
        64
    """

    epochs: int = 1
    learning_rate: float = 2e-5
    batch_size: int = 64
    mini_batch: int = 16
    max_length: int | None = None
    temperature: float = 0.05
    negatives: int = 0
    negatives_from: int = 10
    holdout: float = 0.1
    heldout_queries: int = 200
    heldout_documents: int = 1000
    early_stopping: int | None = 3
    checkpoint_steps: int | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    warmup: float = 0.1
    weight_decay: float = 0.01
    deletion: float = 0.6
    layers: int = 3
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "mini_batch", "heldout_queries", "heldout_documents", "layers"):
            check_whole(self, name, 1)
        for name in ("early_stopping", "checkpoint_steps", "lora_rank", "max_length"):
            if getattr(self, name) is not None:
                check_whole(self, name, 1)
        for name in ("seed", "negatives", "negatives_from"):
            check_whole(self, name, 0)
        for name in ("holdout", "deletion", "warmup"):
            check_number(self, name, 1.0)
        for name in ("learning_rate", "weight_decay", "temperature"):
            check_number(self, name, sys.float_info.max)
        if self.max_length is not None and self.max_length < 3:
            raise InvalidInputError(f"max_length={self.max_length}: two special tokens leave no room for a text")
        if self.temperature == 0 or self.holdout == 1 or self.deletion == 1:
            raise InvalidInputError("temperature must be above 0, holdout and deletion below 1")
        if self.precision not in get_args(Precision):
            raise InvalidInputError(f"precision={self.precision!r}: expected one of {', '.join(get_args(Precision))}")


def check_method(method: str) -> None:
    """Refuse an unknown method."""
    if method not in METHODS:
        raise InvalidInputError(f"method={method!r}: expected one of {', '.join(METHODS)}")
