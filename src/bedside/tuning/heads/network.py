"""The network of a task: transformers' own heads on the encoder, with torch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.backends.library import open_library
from bedside.encoders.backends.torch_backend import choose_device
from bedside.encoders.quiet import quiet_transformers
from bedside.support.extras import needs
from bedside.tuning.heads.batching import arrays, batched
from bedside.tuning.heads.settings import TaskSettings
from bedside.tuning.heads.task import Logits
from bedside.tuning.heads.tokens import Row
from bedside.tuning.trainer import adapters

with needs("transformers"):
    import torch
    from torch import Tensor


def open_model(
    folder: Path,
    architecture: str,
    outputs: Sequence[str] | None = None,
    *,
    seed: int = 0,
    attention: str | None = None,
) -> Any:
    """Load one of transformers' heads on a model folder; a head that the folder lacks gets seeded random weights.

    Args:
        folder: A model folder with safetensors weights.
        architecture: The head, such as ``"TokenClassification"``.
        outputs: Names of its outputs; ``None`` takes those of the folder.
        seed: Of weights that the folder lacks; the caller's random state is left as it was.
        attention: What transformers is to compute attention with; ``None`` leaves it to choose.

    Raises:
        InvalidModelError: transformers cannot load the folder.
    """
    names: dict[str, Any] = {}
    if outputs is not None:
        names = {"id2label": dict(enumerate(outputs)), "label2id": {name: i for i, name in enumerate(outputs)}}
    names |= {"attn_implementation": attention, "ignore_mismatched_sizes": outputs is not None}
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(seed)
        return open_library(folder, f"For{architecture}", dtype=torch.float32, **names)


def with_adapters(model: Any, settings: TaskSettings) -> Any:
    """Freeze ``model`` and put low-rank adapters on the encoder's linear layers; the head is trained as a whole."""
    body = model.base_model_prefix
    heads = [name for name, part in model.named_children() if name != body and any(True for _ in part.parameters())]
    pooler = [f"{body}.pooler"] if getattr(getattr(model, body), "pooler", None) is not None else []
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and name.startswith(f"{body}.") and ".pooler." not in name
    ]
    return adapters(model, settings, target_modules=linear, modules_to_save=[*heads, *pooler])


class TorchNetwork:
    """Runs a model on rows, whatever it is being used for otherwise: its training mode is put back."""

    def __init__(self, model: Any, pad_id: int, device: str | None = None) -> None:
        self.model, self._pad_id = model, pad_id
        if device is not None:
            model.to(choose_device(device))
        self._with_types = takes_types(model)

    def logits(self, rows: Sequence[Row]) -> list[Logits]:
        """See :class:`bedside.tuning.heads.task.Network`."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                return batched(rows, self._pad_id, types=self._with_types, run=self._run)
        finally:
            self.model.train(training)

    def _run(self, batch: dict[str, NDArray[np.int64]]) -> Logits:
        device = next(self.model.parameters()).device
        given = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
        scores: Logits = stacked(self.model(**given)).float().cpu().numpy()
        return scores


def inputs(rows: Sequence[Row], pad_id: int, *, types: bool) -> dict[str, Tensor]:
    """Rows as the padded batch that transformers' models take."""
    return {name: torch.from_numpy(array) for name, array in arrays(rows, pad_id, types=types).items()}


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
