"""Open a tuned task."""

from __future__ import annotations

import os
from pathlib import Path

from bedside.encoders.checkpoint import Checkpoint, resolve
from bedside.encoders.prepare import prepared
from bedside.errors import InvalidInputError
from bedside.tuning.tasks.classify import ClassifierTask
from bedside.tuning.tasks.ner import NerTask
from bedside.tuning.tasks.qa import QaTask
from bedside.tuning.tasks.relations import RelationTask
from bedside.tuning.tasks.task import Spec, Task
from bedside.tuning.tasks.tokens import TaskTokenizer

TASKS: dict[str, type[Task]] = {task.kind: task for task in (ClassifierTask, NerTask, QaTask, RelationTask)}
BACKENDS = ("torch",)


def load_task(folder: str | os.PathLike[str], *, backend: str = "torch", device: str = "auto") -> Task:
    """Open a folder that :func:`tune_classifier`, :func:`tune_ner`, :func:`tune_qa` or :func:`tune_relations` wrote.

    Args:
        folder: The folder, or a hub id that it was pushed to.
        backend: ``"torch"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Returns:
        An object whose ``predict(texts)`` gives typed results: :class:`ClassifierTask` tuples of labels,
        :class:`NerTask` tuples of entities, :class:`QaTask` an answer to ``question=``, :class:`RelationTask` tuples of
        relations between ``entities=``.

    Raises:
        ModelNotFoundError: there is no such folder.
        InvalidModelError: it holds no task, or its weights cannot be loaded.
        InvalidInputError: no such backend or device.

    Example:
        >>> task = load_task("problems")  # doctest: +SKIP
        >>> task.predict(["Denies chest pain."])[0][0].text  # doctest: +SKIP
        'chest pain'
    """
    if backend not in BACKENDS:
        raise InvalidInputError(f"backend={backend!r}: expected one of {', '.join(map(repr, BACKENDS))}")
    return open_task(resolve(folder), device)


def open_task(checkpoint: Checkpoint, device: str) -> Task:
    """The task of a checkpoint; see :func:`load_task`."""
    from bedside.tuning.tasks.network import TorchNetwork, open_model  # brings torch

    path: Path = prepared(checkpoint)
    spec = Spec.read(path)
    tokenizer = TaskTokenizer(path, spec.max_length, spec.overlap)
    kind = TASKS[spec.kind]
    return kind(spec, tokenizer, TorchNetwork(open_model(path, kind.architecture), tokenizer.pad_id, device))
