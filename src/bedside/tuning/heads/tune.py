"""Tune a head for a task: read, check, train, measure, save; one call for each task."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from bedside.encoders.artefacts import weight_files
from bedside.encoders.checkpoint import BIO_CLINICALBERT
from bedside.encoders.folders import new_folder
from bedside.encoders.prepare import file_hashes
from bedside.tuning.cost import parameters
from bedside.tuning.folders import check_finite, only_process, open_run
from bedside.tuning.heads.checks import refuse
from bedside.tuning.heads.data import gather
from bedside.tuning.heads.examples import Kind
from bedside.tuning.heads.reading import Source
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.setup import Setup, set_up
from bedside.tuning.heads.task import Metrics
from bedside.tuning.settings import check_settings
from bedside.tuning.trainer import merged

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
        run = open_run(target, _facts(setup), resume=resume)
        report = _trained(setup, run, target, began)
        shutil.rmtree(run)
    return report


def _trained(setup: Setup, run: Path, target: Path, began: float) -> TuningReport:
    from bedside.tuning.heads.loop import train
    from bedside.tuning.heads.network import TorchNetwork
    from bedside.tuning.heads.saving import save_task

    data, task = setup.data, setup.task
    measured = data.splits.get(data.measured_on or "", [])
    before = task.measure(measured) if measured else {}
    name, baseline = task.baseline(data.train, measured) if measured else ("", {})
    course = train(setup, run)
    check_finite(setup.model, run)
    counts = parameters(setup.model)
    model = merged(setup.model)
    task.network = TorchNetwork(model, task.tokenizer.pad_id)
    after = task.measure(measured) if measured else {}
    metrics = {"split": data.measured_on, "before": before, "after": after, "baseline": baseline, "baseline_name": name}
    facts = {**_facts(setup), **counts, "steps": course.steps, "metrics": metrics if measured else {}}
    save_task(model, setup.folder, target, task.spec, facts)
    log.info("%s: %s before, %s after, %s for %s", target, before, after, baseline, name)
    seconds = time.monotonic() - began
    return TuningReport(
        target, data.measured_on, before, after, baseline, name, course.losses, course.measured, seconds
    )


def _facts(setup: Setup) -> dict[str, Any]:
    """What the card tells, and what a run must have in common with one that it goes on with."""
    return {
        "base": setup.base,
        "base_sha256": file_hashes(setup.folder, weight_files(setup.folder)),
        "data": setup.data.facts(),
        "held_out": setup.data.held_out,
        "settings": asdict(setup.settings),
        "windows": len(setup.rows),
        "versions": ", ".join(f"{name} {version(name)}" for name in ("bedside", "torch", "transformers")),
    }
