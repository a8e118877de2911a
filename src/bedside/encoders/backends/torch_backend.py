"""PyTorch on a CPU or an accelerator: plain BERT by a forward pass of our own, every other network by transformers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.backends.library import open_library
from bedside.encoders.backends.torch_linear import Linear, pack_all, packs
from bedside.encoders.bert import BertShape, bert_shape, bert_tensors
from bedside.encoders.pooling import Pooling, pool
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.extras import needs
from bedside.types import Matrix

with needs("transformers"):
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that every torch user reads
    from torch import Tensor

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_Pair: TypeAlias = tuple[Tensor, Tensor]


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> TorchBackend:
    """Load a model folder; see :func:`bedside.encoders.backends.open_backend`."""
    target = choose_device(device)
    kind = choose_dtype(dtype, target)
    log.info("encoder on %s in %s (device=%r, dtype=%r)", target, kind, device, dtype)
    return TorchBackend(open_network(folder, target, kind), target)


def open_network(folder: Path, device: torch.device, dtype: torch.dtype) -> Bert | _Library:
    """The network of a model folder: ids and mask to the hidden states of its first and last layer."""
    shape = bert_shape(folder)
    return _Library(folder, device, dtype) if shape is None else Bert(folder, shape, device, dtype)


def choose_device(device: str) -> torch.device:
    """``"auto"``: CUDA where there is one, then Apple's MPS, then the CPU.

    Raises:
        InvalidInputError: torch does not know the device, or it is not there.
    """
    if device == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
        return torch.device(found)
    try:
        target = torch.device(device)
        torch.empty(1, device=target)
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if _has_mps() else [])]
        raise InvalidInputError(
            f"torch cannot use it here; it can use {' and '.join(there)}", about=Give("device", device)
        ) from error
    return target


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``"auto"``: bfloat16 on matrix units that have it, float16 on older GPUs, float32 elsewhere.

    On a CPU only AMX tiles make bfloat16 pay: relative to float32 it ran 4.8 times as fast with them, 0.71 times with
    AVX512_BF16 alone, 0.25 and 0.17 times on AVX-512 and AVX2.

    Raises:
        InvalidInputError: no such dtype.
    """
    if dtype != "auto":
        if dtype not in _DTYPES:
            raise InvalidInputError(
                f"expected 'auto' or one of {', '.join(map(repr, _DTYPES))}", about=Give("dtype", dtype)
            )
        return _DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and has_amx_bf16() else torch.float32


def has_amx_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in AMX tiles and the kernel lets torch use them."""
    try:
        flags = Path("/proc/cpuinfo").read_text("ascii", errors="ignore").split()
    except OSError:  # not Linux: Windows and macOS run no AMX in torch
        return False
    return "amx_bf16" in flags and bool(torch.cpu._is_amx_tile_supported())


class TorchBackend:
    """A network on one device; safe to call from several threads.

    Attributes:
        batch_tokens: 1,024 on a CPU, where larger batches leave the caches (full BERT, 2 cores, tokens a second:
            892 at 512, 994 at 1,024, 914 at 2,048, 504 at 8,192); enough to fill an accelerator elsewhere.
    """

    def __init__(self, network: Bert | _Library, device: torch.device) -> None:
        self.batch_tokens = 1024 if device.type == "cpu" else 32_768
        self._network: Bert | _Library | None = network
        self._device = device

    @torch.inference_mode()
    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        if self._network is None:
            raise InvalidModelError("this backend was closed")
        keep = torch.from_numpy(mask).to(self._device)
        first, last = self._network(torch.from_numpy(ids).to(self._device), None if mask.all() else keep.bool())
        vectors: Tensor = pool(last.float(), keep, pooling, first.float())
        return vectors.cpu().numpy()

    def close(self) -> None:
        """Release the weights."""
        self._network = None


class Bert:
    """BERT's encoder (Devlin et al. 2019) over tensors of a safetensors file, without dropout, pooler or heads.

    Query, key and value are one matrix product, and a batch without padding runs without a mask. In half precision only
    the matrix products and attention are so; sums and norms between them stay in float32.
    """

    def __init__(self, folder: Path, shape: BertShape, device: torch.device, dtype: torch.dtype) -> None:
        tensors = bert_tensors(folder, read_weights(folder), shape)
        tensors = _joined({name: t.to(device, dtype) for name, t in tensors.items()}, shape.layers)
        matrices = [name.removesuffix(".weight") for name, t in tensors.items() if _is_matrix(name, t)]
        packed = packs(device, dtype)
        self._linear = {
            name: Linear(tensors.pop(name + ".weight"), tensors.pop(name + ".bias"), packed=packed) for name in matrices
        }
        self._w = {name: t.float() if "LayerNorm" in name else t for name, t in tensors.items()}
        self._shape = shape
        self._gelu = "none" if shape.gelu == "erf" else "tanh"

    @property
    def word_embeddings(self) -> Tensor:
        """``[vocabulary, d]``."""
        return self._w["embeddings.word_embeddings.weight"]

    def __call__(self, ids: Tensor, keep: Tensor | None) -> _Pair:
        """Hidden states ``[b, t, d]`` of the first and of the last layer."""
        w = self._w
        x = F.embedding(ids, w["embeddings.word_embeddings.weight"]) + w["positions"][: ids.shape[1]]
        x = self._norm(x.float(), "embeddings.LayerNorm")
        mask = None if keep is None else keep[:, None, None, :]
        first = x
        for i in range(self._shape.layers):
            x = self._layer(x, mask, f"encoder.layer.{i}.")
            first = x if i == 0 else first
        return first, x

    def _layer(self, x: Tensor, mask: Tensor | None, at: str) -> Tensor:
        b, t, d = x.shape
        heads = self._shape.heads
        linear = self._linear
        q, k, v = linear[at + "qkv"](x).view(b, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, t, d)
        x = self._norm(linear[at + "attention.output.dense"](mixed) + x, at + "attention.output.LayerNorm")
        inner = linear[at + "intermediate.dense"](x, self._gelu)
        return self._norm(linear[at + "output.dense"](inner) + x, at + "output.LayerNorm")

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._w[name + ".weight"], self._w[name + ".bias"], self._shape.epsilon)


class _Library:
    """Any other architecture, through transformers' ``AutoModel`` on local files."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self._model: Any = open_library(folder, dtype=dtype)
        self._model.eval().to(device)
        if packs(device, dtype):
            pack_all(self._model)

    def __call__(self, ids: Tensor, keep: Tensor | None) -> _Pair:
        """Hidden states ``[b, t, d]`` of the first and of the last layer."""
        attention = torch.ones_like(ids) if keep is None else keep.long()
        out = self._model(input_ids=ids, attention_mask=attention, output_hidden_states=True)
        return out.hidden_states[1], out.last_hidden_state


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder, mapped from its files.

    Raises:
        InvalidModelError: a file is damaged.
    """
    with needs("transformers"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        try:
            tensors.update(load_file(file))
        except SafetensorError as error:
            raise InvalidModelError(f"{file}: damaged ({error})") from error
    return tensors


def _is_matrix(name: str, tensor: Tensor) -> bool:
    return name.startswith("encoder.") and name.endswith(".weight") and tensor.ndim == 2


def _joined(tensors: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Put query, key and value into one matrix per layer, and the segment embedding (always 0) into the positions."""
    types = tensors.pop("embeddings.token_type_embeddings.weight")
    tensors["positions"] = tensors.pop("embeddings.position_embeddings.weight") + types[0]
    for i in range(layers):
        at = f"encoder.layer.{i}."
        for end in (".weight", ".bias"):
            parts = [tensors.pop(f"{at}attention.self.{part}{end}") for part in ("query", "key", "value")]
            tensors[f"{at}qkv{end}"] = torch.cat(parts)
    return tensors
