"""Tune a head for a task: read, check, train, measure, save; one call for each task."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from bedside.encoders.artefacts import weight_files
from bedside.encoders.checkpoint import BIO_CLINICALBERT, Checkpoint, resolve
from bedside.encoders.extras import needs
from bedside.encoders.folders import new_folder
from bedside.encoders.prepare import file_hashes, prepared
from bedside.encoders.settings import positions
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.tuning.cost import parameters
from bedside.tuning.folders import check_finite, only_process, open_run
from bedside.tuning.heads.checks import refuse
from bedside.tuning.heads.data import Data, gather
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.load import TASKS
from bedside.tuning.heads.reading import Source
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Metrics, Spec, Task, class_weights
from bedside.tuning.heads.tokens import Row, TaskTokenizer
from bedside.tuning.settings import check_settings
from bedside.tuning.trainer import merged, mixed_precision

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuningReport:
    """What a run did.

    Attributes:
        folder: Opens with ``load_task``.
        split: What it was measured on: ``"test"``, ``"valid"`` or ``None``.
        before: Metrics with an untrained head.
        after: Metrics of what was saved.
        baseline: Metrics of what needs no learning, and the name of that.
        baseline_name: What that is.
        losses: Training loss by step.
        measured: Validation metrics by step.
        seconds: Of the whole run, since it was last started.
    """

    folder: Path
    split: str | None
    before: Metrics
    after: Metrics
    baseline: Metrics
    baseline_name: str
    losses: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, Metrics], ...]
    seconds: float


@dataclass(frozen=True)
class Setup:
    """A run that is ready to start: the base model's folder, the task around it, and its training windows."""

    checkpoint: Checkpoint
    folder: Path
    data: Data
    spec: Spec
    task: Task
    model: Any
    rows: list[Row]
    weights: list[float] | None


class TuneOptions(TypedDict, total=False):
    """What :func:`tune_classifier`, :func:`tune_ner`, :func:`tune_qa` and :func:`tune_relations` take by name.

    Attributes:
        base: Hub id or folder of the encoder; the default is Bio_ClinicalBERT.
        valid: What the best weights are chosen by; without it, ``settings.holdout`` of the training texts.
        test: What the result is measured on; without it, the validation data.
        settings: How it is trained.
        resume: Go on with an interrupted run; ``False`` begins again.
    """

    base: str | os.PathLike[str]
    valid: Source | None
    test: Source | None
    settings: TaskSettings | None
    resume: bool


def tune_classifier(train: Source, output: str | os.PathLike[str], **options: Unpack[TuneOptions]) -> TuningReport:
    """Tune a classifier of texts: one label each, or several where the data has lists of labels.

    The data is read and checked before anything is trained. A run that was interrupted goes on from its last checkpoint
    when it is started again with the same arguments, and ends as if it had not been interrupted.

    Args:
        train: JSON Lines, CSV, a ``datasets.Dataset``, :class:`TextExample` objects or dicts; see
            :func:`read_examples`.
        output: A new folder. Checkpoints stand beside it, in ``<output>.run``, until it is written.
        **options: See :class:`TuneOptions`.

    Returns:
        Metrics before and after, and those of the majority class.

    Raises:
        InvalidInputError: the data or a setting is wrong (every problem by name), or ``output`` is not empty.
        ModelNotFoundError, InvalidModelError: there is no such encoder.
        MissingExtraError: ``bedside[tuning]`` is not installed.

    Example:
        >>> report = tune_classifier("notes.jsonl", "specialty", base="model")  # doctest: +SKIP
        >>> report.after["macro_f1"] > report.baseline["macro_f1"]  # doctest: +SKIP
        True
    """
    return tune("classification", train, output, **options)


def tune_ner(train: Source, output: str | os.PathLike[str], **options: Unpack[TuneOptions]) -> TuningReport:
    """Tune a tagger of entities; see :func:`tune_classifier`.

    The data may also be CoNLL files and :class:`NerExample` objects. The baseline is a dictionary of the training
    entities.
    """
    return tune("ner", train, output, **options)


def tune_qa(train: Source, output: str | os.PathLike[str], **options: Unpack[TuneOptions]) -> TuningReport:
    """Tune an extractive question answerer on :class:`QaExample` objects or their fields; see :func:`tune_classifier`.

    The baseline is the first words of each context.
    """
    return tune("qa", train, output, **options)


def tune_relations(train: Source, output: str | os.PathLike[str], **options: Unpack[TuneOptions]) -> TuningReport:
    """Tune a classifier of pairs of entities on :class:`RelationExample` objects or their fields.

    See :func:`tune_classifier`. The baseline is the most frequent relation for every pair.
    """
    return tune("relations", train, output, **options)


def tune(
    kind: Kind,
    train: Source,
    output: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] = BIO_CLINICALBERT,
    valid: Source | None = None,
    test: Source | None = None,
    settings: TaskSettings | None = None,
    resume: bool = True,
) -> TuningReport:
    """Tune the head of one kind of task; see :func:`tune_classifier`."""
    began, settings = time.monotonic(), check_settings(TaskSettings, settings)
    target = new_folder(output, "output")
    data = gather(kind, train, valid, test, settings)
    refuse(data.problems, settings.allow)
    setup = set_up(base, data, settings)
    with only_process(target):
        run = open_run(target, _facts(setup, settings), resume=resume)
        report = _trained(setup, settings, run, target, began)
        shutil.rmtree(run)
    return report


def set_up(base: str | os.PathLike[str], data: Data, settings: TaskSettings) -> Setup:
    """Load the encoder with a seeded head, and cut the training data into windows."""
    with needs("tuning"):
        import accelerate  # type: ignore[import-untyped,unused-ignore]  # noqa: F401 - the loop needs it
        import peft  # noqa: F401
        import seqeval  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
        import sklearn  # noqa: F401
    from bedside.tuning.heads.loop import with_adapters
    from bedside.tuning.heads.network import TorchNetwork, open_model

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
    return Setup(checkpoint, folder, data, spec, task, model, rows, _weights(settings, outputs, rows, spec))


def _trained(setup: Setup, settings: TaskSettings, run: Path, target: Path, began: float) -> TuningReport:
    from bedside.tuning.heads.loop import train
    from bedside.tuning.heads.network import TorchNetwork
    from bedside.tuning.heads.saving import save_task

    data, task = setup.data, setup.task
    measured = data.splits.get(data.measured_on or "", [])
    before = task.measure(measured) if measured else {}
    name, baseline = task.baseline(data.train, measured) if measured else ("", {})
    course = train(
        setup.model,
        setup.rows,
        settings,
        run,
        pad_id=task.tokenizer.pad_id,
        task=type(task),
        several=setup.spec.multi_label,
        weights=setup.weights,
        measure=(lambda: task.measure(data.valid)) if data.valid else None,
    )
    check_finite(setup.model, run)
    counts = parameters(setup.model)
    model = merged(setup.model)
    task.network = TorchNetwork(model, task.tokenizer.pad_id)
    after = task.measure(measured) if measured else {}
    metrics = {"split": data.measured_on, "before": before, "after": after, "baseline": baseline, "baseline_name": name}
    facts = {**_facts(setup, settings), **counts, "steps": course.steps, "metrics": metrics if measured else {}}
    save_task(model, setup.folder, target, setup.spec, facts)
    log.info("%s: %s before, %s after, %s for %s", target, before, after, baseline, name)
    seconds = time.monotonic() - began
    return TuningReport(
        target, data.measured_on, before, after, baseline, name, course.losses, course.measured, seconds
    )


def _facts(setup: Setup, settings: TaskSettings) -> dict[str, Any]:
    """What the card tells, and what a run must have in common with one that it goes on with."""
    return {
        "base": setup.checkpoint.name,
        "base_sha256": file_hashes(setup.folder, weight_files(setup.folder)),
        "data": setup.data.facts(),
        "held_out": setup.data.held_out,
        "settings": asdict(settings),
        "windows": len(setup.rows),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("bedside", "torch", "transformers")),
    }


def _weights(settings: TaskSettings, outputs: Sequence[str], rows: Sequence[Row], spec: Spec) -> list[float] | None:
    if spec.kind == "qa" and settings.class_weights is not None:
        raise InvalidInputError("class_weights: question answering has no classes")
    counts: Counter[int] = Counter()
    for row in rows:
        labels = row.labels if isinstance(row.labels, list) else [row.labels]
        counts.update(i for i, on in enumerate(labels) if on) if spec.multi_label else counts.update(labels)
    return class_weights(settings, outputs, [counts[i] for i in range(len(outputs))])
