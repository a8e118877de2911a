"""What each method learns by, and sentence-transformers' own trainer, which saves all that a loss has learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.encoders.quiet import quiet_transformers
from bedside.errors import InvalidInputError
from bedside.support.extras import needs
from bedside.tuning.retrieval.rows import Columns, Data
from bedside.tuning.retrieval.settings import Method, TuneSettings
from bedside.tuning.trainer import Batches, Course, run_trainer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

_WEIGHTS = "weights.safetensors"
_CACHED: tuple[Method, ...] = ("contrastive", "simcse")  # their loss cuts a batch itself, and caches its gradients


def train(
    network: SentenceTransformer,
    data: Data,
    columns: Columns,
    folder: Path,
    measure: Callable[[], Mapping[str, float]] | None,
) -> Course:
    """Train a network in place; see :func:`bedside.tuning.trainer.run_trainer`.

    Args:
        network: From :func:`bedside.tuning.retrieval.network.open_network`.
        data: How: its method chooses the loss.
        columns: The rows: texts, and labels under ``"label"``.
        folder: For checkpoints.
        measure: Held-out metrics, ``nDCG@10`` among them; ``None`` keeps the last weights.

    Raises:
        InvalidInputError: TSDAE needs a network that transformers can also run as a decoder.
    """
    with needs("tuning"):
        from datasets import Dataset  # type: ignore[import-untyped,unused-ignore]
        from sentence_transformers import SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer.training_args import BatchSamplers
    method, settings, rows = data.method, data.settings, Dataset.from_dict(columns)
    own = {
        "batch_sampler": BatchSamplers.NO_DUPLICATES if method in _CACHED else BatchSamplers.BATCH_SAMPLER,
        "activation_checkpointing": settings.gradient_checkpointing,
    }
    return run_trainer(
        _trainer_type(),
        SentenceTransformerTrainingArguments,
        settings,
        folder,
        in_batches(data, len(rows)),
        measure,
        "nDCG@10",
        arguments=own,
        model=network,
        train_dataset=rows,
        loss=_loss(network, method, settings),
    )


def in_batches(data: Data, rows: int) -> Batches:
    """The batches of a run: as large as asked for, or several small ones whose gradients are added up."""
    method, settings = data.method, data.settings
    whole = min(settings.batch_size, rows)
    parts = 1 if method in _CACHED else -(-whole // settings.mini_batch)
    return Batches(rows, -(-whole // parts), parts)


def _loss(network: SentenceTransformer, method: Method, settings: TuneSettings) -> nn.Module:
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import pairwise_cos_sim

    if method in _CACHED:
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


def _trainer_type() -> type[Any]:
    """The trainer; its checkpoints hold the loss's own weights too, such as TSDAE's decoder."""
    from safetensors.torch import load_model, save_model
    from sentence_transformers import SentenceTransformerTrainer

    class Trainer(SentenceTransformerTrainer):
        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 - theirs
            folder = Path(output_dir or str(self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            loss: Any = self.loss
            save_model(loss, str(folder / _WEIGHTS))

        def _load_from_checkpoint(self, checkpoint_path: str, model: Any = None) -> None:  # noqa: ARG002 - theirs
            loss: Any = self.loss
            load_model(loss, Path(checkpoint_path) / _WEIGHTS)

        def _load_best_model(self) -> None:
            self._load_from_checkpoint(str(self.state.best_model_checkpoint))

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: Bedside writes its own card."""

    return Trainer
