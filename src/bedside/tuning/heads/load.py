"""Open a tuned task."""

from __future__ import annotations

import os
from pathlib import Path

from bedside.encoders.checkpoint import resolve
from bedside.encoders.prepare import prepared
from bedside.errors import InvalidInputError
from bedside.tuning.heads.classify import ClassifierTask
from bedside.tuning.heads.ner import NerTask
from bedside.tuning.heads.qa import QaTask
from bedside.tuning.heads.relations import RelationTask
from bedside.tuning.heads.task import Network, Spec, Task
from bedside.tuning.heads.tokens import TaskTokenizer

TASKS: dict[str, type[Task]] = {task.kind: task for task in (ClassifierTask, NerTask, QaTask, RelationTask)}
BACKENDS = ("torch", "onnx")


def load_task(folder: str | os.PathLike[str], *, backend: str = "torch", device: str = "auto") -> Task:
    """Open a folder that :func:`tune_classifier`, :func:`tune_ner`, :func:`tune_qa` or :func:`tune_relations` wrote.

    Args:
        folder: The folder, or a hub id that it was pushed to.
        backend: ``"torch"``, or ``"onnx"``, which exports the network at the first use, agrees with torch to 1e-4 and
            then needs no torch.
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
    if not isinstance(folder, (str, os.PathLike)):
        raise InvalidInputError(f"folder: expected a path or a hub id, got {type(folder).__name__}")
    path: Path = prepared(resolve(folder))
    spec = Spec.read(path)
    tokenizer = TaskTokenizer(path, spec.max_length, spec.overlap)
    kind = TASKS[spec.kind]
    return kind(spec, tokenizer, _network(backend, path, kind.architecture, tokenizer.pad_id, device))


def _network(backend: str, path: Path, architecture: str, pad_id: int, device: str) -> Network:
    if backend == "onnx":
        from bedside.tuning.heads.onnx_network import OnnxNetwork  # brings onnxruntime

        return OnnxNetwork(path, architecture, pad_id, device)
    from bedside.tuning.heads.network import TorchNetwork, open_model  # brings torch

    return TorchNetwork(open_model(path, architecture), pad_id, device)
