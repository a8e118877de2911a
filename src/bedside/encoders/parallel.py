"""One corpus on several devices: a process for each, texts dealt out by length, vectors back in order."""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing.queues import SimpleQueue

import numpy as np

from bedside.encoders.texts import checked_texts
from bedside.encoders.transformer import TransformerEncoder
from bedside.errors import InvalidInputError
from bedside.support.processors import processors
from bedside.support.progress import progress
from bedside.types import Matrix

_PORTIONS = 8  # per device: late ones finish together, and each is large enough to be sorted into full batches
_worker: TransformerEncoder | None = None


def encode_parallel(encoder: TransformerEncoder, texts: Sequence[str], devices: Sequence[str]) -> Matrix:
    """Encode passages on several devices at once.

    Tokens are made here, once. Each device gets a process of its own with a copy of the weights. The processes are
    started afresh, so a script calls this below ``if __name__ == "__main__":``. Worth it from some ten thousand
    passages on, or some hundred on processors without a common memory.

    Args:
        encoder: What ``encode_documents`` would be called on. Its cache is not used.
        texts: Passages.
        devices: ``["cuda:0", "cuda:1"]``; ``["cpu", "cpu"]`` shares the cores between two processes.

    Returns:
        float32 ``[n, d]`` in the order given, as ``encoder.encode_documents`` gives it.

    Raises:
        InvalidInputError: another kind of encoder, no list of devices; or what ``encode_documents`` raises.

    Example:
        >>> encode_parallel(encoder, texts, ["cuda:0", "cuda:1"])  # doctest: +SKIP
    """
    if not isinstance(encoder, TransformerEncoder):
        raise InvalidInputError(f"encoder: expected a TransformerEncoder, got {type(encoder).__name__}")
    if isinstance(devices, str) or not devices:
        raise InvalidInputError("devices: expected a list of at least one")
    return encoder._compute(
        checked_texts(texts), encoder.settings.document_prompt, run=partial(_spread, encoder, devices)
    )


def _spread(encoder: TransformerEncoder, devices: Sequence[str], rows: list[list[int]], pad_id: int) -> Matrix:
    """:meth:`TransformerEncoder.run_rows` on all devices."""
    order = np.argsort([-len(row) for row in rows], kind="stable")
    size = max(1, -(-len(rows) // (_PORTIONS * len(devices))))
    portions = [order[start : start + size] for start in range(0, len(order), size)]
    vectors: dict[int, Matrix] = {}
    context = multiprocessing.get_context("spawn")
    free: SimpleQueue[str] = context.SimpleQueue()
    for device in devices:
        free.put(device)
    bare = copy.copy(encoder)
    bare.cache = bare.calibration = None
    with (
        ProcessPoolExecutor(len(devices), context, _start, (bare, free, _threads(devices))) as pool,
        progress(len(rows), "encoding", "window") as advance,
    ):
        running = {pool.submit(_portion, [rows[i] for i in portion], pad_id): portion for portion in portions}
        for done in as_completed(running):
            vectors |= dict(zip(running[done].tolist(), done.result(), strict=True))
            advance(len(running[done]))
    return np.stack([vectors[i] for i in range(len(rows))])


def _threads(devices: Sequence[str]) -> int:
    """Threads for each process, so that those on the processor do not crowd one another."""
    return max(1, processors() // len(devices))


def _start(encoder: TransformerEncoder, free: SimpleQueue[str], threads: int) -> None:
    """Take one device and keep the encoder for it; runs once in each process."""
    global _worker
    os.environ["TQDM_DISABLE"] = "1"
    encoder.device = free.get()
    if encoder.backend == "torch":
        import torch

        torch.set_num_threads(threads)
    _worker = encoder


def _portion(rows: list[list[int]], pad_id: int) -> Matrix:
    if _worker is None:
        raise RuntimeError("the process was not initialised")
    return _worker.run_rows(rows, pad_id)
