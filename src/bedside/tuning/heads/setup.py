"""A run of a head that is ready to start: checked, loaded, cut into windows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.encoders.artefacts import weight_files
from bedside.encoders.checkpoint import resolve
from bedside.encoders.prepare import prepared
from bedside.encoders.settings import positions
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.support.extras import needs
from bedside.tuning.heads.data import Data
from bedside.tuning.heads.load import TASKS
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Spec, Task, class_weights
from bedside.tuning.heads.tokens import Row, TaskTokenizer
from bedside.tuning.trainer import mixed_precision


@dataclass(frozen=True)
class Setup:
    """The base model's name and folder, the task around it, its training windows, and the weight of each output."""

    base: str
    folder: Path
    data: Data
    settings: TaskSettings
    task: Task
    model: Any
    rows: list[Row]
    weights: list[float] | None


def set_up(base: str | os.PathLike[str], data: Data, settings: TaskSettings) -> Setup:
    """Load the encoder with a seeded head, and cut the training data into windows."""
    with needs("tuning"):
        import accelerate  # type: ignore[import-untyped,unused-ignore]  # noqa: F401 - the loop needs it
        import peft  # noqa: F401
        import seqeval  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
        import sklearn  # noqa: F401
    from bedside.tuning.heads.network import TorchNetwork, open_model, with_adapters

    mixed_precision(settings.precision, settings.device)  # refused before anything is loaded
    if settings.early_stopping is not None and not data.valid:
        raise InvalidInputError("early_stopping: nothing is measured without validation data; give valid= or holdout")
    checkpoint = resolve(base)
    folder = prepared(checkpoint)
    if not weight_files(folder):
        raise InvalidModelError(f"{folder}: no weights in it to tune; it holds exported networks alone")
    if not 3 <= settings.max_length <= positions(folder):
        raise InvalidInputError(f"max_length={settings.max_length}: this model takes 3 to {positions(folder)} tokens")
    kind = TASKS[data.kind]
    spec = kind.spec_for([e for examples in data.splits.values() for e in examples], settings)
    outputs = kind.outputs(spec)
    model = with_adapters(open_model(folder, kind.architecture, outputs, seed=settings.seed), settings)
    tokenizer = TaskTokenizer(folder, spec.max_length, spec.overlap)
    task = kind(spec, tokenizer, TorchNetwork(model, tokenizer.pad_id, settings.device))
    rows = task.rows(data.train)
    if not rows:
        raise InvalidInputError("train: no example has a token to learn from")
    return Setup(checkpoint.name, folder, data, settings, task, model, rows, _weights(settings, outputs, rows, spec))


def _weights(settings: TaskSettings, outputs: Sequence[str], rows: Sequence[Row], spec: Spec) -> list[float] | None:
    if spec.kind == "qa" and settings.class_weights is not None:
        raise InvalidInputError("class_weights: question answering has no classes")
    counts: Counter[int] = Counter()
    for row in rows:
        labels = row.labels if isinstance(row.labels, list) else [row.labels]
        counts.update(i for i, on in enumerate(labels) if on) if spec.multi_label else counts.update(labels)
    return class_weights(settings, outputs, [counts[i] for i in range(len(outputs))])
