"""The settings of retrieval tuning, in one frozen record, checked when it is made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from bedside.errors import InvalidInputError
from bedside.tuning.settings import TrainingSettings, check_number, check_whole

Method: TypeAlias = Literal["contrastive", "tsdae", "simcse", "gpl", "distill"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class TuneSettings(TrainingSettings):
    """How an encoder is tuned: the settings of any training (:class:`TrainingSettings`), and these.

    A learning rate of 2e-5 is usual for full weights of a trained encoder, 1e-4 to 1e-3 for LoRA and for a network that
    starts from random weights. Contrastive rows compete with all others of their step, so a larger ``batch_size`` is
    better. Early stopping goes by held-out nDCG@10; the best weights are kept either way.

    Attributes:
        mini_batch: Rows in memory at once. Contrastive steps cache gradients (Gao et al. 2021), so that memory does not
            depend on ``batch_size``; the other methods add up the gradients of several small batches.
        max_length: Tokens of a training text, special ones included; longer ones are cut. ``None`` is the base's own
            length. The saved encoder keeps the base's length either way.
        temperature: Cosines are divided by it before the softmax; 0.05 is that of SimCSE and sentence-transformers.
        negatives: Hard negatives mined for each pair with BM25 and the base's own vectors; 0 mines none.
        negatives_from: How many of the best hits are passed over first, since unjudged answers stand there.
        heldout_queries: At most so many held-out queries are asked.
        heldout_documents: At most so many passages are searched for them, their answers included.
        deletion: TSDAE: share of the words that are deleted from a text before it is encoded.
        layers: Distillation: how many of the base's layers the student keeps.

    Example:
        >>> TuneSettings(epochs=3).batch_size
        64
    """

    mini_batch: int = 16
    max_length: int | None = None
    temperature: float = 0.05
    negatives: int = 0
    negatives_from: int = 10
    heldout_queries: int = 200
    heldout_documents: int = 1000
    early_stopping: int | None = 3
    deletion: float = 0.6
    layers: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, 1, "mini_batch", "heldout_queries", "heldout_documents", "layers")
        check_whole(self, 3, "max_length", optional=True)  # two of them are special tokens
        check_whole(self, 0, "negatives", "negatives_from")
        check_number(self, 1.0, "deletion")
        check_number(self, sys.float_info.max, "temperature")
        if self.temperature == 0 or self.deletion == 1:
            raise InvalidInputError("temperature must be above 0, deletion below 1")


def check_method(method: str) -> None:
    """Refuse an unknown method."""
    if method not in METHODS:
        raise InvalidInputError(f"method={method!r}: expected one of {', '.join(METHODS)}")
