"""The training loop: sentence-transformers' own, told what to learn, when to stop, and how to go on after a crash."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.errors import InvalidInputError
from bedside.support.extras import needs
from bedside.tuning.quiet import quiet_transformers
from bedside.tuning.settings import Method, Precision, TuneSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

_COMPLETE = "complete"  # in a checkpoint whose every file was written
_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Outcome:
    """How training went.

    Attributes:
        steps: Optimizer steps taken.
        losses: Step and mean loss since the one before.
        history: Step and held-out metrics.
        best_step: The step whose weights were kept.
    """

    steps: int
    losses: tuple[tuple[int, float], ...]
    history: tuple[tuple[int, Mapping[str, float]], ...]
    best_step: int


def train(
    network: SentenceTransformer,
    method: Method,
    columns: Mapping[str, Sequence[Any]],
    settings: TuneSettings,
    folder: Path,
    evaluate: Callable[[SentenceTransformer], Mapping[str, float]] | None,
) -> Outcome:
    """Train a network in place; go on from the last whole checkpoint in ``folder`` if there is one.

    Args:
        network: From :func:`bedside.tuning.network.open_network`.
        method: Chooses the loss.
        columns: The rows: texts, and labels under ``"label"``.
        settings: How.
        folder: Holds the checkpoints; the caller removes it in the end.
        evaluate: Held-out metrics, ``nDCG@10`` among them; ``None`` keeps the last weights.

    Raises:
        InvalidInputError: TSDAE needs a network that transformers can also run as a decoder.
    """
    with needs("tuning"):
        from datasets import Dataset  # type: ignore[import-untyped,unused-ignore]
        from transformers import EarlyStoppingCallback, PrinterCallback
    data = Dataset.from_dict(dict(columns))
    loss = _loss(network, method, settings)
    trainer_type = _trainer_type()
    trainer = trainer_type(
        model=network,
        args=_arguments(method, len(data), settings, folder, measured=evaluate is not None),
        train_dataset=data,
        loss=loss,
        evaluator=None if evaluate is None else _evaluator(evaluate),
        callbacks=[EarlyStoppingCallback(settings.early_stopping)] if evaluate and settings.early_stopping else [],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    return _outcome(trainer.state)


def steps(rows: int, settings: TuneSettings) -> int:
    """How many optimizer steps a run takes at most."""
    return settings.epochs * -(-rows // min(settings.batch_size, rows))


def _loss(network: SentenceTransformer, method: Method, settings: TuneSettings) -> nn.Module:
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import pairwise_cos_sim

    if method in ("contrastive", "simcse"):
        return losses.CachedMultipleNegativesRankingLoss(
            network, scale=1 / settings.temperature, mini_batch_size=settings.mini_batch
        )
    if method == "gpl":
        return losses.MarginMSELoss(network, lambda a, b: pairwise_cos_sim(a, b) / settings.temperature)
    if method == "distill":
        return losses.EmbedDistillLoss(network, distance_metric="cosine")
    try:
        with quiet_transformers():
            return losses.DenoisingAutoEncoderLoss(network)
    except (ValueError, AttributeError) as error:
        raise InvalidInputError("tsdae: transformers cannot run this network as a decoder as well") from error


def _arguments(method: Method, rows: int, settings: TuneSettings, folder: Path, *, measured: bool) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    cached = method in ("contrastive", "simcse")
    whole = min(settings.batch_size, rows)
    parts = 1 if cached else -(-whole // settings.mini_batch)
    when = "epoch" if settings.checkpoint_steps is None else "steps"
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=-(-whole // parts),
        gradient_accumulation_steps=parts,
        batch_sampler=BatchSamplers.NO_DUPLICATES if cached else BatchSamplers.BATCH_SAMPLER,
        warmup_steps=round(settings.warmup * steps(rows, settings)),
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        eval_strategy=when if measured else "no",
        eval_steps=settings.checkpoint_steps,
        save_strategy=when,
        save_steps=settings.checkpoint_steps or 500,
        save_total_limit=3,
        load_best_model_at_end=measured,
        metric_for_best_model="eval_nDCG@10" if measured else None,
        greater_is_better=True if measured else None,
        restore_callback_states_from_checkpoint=True,
        activation_checkpointing=settings.gradient_checkpointing,
        use_cpu=settings.device == "cpu",
        disable_tqdm=not sys.stderr.isatty(),
        logging_strategy="steps",
        logging_steps=max(1, steps(rows, settings) // 20),
        report_to="none",
        dataloader_pin_memory=False,
        **mixed_precision(settings.precision, settings.device),
    )


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


def _trainer_type() -> Any:
    """The trainer; its checkpoints hold the loss's own weights too (TSDAE's decoder) and are known to be whole."""
    from safetensors.torch import load_model, save_model
    from sentence_transformers import SentenceTransformerTrainer

    def loss_of(trainer: Any) -> nn.Module:
        """One loss, where the library allows one for each of several data sets."""
        loss: nn.Module = trainer.loss
        return loss

    class Trainer(SentenceTransformerTrainer):
        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 - theirs
            folder = Path(output_dir or str(self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_model(loss_of(self), str(folder / _WEIGHTS))

        def _load_from_checkpoint(self, checkpoint_path: str, model: Any = None) -> None:  # noqa: ARG002 - theirs
            load_model(loss_of(self), Path(checkpoint_path) / _WEIGHTS)

        def _load_best_model(self) -> None:
            self._load_from_checkpoint(str(self.state.best_model_checkpoint))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            (Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}" / _COMPLETE).touch()

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: Bedside writes its own card."""

    return Trainer


def _evaluator(evaluate: Callable[[SentenceTransformer], Mapping[str, float]]) -> Any:
    from sentence_transformers.base.evaluation import BaseEvaluator

    class Evaluator(BaseEvaluator):
        def __call__(self, model: Any, *_: Any, **__: Any) -> dict[str, float]:
            return dict(evaluate(model))

    return Evaluator()  # type: ignore[no-untyped-call]


def _last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; what a crash left half-written is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    for path in found:
        if not (path / _COMPLETE).is_file():
            shutil.rmtree(path)
    whole = [path for path in found if path.is_dir()]
    return str(whole[-1]) if whole else None


def _outcome(state: Any) -> Outcome:
    losses = tuple((entry["step"], entry["loss"]) for entry in state.log_history if "loss" in entry)
    history = tuple(
        (entry["step"], {key[5:]: value for key, value in entry.items() if key.startswith("eval_") and "@" in key})
        for entry in state.log_history
        if "eval_nDCG@10" in entry
    )
    return Outcome(state.global_step, losses, history, state.best_global_step or state.global_step)
