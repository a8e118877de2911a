"""The settings of a tuning run, in one frozen record, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedside.errors import InvalidInputError
from bedside.tuning.heads.checks import ALLOWABLE
from bedside.tuning.settings import Precision, TrainingSettings, check_number, check_whole, is_whole


@dataclass(frozen=True)
class TaskSettings(TrainingSettings):
    """How a task head is trained: the settings of any training (:class:`TrainingSettings`), and these.

    A learning rate of 5e-5 is usual for full weights, 3e-4 and more for LoRA.

    Attributes:
        accumulation: Batches whose gradients are added up before a step.
        max_length: Tokens in one window, special ones included; at most the model's positions.
        overlap: Tokens that neighbouring windows of a long text share.
        max_windows: Classification reads only the first so many windows of a text; ``None`` reads all of it.
        class_weights: ``"balanced"`` weighs each class by the inverse of its frequency, a mapping names weights
            (classes left out weigh 1), ``None`` weighs all alike. Not for question answering.
        keep_best: Return to the weights that measured best on the validation data.
        threshold: Multi-label classification predicts the classes with at least this probability.
        whole_words: Entities begin and end where words do (as the tokenizer sees words); ``False`` lets them begin and
            end within one.
        negative: Name of the class of related pairs that have no relation.
        max_answer_tokens: Longest answer.
        allow: Kinds of problems in the data that are warned of instead of refused; see
            :func:`bedside.tuning.heads.check_examples`.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    batch_size: int = 16
    accumulation: int = 1
    max_length: int = 256
    overlap: int = 32
    max_windows: int | None = None
    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    keep_best: bool = True
    precision: Precision = "float32"
    threshold: float = 0.5
    whole_words: bool = True
    negative: str = "none"
    max_answer_tokens: int = 30
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, 1, "accumulation", "max_length", "max_answer_tokens")
        check_whole(self, 1, "max_windows", optional=True)
        check_number(self, 1.0, "threshold")
        if not is_whole(self.overlap) or not 0 <= self.overlap < self.max_length:
            raise InvalidInputError(f"overlap={self.overlap!r}: expected 0 to max_length - 1 = {self.max_length - 1}")
        object.__setattr__(self, "allow", tuple(self.allow))
        if unknown := sorted(set(self.allow) - set(ALLOWABLE)):
            raise InvalidInputError(f"allow={unknown}: expected some of {', '.join(ALLOWABLE)}")
        given: Any = self.class_weights
        named = isinstance(given, Mapping) and all(isinstance(w, (int, float)) and w > 0 for w in given.values())
        if given not in (None, "balanced") and not named:
            raise InvalidInputError("class_weights: expected 'balanced' or a positive number for each class named")
