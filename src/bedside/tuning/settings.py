"""What the settings of every kind of tuning have in common: fields, how they are made, how numbers are checked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from bedside.errors import InvalidInputError

S = TypeVar("S")
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainingSettings:
    """How any network is trained.

    Attributes:
        epochs: Passes over the training data.
        learning_rate: Peak of a linear schedule with warm-up.
        batch_size: Rows of one step.
        warmup: Share of the steps in which the learning rate rises.
        weight_decay: AdamW's.
        early_stopping: Stop after so many measurements without a better one; ``None`` never does.
        checkpoint_steps: Measure and save each so many steps; ``None`` does it after each epoch.
        lora_rank: Train low-rank adapters (peft) of this rank, merged when they are saved; ``None`` trains all weights.
        lora_alpha: Their scale; ``None`` is twice the rank.
        holdout: Share of the training data that is kept back to measure on where no such data is given; 0 keeps none.
        precision: ``"auto"`` mixes in bfloat16 or float16 on a GPU that has it and uses float32 elsewhere.
        gradient_checkpointing: Compute activations twice to keep fewer of them.
        device: ``"auto"`` takes a GPU where there is one; ``"cpu"`` never does.
        seed: Of new weights, dropout, the order of the rows, and what is held out.

    Raises:
        InvalidInputError: a value is out of its range.
    """

    epochs: int = 1
    learning_rate: float = 2e-5
    batch_size: int = 64
    warmup: float = 0.1
    weight_decay: float = 0.01
    early_stopping: int | None = None
    checkpoint_steps: int | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    holdout: float = 0.1
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(self, 1, "epochs", "batch_size")
        check_whole(self, 1, "early_stopping", "checkpoint_steps", "lora_rank", optional=True)
        check_whole(self, 0, "seed")
        check_number(self, 1.0, "holdout", "warmup")
        check_number(self, sys.float_info.max, "learning_rate", "weight_decay")
        if self.holdout == 1:
            raise InvalidInputError("holdout=1: it leaves nothing to train on")
        if self.precision not in get_args(Precision):
            raise InvalidInputError(f"precision={self.precision!r}: expected one of {', '.join(get_args(Precision))}")


def settings_from(kind: type[S], values: Mapping[str, Any]) -> S:
    """Make settings of a kind, a dataclass, from the keys of a configuration file.

    Raises:
        InvalidInputError: an unknown key, or a value of the wrong type or out of its range.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type] # S is a dataclass, which no bound says
    if unknown := sorted(set(values) - set(known)):
        raise InvalidInputError(f"unknown settings {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInputError(f"settings: a value has the wrong type ({error})") from error


def check_settings(kind: type[S], settings: object) -> S:
    """Return those given, or the defaults for ``None``.

    Raises:
        InvalidInputError: something else, such as a mapping.
    """
    if settings is None:
        return kind()
    if not isinstance(settings, kind):
        raise InvalidInputError(f"settings: expected {kind.__name__}, got {type(settings).__name__}")
    return settings


def check_whole(settings: object, least: int, *names: str, optional: bool = False) -> None:
    """Refuse settings that are not whole numbers from ``least``; ``None`` passes where it is ``optional``."""
    for name in names:
        value = getattr(settings, name)
        if value is None and optional:
            continue
        if not is_whole(value) or value < least:
            raise InvalidInputError(f"{name}={value!r}: expected a whole number from {least}")


def check_number(settings: object, most: float, *names: str) -> None:
    """Refuse settings that are not numbers from 0 to ``most``."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            limits = f"from 0 to {most:g}" if most <= 1 else "of at least 0"
            raise InvalidInputError(f"{name}={value!r}: expected a finite number {limits}")


def is_whole(value: object) -> bool:
    """Tell a whole number from all else, bools included."""
    return isinstance(value, int) and not isinstance(value, bool)
