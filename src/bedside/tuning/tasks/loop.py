"""The training loop, which is transformers' own: configured here, measured by the task, resumed where it stopped."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.support.extras import needs
from bedside.tuning.quiet import quiet_transformers
from bedside.tuning.tasks.ner import IGNORED
from bedside.tuning.tasks.network import inputs, stacked, takes_types
from bedside.tuning.tasks.settings import TaskSettings
from bedside.tuning.tasks.task import Metrics, Task
from bedside.tuning.tasks.tokens import Row
from bedside.tuning.training import mixed_precision

with needs("tuning"):
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that every torch user reads
    from peft import LoraConfig, get_peft_model
    from torch import Tensor
    from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainingArguments

_STATE = "trainer_state.json"


@dataclass(frozen=True)
class History:
    """What happened in the loop.

    Attributes:
        steps: Optimiser steps taken.
        losses: Training loss by step, at each measurement.
        measured: Validation metrics by step.
    """

    steps: int
    losses: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, Metrics], ...]


class _Trainer(Trainer):
    """Measures whole texts with the task's own prediction instead of windows with the loop's."""

    def __init__(self, measure: Callable[[], Metrics] | None, **given: Any) -> None:
        self._measure = measure
        super().__init__(**given)

    def _get_train_sampler(self, train_dataset: Any = None) -> ByLength:  # noqa: ARG002 - the loop's own place for it
        rows: Any = self.train_dataset
        return ByLength([len(row.ids) for row in rows], self._train_batch_size, self.args.seed)

    def evaluate(
        self,
        eval_dataset: Any = None,  # noqa: ARG002 - the signature of the class above
        ignore_keys: Any = None,  # noqa: ARG002
        metric_key_prefix: str = "eval",
    ) -> Metrics:
        found = self._measure() if self._measure is not None else {}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(
    model: Any,
    rows: Sequence[Row],
    settings: TaskSettings,
    folder: Path,
    *,
    pad_id: int,
    task: type[Task],
    several: bool,
    weights: Sequence[float] | None,
    measure: Callable[[], Metrics] | None,
) -> History:
    """Train ``model`` in place, from the last whole checkpoint in ``folder`` if there is one.

    Args:
        model: One of transformers' models, with adapters or without.
        rows: Labelled windows.
        settings: How.
        folder: For checkpoints.
        pad_id: What fills a batch.
        task: Its kind.
        several: Whether outputs are independent of one another (multi-label).
        weights: Of each output in the loss.
        measure: Validation metrics of the model as it is, ``None`` where there is no validation data.
    """
    types = takes_types(model)

    def collate(batch: list[Row]) -> dict[str, Tensor]:
        made = inputs(batch, pad_id, types=types)
        labels = [row.labels for row in batch]
        if task.architecture == "TokenClassification":
            labels = [[*own, *[IGNORED] * (made["input_ids"].shape[1] - len(own))] for own in labels]
        return {**made, "labels": torch.tensor(labels)}

    if settings.gradient_checkpointing:  # on the model: the loop's own switch changes its name within transformers 5
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trainer = _Trainer(
        measure,
        model=model,
        args=_arguments(settings, folder, measured=measure is not None, primary=task.primary),
        train_dataset=_Rows(rows),
        eval_dataset=_Rows(()),
        data_collator=collate,
        compute_loss_func=loss_function(task.architecture, weights, several=several),
        callbacks=_callbacks(settings),
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output
    with quiet_transformers():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    log = trainer.state.log_history
    losses = tuple((int(entry["step"]), float(entry["loss"])) for entry in log if "loss" in entry)
    return History(trainer.state.global_step, losses, tuple(_measured(entry) for entry in log if _is_measured(entry)))


def with_adapters(model: Any, settings: TaskSettings) -> Any:
    """Freeze ``model`` and put low-rank adapters on the encoder's linear layers; the head is trained as a whole."""
    rank = settings.lora_rank
    if rank is None:
        return model
    body = model.base_model_prefix
    heads = [name for name, part in model.named_children() if name != body and any(True for _ in part.parameters())]
    pooler = [f"{body}.pooler"] if getattr(getattr(model, body), "pooler", None) is not None else []
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and name.startswith(f"{body}.") and ".pooler." not in name
    ]
    alpha = 2 * rank if settings.lora_alpha is None else settings.lora_alpha
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=linear, modules_to_save=[*heads, *pooler])  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(model, config)


def merged(model: Any) -> Any:
    """The plain model, adapters added to its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


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


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end: its state, which is written last, can be read.

    A torn one, from a process that was killed while writing, is removed.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        try:
            json.loads((path / _STATE).read_text("utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
        else:
            return str(path)
    return None


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


def _arguments(settings: TaskSettings, folder: Path, *, measured: bool, primary: str) -> TrainingArguments:
    steps = settings.checkpoint_steps
    when = "epoch" if steps is None else "steps"
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        eval_strategy=when if measured else "no",
        eval_steps=steps,
        save_strategy=when,
        save_steps=steps or 500,
        save_total_limit=2,
        logging_strategy=when,
        logging_steps=steps or 500,
        load_best_model_at_end=measured and settings.keep_best,
        metric_for_best_model=primary if measured else None,
        greater_is_better=True if measured else None,
        restore_callback_states_from_checkpoint=True,
        **mixed_precision(settings.precision, settings.device),
        use_cpu=settings.device == "cpu",
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=not sys.stderr.isatty(),
        dataloader_pin_memory=False,
    )


def _callbacks(settings: TaskSettings) -> list[Any]:
    patience = settings.early_stopping
    return [] if patience is None else [EarlyStoppingCallback(early_stopping_patience=patience)]


def _is_measured(entry: dict[str, Any]) -> bool:
    return any(name.startswith("eval_") for name in entry)


def _measured(entry: dict[str, Any]) -> tuple[int, Metrics]:
    return entry["step"], {
        name.removeprefix("eval_"): float(value) for name, value in entry.items() if name.startswith("eval_")
    }
