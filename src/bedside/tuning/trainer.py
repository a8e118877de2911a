"""The training loop, which is transformers' own: set up here, measured by a function, resumed where it stopped."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.encoders.quiet import quiet_transformers
from bedside.errors import InvalidInputError
from bedside.support.extras import needs
from bedside.tuning.settings import Precision, TrainingSettings

_STATE = "trainer_state.json"


@dataclass(frozen=True)
class Course:
    """How training went.

    Attributes:
        steps: Optimizer steps taken.
        losses: Step and mean loss since the one before.
        measured: Step and held-out metrics.
        best_step: The step whose weights were kept.
    """

    steps: int
    losses: tuple[tuple[int, float], ...]
    measured: tuple[tuple[int, dict[str, float]], ...]
    best_step: int


@dataclass(frozen=True)
class Batches:
    """The rows of a run in batches.

    Attributes:
        rows: All of them.
        size: Rows in memory at once.
        parts: Batches whose gradients are added up before a step.
    """

    rows: int
    size: int
    parts: int

    def steps(self, epochs: int) -> int:
        """How many optimizer steps so many epochs take at most."""
        batches = -(-self.rows // self.size)
        return epochs * -(-batches // self.parts)


def run_trainer(
    trainer_type: type[Any],
    arguments_type: type[Any],
    settings: TrainingSettings,
    folder: Path,
    batches: Batches,
    measure: Callable[[], Mapping[str, float]] | None,
    metric: str,
    *,
    keep_best: bool = True,
    arguments: Mapping[str, Any],
    **given: Any,
) -> Course:
    """Train in place, from the last whole checkpoint in ``folder`` if there is one.

    Args:
        trainer_type: transformers' ``Trainer``, or a class made of it.
        arguments_type: The class of its arguments.
        settings: How.
        folder: Holds the checkpoints; the caller removes it in the end.
        batches: The rows.
        measure: Metrics of the network as it is; ``None`` measures nothing and keeps the last weights.
        metric: The one that decides which weights are best and when to stop.
        keep_best: Return to the best weights in the end.
        arguments: More of the trainer's arguments.
        **given: What the trainer itself takes: model, data, loss.
    """
    from transformers import EarlyStoppingCallback, PrinterCallback

    class Measured(trainer_type):  # type: ignore[misc] # either library's
        """Measures with the function given instead of the loop's own evaluation."""

        control: Any

        def evaluate(
            self,
            eval_dataset: Any = None,  # noqa: ARG002 - the signature of the class above
            ignore_keys: Any = None,  # noqa: ARG002
            metric_key_prefix: str = "eval",
        ) -> dict[str, float]:
            found = {} if measure is None else measure()
            metrics = {f"{metric_key_prefix}_{name}": float(value) for name, value in found.items()}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    measured, patience = measure is not None, settings.early_stopping
    when = "epoch" if settings.checkpoint_steps is None else "steps"
    every = {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "per_device_train_batch_size": batches.size,
        "gradient_accumulation_steps": batches.parts,
        "warmup_steps": math.ceil(settings.warmup * batches.steps(settings.epochs)),
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        "eval_strategy": when if measured else "no",
        "eval_steps": settings.checkpoint_steps,
        "save_strategy": when,
        "save_steps": settings.checkpoint_steps or 500,
        "save_total_limit": 2,
        "load_best_model_at_end": measured and keep_best,
        "metric_for_best_model": metric if measured else None,
        "greater_is_better": True if measured else None,
        "logging_steps": max(1, batches.steps(settings.epochs) // 20),
        "restore_callback_states_from_checkpoint": True,
        "use_cpu": settings.device == "cpu",
        "disable_tqdm": not sys.stderr.isatty(),
        "report_to": "none",
        "dataloader_pin_memory": False,
    }
    trainer = Measured(
        args=arguments_type(**every, **mixed_precision(settings.precision, settings.device), **arguments),
        eval_dataset=given["train_dataset"],  # asked for by the loop; evaluate() above does not read it
        callbacks=[EarlyStoppingCallback(patience)] if measured and patience is not None else [],
        **given,
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output
    with quiet_transformers():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return _course(trainer.state)


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


def mixed_precision(precision: Precision, device: str) -> dict[str, Any]:
    """Mixed precision by the library's names; float32 weights are kept either way.

    Raises:
        InvalidInputError: float16 without a GPU.
    """
    with needs("tuning"):
        import torch

    chosen = precision
    gpu = device != "cpu" and torch.cuda.is_available()
    if chosen == "auto":
        native = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        chosen = "bfloat16" if native else "float16" if gpu else "float32"
    if chosen == "float16" and not gpu:
        raise InvalidInputError("precision='float16': only a GPU has it; expected 'float32' or 'bfloat16'")
    return {"bf16": chosen == "bfloat16", "fp16": chosen == "float16"}


def adapters(model: Any, settings: TrainingSettings, **places: Any) -> Any:
    """Freeze a network and put low-rank adapters where peft's ``places`` say; the network itself without a rank."""
    if settings.lora_rank is None:
        return model
    with needs("tuning"):
        import torch
        from peft import LoraConfig, get_peft_model
    alpha = 2 * settings.lora_rank if settings.lora_alpha is None else settings.lora_alpha
    config = LoraConfig(r=settings.lora_rank, lora_alpha=alpha, **places)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(model, config)


def merged(model: Any) -> Any:
    """The plain network, adapters added to its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def _course(state: Any) -> Course:
    log = state.log_history
    losses = tuple((int(entry["step"]), float(entry["loss"])) for entry in log if "loss" in entry)
    metrics = (
        (entry["step"], {name[5:]: value for name, value in entry.items() if name.startswith("eval_")}) for entry in log
    )
    best = state.best_global_step or state.global_step
    return Course(state.global_step, losses, tuple((step, found) for step, found in metrics if found), best)
