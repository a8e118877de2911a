"""What a retrieval tuning run would do and cost, without doing it: sizes, steps, time and memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.tuning.cost import FORWARD, memory, parameters, seconds
from bedside.tuning.retrieval.network import base_folder, copy_base, open_network
from bedside.tuning.retrieval.rows import Data, Given, gather
from bedside.tuning.retrieval.settings import Method, TuneSettings
from bedside.tuning.retrieval.training import in_batches
from bedside.tuning.trainer import mixed_precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from typing_extensions import Unpack

# Passes of a step over its texts, against one forward and backward: gradient caching reads every text once more, and
# TSDAE's decoder is as large as the encoder.
_PASSES: Mapping[Method, float] = {"contrastive": 4 / 3, "simcse": 4 / 3, "tsdae": 2.0, "gpl": 1.0, "distill": 1.0}
_SAMPLE = 512  # texts whose lengths are counted


@dataclass(frozen=True)
class TunePlan:
    """What a run would do.

    Attributes:
        method: How it would learn.
        counts: Pairs, texts and held-out pairs.
        rows: Training rows; in GPL and with mined negatives an estimate.
        steps: Optimiser steps at most.
        tokens: Mean tokens of a training text, after cutting.
        parameters: Of the model.
        trainable: Of them, those that are trained.
        seconds: Estimated from one timed pass on this machine, held-out measurements included, mining and the caller's
            own models left out.
        memory: Bytes, with the activations of ``mini_batch`` texts; see :func:`bedside.tuning.cost.memory`.
    """

    method: str
    counts: Mapping[str, int]
    rows: int
    steps: int
    tokens: float
    parameters: int
    trainable: int
    seconds: float
    memory: int


def plan_tuning(
    base: str | os.PathLike[str],
    *,
    method: Method = "contrastive",
    settings: TuneSettings | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    **given: Unpack[Given],
) -> TunePlan:
    """Read and check the data, load the base, time one pass, and change nothing.

    Arguments and errors are those of :func:`bedside.tuning.tune_encoder`.
    """
    source, _ = base_folder(base, revision=revision, local_files_only=local_files_only)
    data = gather(method, settings, **given)
    settings = data.settings
    mixed_precision(settings.precision, settings.device)
    with tempfile.TemporaryDirectory() as folder:
        network = open_network(copy_base(source, Path(folder) / "base"), data)
    texts = _training_texts(data)
    lengths = [len(ids) for ids in network.tokenizer(texts[:_SAMPLE], truncation=True)["input_ids"]]
    rows = max(1, settings.negatives) * len(data.pairs) or len(data.texts)
    transformer: Any = network[0]
    return TunePlan(
        method,
        dict(data.counts),
        rows,
        in_batches(data, rows).steps(settings.epochs),
        sum(lengths) / len(lengths),
        **parameters(network),
        seconds=_seconds(network, texts, data, rows),
        memory=memory(network, transformer.auto_model.config, settings.mini_batch, max(lengths), settings),
    )


def _training_texts(data: Data) -> list[str]:
    """Texts that a step encodes, evenly spread."""
    texts = [text for pair in data.pairs for text in (pair.query, pair.positive, pair.negative) if text]
    texts = texts or list(data.texts)
    stride = max(1, len(texts) // _SAMPLE)
    return texts[::stride]


def _seconds(network: SentenceTransformer, texts: Sequence[str], data: Data, rows: int) -> float:
    settings = data.settings
    batch = list(texts[: 2 * settings.mini_batch])
    each = seconds(lambda some: _pass(network, list(some)), batch) / len(batch)
    columns = {"contrastive": 3 if settings.negatives else 2, "simcse": 2, "gpl": 3}.get(data.method, 1)
    training = each * rows * columns * _PASSES[data.method] * settings.epochs
    if data.held_out is None:
        return training
    every, steps = settings.checkpoint_steps, in_batches(data, rows).steps(settings.epochs)
    times = 2 + (settings.epochs if every is None else steps // every)
    return training + each * FORWARD * times * (len(data.held_out.queries) + len(data.held_out.documents))


def _pass(network: SentenceTransformer, texts: list[str]) -> None:
    features: Any = network.preprocess(texts)
    network.train()
    network({name: value.to(network.device) for name, value in features.items() if hasattr(value, "to")})[
        "sentence_embedding"
    ].sum().backward()
    network.zero_grad()
