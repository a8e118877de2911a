"""The settings of a tuning run, in one frozen record, checked when it is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedside.errors import InvalidInputError
from bedside.tuning.options import check_number, check_whole, is_whole
from bedside.tuning.tasks.checks import ALLOWABLE

_PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TaskSettings:
    """How a task head is trained.

    Attributes:
        epochs: Passes over the training windows.
        learning_rate: Peak of a linear schedule with warm-up. 5e-5 is usual for full weights, 3e-4 and more for LoRA.
        batch_size: Windows in one step.
        accumulation: Batches whose gradients are added up before a step.
        max_length: Tokens in one window, special ones included; at most the model's positions.
        overlap: Tokens that neighbouring windows of a long text share.
        max_windows: Classification reads only the first so many windows of a text; ``None`` reads all of it.
        seed: Of the head's first weights, the order of the data, dropout, and the held-out share.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: AdamW's.
        class_weights: ``"balanced"`` weighs each class by the inverse of its frequency, a mapping names weights
            (classes left out weigh 1), ``None`` weighs all alike. Not for question answering.
        lora_rank: Trains low-rank adapters (peft) of this rank instead of all weights, merged when they are saved.
        lora_alpha: Their scale; ``None`` is twice the rank.
        early_stopping: Stop after so many measurements without a better one; ``None`` never does.
        keep_best: Return to the weights that measured best on the validation data.
        checkpoint_steps: Measure and save each so many steps; ``None`` does it after each epoch.
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"`` (mixed precision; float16 on a GPU only).
        gradient_checkpointing: Compute activations twice to keep fewer of them.
        device: ``"auto"`` takes a GPU where there is one, ``"cpu"`` never does.
        holdout: Share of the training texts kept back for validation where none is given; 0 keeps none.
        threshold: Multi-label classification predicts the classes with at least this probability.
        whole_words: Entities begin and end where words do (as the tokenizer sees words); ``False`` lets them begin and
            end within one.
        negative: Name of the class of related pairs that have no relation.
        max_answer_tokens: Longest answer.
        allow: Kinds of problems in the data that are warned of instead of refused; see
            :func:`bedside.tuning.tasks.check_examples`.

    Raises:
        InvalidInputError: a value is out of its range.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    batch_size: int = 16
    accumulation: int = 1
    max_length: int = 256
    overlap: int = 32
    max_windows: int | None = None
    seed: int = 0
    warmup: float = 0.1
    weight_decay: float = 0.01
    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    early_stopping: int | None = None
    keep_best: bool = True
    checkpoint_steps: int | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_checkpointing: bool = False
    device: str = "auto"
    holdout: float = 0.1
    threshold: float = 0.5
    whole_words: bool = True
    negative: str = "none"
    max_answer_tokens: int = 30
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulation", "max_length", "max_answer_tokens"):
            check_whole(self, name, 1)
        for name in ("max_windows", "lora_rank", "early_stopping", "checkpoint_steps"):
            if getattr(self, name) is not None:
                check_whole(self, name, 1)
        for name in ("warmup", "holdout", "threshold"):
            check_number(self, name, 1.0)
        for name in ("learning_rate", "weight_decay"):
            check_number(self, name, sys.float_info.max)
        if not is_whole(self.overlap) or not 0 <= self.overlap < self.max_length:
            raise InvalidInputError(f"overlap={self.overlap!r}: expected 0 to max_length - 1 = {self.max_length - 1}")
        check_whole(self, "seed", 0)
        if self.precision not in _PRECISIONS:
            raise InvalidInputError(f"precision={self.precision!r}: expected one of {', '.join(_PRECISIONS)}")
        if self.holdout == 1.0:
            raise InvalidInputError("holdout=1: it leaves nothing to train on")
        object.__setattr__(self, "allow", tuple(self.allow))
        unknown = sorted(set(self.allow) - set(ALLOWABLE))
        if unknown:
            raise InvalidInputError(f"allow={unknown}: expected some of {', '.join(ALLOWABLE)}")
        self._check_weights()

    def _check_weights(self) -> None:
        given: Any = self.class_weights
        if given is None or given == "balanced":
            return
        if not isinstance(given, Mapping) or not all(isinstance(w, (int, float)) and w > 0 for w in given.values()):
            raise InvalidInputError("class_weights: expected 'balanced' or a positive number for each class named")
