"""Rows to padded batches and a network's scores back to rows, whatever runs the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.windows import batches, padded
from bedside.support.progress import progress
from bedside.tuning.heads.task import Logits
from bedside.tuning.heads.tokens import Row

_BATCH_TOKENS = 2_048


def arrays(rows: Sequence[Row], pad_id: int, *, types: bool) -> dict[str, NDArray[np.int64]]:
    """Rows as the padded batch that transformers' models take: int64 ``[b, t]`` under their names."""
    ids, mask = padded([row.ids for row in rows], pad_id)
    batch = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if types:
        batch["token_type_ids"] = padded([row.types for row in rows], 0)[0]
    return batch


def batched(
    rows: Sequence[Row], pad_id: int, *, types: bool, run: Callable[[dict[str, NDArray[np.int64]]], Logits]
) -> list[Logits]:
    """Scores of each row: ``run`` gives ``[b, classes]`` or ``[b, t, classes]`` for a batch of similar lengths."""
    lengths = [len(row.ids) for row in rows]
    found: dict[int, Logits] = {}
    with progress(sum(lengths), "predicting", "token") as advance:
        for chosen in batches(lengths, _BATCH_TOKENS):
            scores = run(arrays([rows[i] for i in chosen], pad_id, types=types))
            for i, own in zip(chosen, scores, strict=True):
                found[int(i)] = own if own.ndim == 1 else own[: lengths[i]]
            advance(sum(lengths[i] for i in chosen))
    return [found[i] for i in range(len(rows))]
