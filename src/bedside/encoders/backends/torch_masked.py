"""A masked language model's head on top of the torch backend's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.backends.library import open_library
from bedside.encoders.backends.torch_backend import Bert, choose_device, choose_dtype, read_weights
from bedside.encoders.bert import bert_shape, modern
from bedside.errors import InvalidModelError
from bedside.support.extras import needs
from bedside.types import Matrix

with needs("transformers"):
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that every torch user reads
    from torch import Tensor

_HEAD = "cls.predictions."
_PARTS = ("transform.dense.weight", "transform.dense.bias", "transform.LayerNorm.weight", "transform.LayerNorm.bias")


def load_masked(folder: Path, *, device: str, dtype: str) -> TorchMasked:
    """Load a checkpoint with its head.

    Raises:
        InvalidModelError: the checkpoint has no head for masked prediction, or cannot be loaded.
        InvalidInputError: no such device or dtype.
    """
    target = choose_device(device)
    kind = choose_dtype(dtype, target)
    own = bert_shape(folder) is not None
    return TorchMasked((_BertHead if own else _LibraryHead)(folder, target, kind), target)


class TorchMasked:
    """Log-probabilities of the vocabulary at one position of each row; safe to call from several threads."""

    def __init__(self, network: _BertHead | _LibraryHead, device: torch.device) -> None:
        self._network = network
        self._device = device

    @torch.inference_mode()
    def log_probabilities(
        self, ids: NDArray[np.int64], mask: NDArray[np.float32], positions: NDArray[np.intp]
    ) -> Matrix:
        """Run one padded batch.

        Args:
            ids: ``[b, t]``.
            mask: ``[b, t]``: 1 for a token, 0 for padding.
            positions: ``[b]``: the column that is asked in each row.

        Returns:
            ``[b, vocabulary]`` natural logarithms.
        """
        keep = None if mask.all() else torch.from_numpy(mask).to(self._device).bool()
        asked = torch.from_numpy(positions).to(self._device)
        logits = self._network(torch.from_numpy(ids).to(self._device), keep, asked)
        return logits.float().log_softmax(-1).cpu().numpy()


class _BertHead:
    """BERT's head: a dense layer, GELU, layer normalisation, and the word embeddings as output matrix."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        shape = bert_shape(folder)
        tensors = {modern(name): tensor for name, tensor in read_weights(folder).items() if name.startswith(_HEAD)}
        missing = [part for part in (*_PARTS, "bias") if _HEAD + part not in tensors]
        if missing or shape is None:
            raise InvalidModelError(f"{folder}: it has no head for masked prediction ({_HEAD}* is not in its weights)")
        self._body = Bert(folder, shape, device, dtype)
        self._w = {name.removeprefix(_HEAD): t.to(device, dtype) for name, t in tensors.items()}
        self._out = self._w.get("decoder.weight", self._body.word_embeddings)
        self._gelu = "none" if shape.gelu == "erf" else "tanh"
        self._epsilon = shape.epsilon

    def __call__(self, ids: Tensor, keep: Tensor | None, asked: Tensor) -> Tensor:
        last = self._body(ids, keep)[1][torch.arange(len(ids), device=ids.device), asked]
        dense_weight, dense_bias, norm_weight, norm_bias = (self._w[part] for part in _PARTS)
        x = F.gelu(F.linear(last.to(dense_weight.dtype), dense_weight, dense_bias), approximate=self._gelu)
        x = F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, self._epsilon)
        return F.linear(x, self._out, self._w["bias"])


class _LibraryHead:
    """Any other architecture, through transformers' ``AutoModelForMaskedLM`` on local files."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self._model: Any = open_library(folder, "ForMaskedLM", dtype=dtype)
        self._model.eval().to(device)

    def __call__(self, ids: Tensor, keep: Tensor | None, asked: Tensor) -> Tensor:
        attention = torch.ones_like(ids) if keep is None else keep.long()
        logits: Tensor = self._model(input_ids=ids, attention_mask=attention).logits
        return logits[torch.arange(len(ids), device=ids.device), asked]
