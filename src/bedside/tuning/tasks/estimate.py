"""What a run would do and cost, without doing it: sizes, label counts, problems, time and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bedside.encoders.checkpoint import BIO_CLINICALBERT
from bedside.tuning.options import check_settings
from bedside.tuning.tasks.checks import Problem
from bedside.tuning.tasks.data import gather
from bedside.tuning.tasks.examples import Kind
from bedside.tuning.tasks.reading import Source
from bedside.tuning.tasks.settings import TaskSettings
from bedside.tuning.tasks.tokens import Row
from bedside.tuning.tasks.tune import Setup, set_up

_PREDICTING = 1 / 3  # forward alone against forward and backward, which costs twice as much again


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
        memory: Bytes: weights, gradients, AdamW's two moments, and activations of the longest batch, which are
            estimated for a transformer's layers in float32 as ``2 b t h (34 + 5 a t / h)`` each (Korthikanti et al.,
            Reducing Activation Recomputation in Large Transformer Models, 2022, in half precision).
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

    Args:
        kind: ``"classification"``, ``"ner"``, ``"qa"`` or ``"relations"``.
        train: See :func:`bedside.tuning.tasks.tune_classifier`, also for the rest.
        base: Hub id or folder of the encoder.
        valid: Validation data.
        test: Test data.
        settings: How it would be trained.

    Raises:
        InvalidInputError: the data cannot be read, or a setting is wrong.
        ModelNotFoundError, InvalidModelError: there is no such encoder.
    """
    settings = check_settings(TaskSettings, settings)
    data = gather(kind, train, valid, test, settings)
    facts = data.facts()
    examples = {name: int(split["examples"]) for name, split in facts.items()}
    labels = {name: dict(split["labels"]) for name, split in facts.items()}
    if any(problem.kind not in settings.allow for problem in data.problems):
        return TaskPlan(kind, examples, labels, tuple(data.problems), refused=True)
    setup = set_up(base, data, settings)
    figures = _figures(setup, settings)
    return TaskPlan(kind, examples, labels, tuple(data.problems), refused=False, **figures)


def _figures(setup: Setup, settings: TaskSettings) -> dict[str, Any]:
    every = [p.numel() for p in setup.model.parameters()]
    trained = sum(p.numel() for p in setup.model.parameters() if p.requires_grad)
    tokens = sum(len(row.ids) for row in setup.rows)
    batches = -(-len(setup.rows) // settings.batch_size)
    return {
        "windows": len(setup.rows),
        "tokens": tokens,
        "steps": settings.epochs * -(-batches // settings.accumulation),
        "parameters": sum(every),
        "trainable": trained,
        "seconds": _seconds(setup, settings, tokens),
        "memory": 4 * (sum(every) + 3 * trained) + _activations(setup.model.config, setup.rows, settings),
    }


def _seconds(setup: Setup, settings: TaskSettings, tokens: int) -> float:
    """Time of all epochs, and of measuring the validation data after each."""
    batches = _batches(setup.rows, settings)
    sample = batches[0]
    _step(setup, sample[:1])  # the first call also sets up what later ones reuse
    began = time.perf_counter()
    _step(setup, sample)
    each = (time.perf_counter() - began) / (len(sample) * max(len(row.ids) for row in sample))
    padded = sum(max(len(row.ids) for row in batch) * len(batch) for batch in batches)
    valid = len(setup.data.valid) / max(1, len(setup.data.train)) * tokens
    return each * settings.epochs * (padded + _PREDICTING * valid)


def _step(setup: Setup, rows: Sequence[Row]) -> None:
    from bedside.tuning.tasks.network import inputs, stacked, takes_types

    device = next(setup.model.parameters()).device
    batch = inputs(rows, setup.task.tokenizer.pad_id, types=takes_types(setup.model))
    setup.model.train()
    scores: Any = stacked(setup.model(**{name: tensor.to(device) for name, tensor in batch.items()}))
    scores.sum().backward()
    setup.model.zero_grad()


def _batches(rows: Sequence[Row], settings: TaskSettings) -> list[list[Row]]:
    """The batches of one epoch, with their padding."""
    from bedside.tuning.tasks.loop import ByLength

    order = list(ByLength([len(row.ids) for row in rows], settings.batch_size, settings.seed))
    return [[rows[i] for i in order[a : a + settings.batch_size]] for a in range(0, len(order), settings.batch_size)]


def _activations(config: Any, rows: Sequence[Row], settings: TaskSettings) -> int:
    length, hidden = max(len(row.ids) for row in rows), int(config.hidden_size)
    layers = 1 if settings.gradient_checkpointing else int(config.num_hidden_layers)
    each = 34 + 5 * int(config.num_attention_heads) * length / hidden
    return int(2 * settings.batch_size * length * hidden * each * layers)
