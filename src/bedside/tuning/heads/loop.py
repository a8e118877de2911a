"""What the heads add to the training loop: their loss, and batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bedside.support.extras import needs
from bedside.tuning.heads.ner import IGNORED
from bedside.tuning.heads.network import inputs, stacked, takes_types
from bedside.tuning.heads.setup import Setup
from bedside.tuning.heads.tokens import Row
from bedside.tuning.trainer import Batches, Course, run_trainer

with needs("tuning"):
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that every torch user reads
    from torch import Tensor
    from transformers import Trainer, TrainingArguments


def train(setup: Setup, folder: Path) -> Course:
    """Train a head in place, with its checkpoints in ``folder``; see :func:`bedside.tuning.trainer.run_trainer`."""
    task, model, settings, valid = setup.task, setup.model, setup.settings, setup.data.valid
    types = takes_types(model)

    def collate(batch: list[Row]) -> dict[str, Tensor]:
        made = inputs(batch, task.tokenizer.pad_id, types=types)
        labels = [row.labels for row in batch]
        if task.architecture == "TokenClassification":
            labels = [[*own, *[IGNORED] * (made["input_ids"].shape[1] - len(own))] for own in labels]
        return {**made, "labels": torch.tensor(labels)}

    if settings.gradient_checkpointing:  # on the model: the loop's own switch changes its name within transformers 5
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return run_trainer(
        _Trainer,
        TrainingArguments,
        settings,
        folder,
        Batches(len(setup.rows), settings.batch_size, settings.accumulation),
        (lambda: task.measure(valid)) if valid else None,
        task.primary,
        keep_best=settings.keep_best,
        arguments={"remove_unused_columns": False, "label_names": ["labels"]},
        model=model,
        train_dataset=_Rows(setup.rows),
        data_collator=collate,
        compute_loss_func=loss_function(task.architecture, setup.weights, several=task.spec.multi_label),
    )


class _Trainer(Trainer):
    """Puts windows of similar length into one batch."""

    def _get_train_sampler(self, train_dataset: Any = None) -> ByLength:  # noqa: ARG002 - the loop's own place for it
        rows: Any = self.train_dataset
        return ByLength([len(row.ids) for row in rows], self._train_batch_size, self.args.seed)


def loss_function(
    architecture: str, weights: Sequence[float] | None = None, *, several: bool = False
) -> Callable[..., Tensor]:
    """Cross-entropy over classes, tags, or start and end; binary cross-entropy where outputs are independent.

    It is divided by the number of labels in the whole step, as transformers counts them, so that accumulated batches
    weigh what they would in one.
    """

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        logits = stacked(outputs)
        weight = None if weights is None else torch.tensor(weights, dtype=logits.dtype, device=logits.device)
        items = labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        if several:
            summed = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), weight, reduction="sum")
        elif architecture == "QuestionAnswering":
            summed = F.cross_entropy(logits.transpose(1, 2).flatten(0, 1), labels.flatten(), reduction="sum")
        else:
            summed = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), weight, reduction="sum")
        return summed / items

    return loss


class ByLength(torch.utils.data.Sampler[int]):
    """A new order for each epoch, in which windows of similar length stand in one batch: less padding to compute.

    Eight batches at a time are drawn at random, sorted by length and cut into batches, whose order is then drawn too.
    It depends on nothing but the seed and the epoch, so a run that goes on sees what it would have seen.

    Args:
        lengths: Of the windows.
        size: Windows in a batch.
        seed: Of the order.
    """

    def __init__(self, lengths: Sequence[int], size: int, seed: int) -> None:
        self._lengths, self._size, self._seed, self._epoch = np.array(lengths), size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the loop before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        order = rng.permutation(len(self))
        draws = [order[i : i + 8 * self._size] for i in range(0, len(order), 8 * self._size)]
        sorted_ = np.concatenate([draw[np.argsort(self._lengths[draw], kind="stable")] for draw in draws])
        batches = [sorted_[i : i + self._size] for i in range(0, len(sorted_), self._size)]
        last = [] if len(batches[-1]) == self._size else [batches.pop()]  # a batch that is not full ends the epoch
        for i in rng.permutation(len(batches)):
            yield from batches[i].tolist()
        for batch in last:
            yield from batch.tolist()


class _Rows(torch.utils.data.Dataset[Row]):
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Row:
        return self._rows[place]
