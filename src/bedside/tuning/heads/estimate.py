"""What a run would do and cost, without doing it: sizes, label counts, problems, time and memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bedside.encoders.checkpoint import BIO_CLINICALBERT
from bedside.tuning.cost import FORWARD, memory, parameters, seconds
from bedside.tuning.heads.checks import Problem
from bedside.tuning.heads.data import gather
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.reading import Source
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.setup import Setup, set_up
from bedside.tuning.heads.tokens import Row
from bedside.tuning.settings import check_settings
from bedside.tuning.trainer import Batches


@dataclass(frozen=True)
class TaskPlan:
    """What a run would do.

    Attributes:
        kind: The task.
        examples: Of each split; without ``valid=``, after the held-out share was taken out of the training data.
        labels: How many of each class, in each split.
        problems: What is wrong with the data.
        refused: Whether a run would stop at them; then nothing below is known.
        windows: Training windows.
        tokens: In them, padding left out.
        steps: Optimiser steps of all epochs.
        parameters: Of the model.
        trainable: Of them, those that are trained.
        seconds: Estimated from one timed step on this machine; early stopping makes it less.
        memory: Bytes, with the activations of the longest batch; see :func:`bedside.tuning.cost.memory`.
    """

    kind: Kind
    examples: dict[str, int]
    labels: dict[str, dict[str, int]]
    problems: tuple[Problem, ...]
    refused: bool
    windows: int | None = None
    tokens: int | None = None
    steps: int | None = None
    parameters: int | None = None
    trainable: int | None = None
    seconds: float | None = None
    memory: int | None = None


def plan_task(
    kind: Kind,
    train: Source,
    *,
    base: str | os.PathLike[str] = BIO_CLINICALBERT,
    valid: Source | None = None,
    test: Source | None = None,
    settings: TaskSettings | None = None,
) -> TaskPlan:
    """Read and check the data, load the model, time one step, and change nothing.

    Arguments and errors are those of :func:`bedside.tuning.heads.tune_classifier`, with the ``kind`` before them:
    ``"classification"``, ``"ner"``, ``"qa"`` or ``"relations"``.
    """
    settings = check_settings(TaskSettings, settings)
    data = gather(kind, train, valid, test, settings)
    facts = data.facts()
    examples = {name: int(split["examples"]) for name, split in facts.items()}
    labels = {name: dict(split["labels"]) for name, split in facts.items()}
    if any(problem.kind not in settings.allow for problem in data.problems):
        return TaskPlan(kind, examples, labels, tuple(data.problems), refused=True)
    setup = set_up(base, data, settings)
    figures = _figures(setup)
    return TaskPlan(kind, examples, labels, tuple(data.problems), refused=False, **figures)


def _figures(setup: Setup) -> dict[str, Any]:
    settings, lengths = setup.settings, [len(row.ids) for row in setup.rows]
    batches = Batches(len(lengths), settings.batch_size, settings.accumulation)
    return {
        "windows": len(lengths),
        "tokens": sum(lengths),
        "steps": batches.steps(settings.epochs),
        **parameters(setup.model),
        "seconds": _seconds(setup, sum(lengths)),
        "memory": memory(setup.model, setup.model.config, settings.batch_size, max(lengths), settings),
    }


def _seconds(setup: Setup, tokens: int) -> float:
    """Time of all epochs, and of measuring the validation data after each."""
    batches = _batches(setup.rows, setup.settings)
    sample = batches[0]
    each = seconds(lambda rows: _step(setup, rows), sample) / (len(sample) * max(len(row.ids) for row in sample))
    padded = sum(max(len(row.ids) for row in batch) * len(batch) for batch in batches)
    valid = len(setup.data.valid) / max(1, len(setup.data.train)) * tokens
    return each * setup.settings.epochs * (padded + FORWARD * valid)


def _step(setup: Setup, rows: Sequence[Row]) -> None:
    from bedside.tuning.heads.network import inputs, stacked, takes_types

    device = next(setup.model.parameters()).device
    batch = inputs(rows, setup.task.tokenizer.pad_id, types=takes_types(setup.model))
    setup.model.train()
    scores: Any = stacked(setup.model(**{name: tensor.to(device) for name, tensor in batch.items()}))
    scores.sum().backward()
    setup.model.zero_grad()


def _batches(rows: Sequence[Row], settings: TaskSettings) -> list[list[Row]]:
    """The batches of one epoch, with their padding."""
    from bedside.tuning.heads.loop import ByLength

    order = list(ByLength([len(row.ids) for row in rows], settings.batch_size, settings.seed))
    return [[rows[i] for i in order[a : a + settings.batch_size]] for a in range(0, len(order), settings.batch_size)]
