"""What the four tasks share: what is saved of them, how they are trained on and measured, and what they say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.checkpoint import read_json
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.tokens import Row, TaskTokenizer

Logits: TypeAlias = NDArray[np.float32]
Metrics: TypeAlias = "dict[str, float]"
TASK_FILE = "task.json"
_FORMAT = 1


class Network(Protocol):
    """What runs the weights."""

    def logits(self, rows: Sequence[Row]) -> list[Logits]:
        """Scores of each row: ``[classes]``, or ``[t, classes]`` for its ``t`` tokens, special ones included."""
        ...


@dataclass(frozen=True)
class Spec:
    """What a task needs besides weights and vocabulary; the content of ``task.json``.

    Attributes:
        kind: Which task.
        labels: Class names, in the order of the network's outputs (for ner: the entity types).
        max_length: Tokens in one window.
        overlap: Tokens that neighbouring windows share.
        max_windows: Classification reads only so many windows of a text.
        multi_label: Classification may give several classes, or none.
        threshold: Least probability of each of them.
        whole_words: See :class:`TaskSettings`.
        negative: The class of pairs without a relation.
        pairs: Types of head and tail between which the training data has relations; others are not asked about.
        unanswerable: Whether the training data has questions without an answer.
        max_answer_tokens: Longest answer.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    max_length: int = 256
    overlap: int = 32
    max_windows: int | None = None
    multi_label: bool = False
    threshold: float = 0.5
    whole_words: bool = True
    negative: str = "none"
    pairs: tuple[tuple[str, str], ...] = ()
    unanswerable: bool = False
    max_answer_tokens: int = 30

    @classmethod
    def of(cls, kind: Kind, settings: TaskSettings, **found: Any) -> Spec:
        """The settings that prediction needs too, and what was found in the data."""
        shared = {f.name for f in fields(cls)} & {f.name for f in fields(TaskSettings)}
        return cls(kind, **{name: getattr(settings, name) for name in sorted(shared)}, **found)

    def to_json(self) -> dict[str, Any]:
        """The content of ``task.json``."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def read(cls, folder: Path) -> Spec:
        """Read a folder's ``task.json``.

        Raises:
            InvalidModelError: there is none, or it is not of a form that this release reads.
        """
        found = read_json(folder / TASK_FILE)
        if found.pop("format", None) != _FORMAT or set(found) != {f.name for f in fields(cls)}:
            raise InvalidModelError(f"{folder}: it holds no {TASK_FILE} that this release reads")
        found["labels"] = tuple(found["labels"])
        found["pairs"] = tuple((head, tail) for head, tail in found["pairs"])
        return cls(**found)


class Task(ABC):
    """A network with a task's head; made by :func:`bedside.tuning.heads.load_task`.

    Args:
        spec: What was saved of the task.
        tokenizer: The model's own.
        network: What runs the weights.
    """

    kind: ClassVar[Kind]
    architecture: ClassVar[str]
    """Which of transformers' heads it is: ``AutoModelFor…``."""
    primary: ClassVar[str]
    """The metric that the best weights are chosen by."""

    def __init__(self, spec: Spec, tokenizer: TaskTokenizer, network: Network) -> None:
        self.spec, self.tokenizer, self.network = spec, tokenizer, network

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it can predict."""
        return self.spec.labels

    @classmethod
    @abstractmethod
    def spec_for(cls, examples: Sequence[Any], settings: TaskSettings) -> Spec:
        """What the examples say about classes and types."""

    @classmethod
    @abstractmethod
    def outputs(cls, spec: Spec) -> tuple[str, ...]:
        """Names of the network's outputs."""

    @abstractmethod
    def rows(self, examples: Sequence[Any]) -> list[Row]:
        """Windows with labels, to train on."""

    @abstractmethod
    def predict(self, texts: Sequence[str], **options: Any) -> list[Any]:
        """Typed results for each text."""

    @abstractmethod
    def measure(self, examples: Sequence[Any]) -> Metrics:
        """Predict and compare with the examples."""

    @abstractmethod
    def baseline(self, train: Sequence[Any], examples: Sequence[Any]) -> tuple[str, Metrics]:
        """What needs no learning scores on the same examples, and its name."""

    @abstractmethod
    def as_metadata(self, result: Any, key: str) -> dict[str, Any]:
        """One text's result as filterable metadata under ``key``."""


def refuse_options(options: Mapping[str, Any]) -> None:
    """Refuse options of ``predict`` that the task does not have."""
    if options:
        raise TypeError(f"predict() has no option {', '.join(options)}")


def class_weights(settings: TaskSettings, names: Sequence[str], counts: Sequence[int]) -> list[float] | None:
    """A weight for each output, ``None`` for equal ones.

    Balanced: ``total / (outputs that occur * count)``, as scikit-learn's ``class_weight="balanced"``.

    Raises:
        InvalidInputError: a weight for a class that is not there.
    """
    given = settings.class_weights
    if given is None:
        return None
    if isinstance(given, Mapping):
        known = {name.removeprefix("B-").removeprefix("I-") for name in names} | set(names)
        unknown = sorted(set(given) - known)
        if unknown:
            raise InvalidInputError(f"class_weights: {', '.join(unknown)}: not among {', '.join(sorted(known))}")
        return [float(given.get(name, given.get(name.partition("-")[2], 1.0))) for name in names]
    present = sum(1 for count in counts if count)
    return [sum(counts) / (present * count) if count else 1.0 for count in counts]


def softmax(logits: Logits) -> Logits:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
