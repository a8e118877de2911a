"""The network of a task: transformers' own heads on the encoder, with torch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.encoders.backends.torch_backend import choose_device
from bedside.encoders.extras import needs
from bedside.encoders.progress import progress
from bedside.encoders.windows import batches, padded
from bedside.errors import InvalidModelError
from bedside.tuning.quiet import quiet_transformers
from bedside.tuning.tasks.task import Logits
from bedside.tuning.tasks.tokens import Row

with needs("transformers"):
    import torch
    import transformers
    from torch import Tensor

_BATCH_TOKENS = 2_048


def open_model(folder: Path, architecture: str, outputs: Sequence[str] | None = None, *, seed: int = 0) -> Any:
    """Load one of transformers' heads on a model folder; a head that the folder lacks gets seeded random weights.

    Args:
        folder: A model folder with safetensors weights.
        architecture: The head, such as ``"TokenClassification"``.
        outputs: Names of its outputs; ``None`` takes those of the folder.
        seed: Of weights that the folder lacks; the caller's random state is left as it was.

    Raises:
        InvalidModelError: transformers cannot load the folder.
    """
    auto: Any = getattr(transformers, f"AutoModelFor{architecture}")
    names: dict[str, Any] = {}
    if outputs is not None:
        names = {"id2label": dict(enumerate(outputs)), "label2id": {name: i for i, name in enumerate(outputs)}}
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(seed)
        try:
            return auto.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=outputs is not None,
                **names,
            )
        except (OSError, ValueError, KeyError) as error:
            raise InvalidModelError(f"{folder}: transformers cannot load it ({type(error).__name__})") from error


class TorchNetwork:
    """Runs a model on rows, whatever it is being used for otherwise: its training mode is put back."""

    def __init__(self, model: Any, pad_id: int, device: str | None = None) -> None:
        self.model, self._pad_id = model, pad_id
        if device is not None:
            model.to(choose_device(device))
        self._with_types = takes_types(model)

    def logits(self, rows: Sequence[Row]) -> list[Logits]:
        """See :class:`bedside.tuning.tasks.task.Network`."""
        found: list[Logits] = [None] * len(rows)  # type: ignore[list-item]
        training = self.model.training
        self.model.eval()
        lengths = [len(row.ids) for row in rows]
        try:
            with progress(sum(lengths), "predicting", "token") as advance, torch.inference_mode():
                for chosen in batches(lengths, _BATCH_TOKENS):
                    scores = stacked(self.model(**self._batch([rows[i] for i in chosen]))).float().cpu().numpy()
                    for i, own in zip(chosen, scores, strict=True):
                        found[i] = own if own.ndim == 1 else own[: lengths[i]]
                    advance(sum(lengths[i] for i in chosen))
        finally:
            self.model.train(training)
        return found

    def _batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        return {name: tensor.to(device) for name, tensor in inputs(rows, self._pad_id, types=self._with_types).items()}


def inputs(rows: Sequence[Row], pad_id: int, *, types: bool) -> dict[str, Tensor]:
    """Rows as the padded batch that transformers' models take."""
    ids, mask = padded([row.ids for row in rows], pad_id)
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask).long()}
    if types:
        batch["token_type_ids"] = torch.from_numpy(padded([row.types for row in rows], 0)[0])
    return batch


def takes_types(model: Any) -> bool:
    """Whether a model tells the two texts of a pair apart by segment."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "token_type_ids" in inspect.signature(inner.forward).parameters and model.config.type_vocab_size > 1


def stacked(outputs: Any) -> Tensor:
    """The scores of a model's output: start and end as the last axis where it has these two."""
    if getattr(outputs, "start_logits", None) is None:
        logits: Tensor = outputs.logits
        return logits
    return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
