"""JAX: BERT written in JAX over the safetensors file, compiled by XLA for CPU, GPU or TPU.

Agrees with torch to 1e-5 in float32. Only plain BERT; other networks run with torch, onnx or openvino.
"""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import weight_files
from bedside.encoders.backends.common import check_dtype, pieces
from bedside.encoders.bert import BertShape, bert_shape, bert_tensors
from bedside.encoders.pooling import Pooling, pool
from bedside.encoders.tensors import read_tensors
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.extras import needs
from bedside.types import Matrix

with needs("jax"):
    jax: Any = import_module("jax")
    jnp: Any = import_module("jax.numpy")

log = logging.getLogger(__name__)

DTYPES = ("auto", "float32", "bfloat16")


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> JaxBackend:
    """Read the weights of ``folder`` onto a device; the first batch of each shape compiles the network.

    ``dtype="auto"`` is float32 on a CPU and bfloat16 on an accelerator.
    """
    target = choose_device(device)
    automatic = "float32" if target.platform == "cpu" else "bfloat16"
    kind = automatic if check_dtype("jax", dtype, DTYPES) == "auto" else dtype
    shape = checked_shape(folder)
    log.info("encoder on %s in %s (device=%r, dtype=%r)", target, kind, device, dtype)
    weights = jax.tree.map(lambda w: jax.device_put(w.astype(jnp.dtype(kind)), target), read_weights(folder, shape))
    return JaxBackend(weights, shape)


def choose_device(device: str) -> Any:
    """The first JAX device of a platform; ``"auto"`` is JAX's own choice: TPU, GPU, CPU.

    Raises:
        InvalidInputError: JAX sees no such device.
    """
    platform, _, index = device.partition(":")
    try:
        return jax.devices(None if device == "auto" else platform)[int(index or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        there = sorted({found.platform for found in jax.devices()})
        raise InvalidInputError(f"jax expects 'auto' or one of {there} here", about=Give("device", device)) from error


def checked_shape(folder: Path) -> BertShape:
    """The shape of a plain BERT that has its weights.

    Raises:
        InvalidModelError: another network, or a folder with exported networks alone.
    """
    shape = bert_shape(folder)
    if shape is None:
        raise InvalidModelError(f"{folder}: not a plain BERT; use backend='torch', 'onnx' or 'openvino'")
    if not weight_files(folder):
        raise InvalidModelError(f"{folder}: no safetensors weights in it; this backend starts from them")
    return shape


def read_weights(folder: Path, shape: BertShape) -> dict[str, Any]:
    """The tensors of a folder; those of the layers are stacked ``[layers, ...]`` under ``"layers"``.

    The segment embedding, always the first, is added to the positions.
    """
    found: dict[str, Any] = {}
    for file in folder.glob("model*.safetensors"):
        found |= read_tensors(file)
    tensors = bert_tensors(folder, found, shape)
    names = [name.removeprefix("encoder.layer.0.") for name in tensors if name.startswith("encoder.layer.0.")]
    stacks = {name: np.stack([tensors[f"encoder.layer.{i}.{name}"] for i in range(shape.layers)]) for name in names}
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.")}
    segment = plain.pop("embeddings.token_type_embeddings.weight")[0]
    plain["positions"] = plain.pop("embeddings.position_embeddings.weight") + segment
    return {**plain, "layers": stacks}


def states(weights: Any, ids: Any, mask: Any, *, shape: BertShape) -> tuple[Any, Any]:
    """Hidden states float32 ``[b, t, d]`` of the first and of the last layer; a pure function, without dropout.

    In bfloat16 only the matrix products are so; sums and norms between them stay in float32.

    The layers are one compiled loop over their stacked weights: XLA compiles one layer instead of all of them.
    """
    x = weights["embeddings.word_embeddings.weight"][ids] + weights["positions"][: ids.shape[1]]
    x = _norm(weights, "embeddings.LayerNorm", x.astype(jnp.float32), shape)
    bias = ((mask - 1.0) * 1e9)[:, None, None, :]

    def step(carry: Any, layer: Any) -> tuple[Any, None]:
        at, before, first = carry
        after = _layer(layer, before, bias, shape)
        return (at + 1, after, jnp.where(at == 0, after, first)), None

    (_, last, first), _ = jax.lax.scan(step, (0, x, x), weights["layers"])
    return first, last


def _layer(w: Any, x: Any, bias: Any, shape: BertShape) -> Any:
    b, t, d = x.shape
    kind = w["output.dense.weight"].dtype
    q, k, v = (
        _linear(w, f"attention.self.{part}", x).astype(kind).reshape(b, t, shape.heads, d // shape.heads)
        for part in ("query", "key", "value")
    )
    scores = jnp.einsum("bqhe,bkhe->bhqk", q, k, preferred_element_type=jnp.float32)
    shares = jax.nn.softmax(scores * (d // shape.heads) ** -0.5 + bias).astype(kind)
    mixed = jnp.einsum("bhqk,bkhe->bqhe", shares, v).reshape(b, t, d)
    x = _norm(w, "attention.output.LayerNorm", _linear(w, "attention.output.dense", mixed) + x, shape)
    inner = jax.nn.gelu(_linear(w, "intermediate.dense", x), approximate=shape.gelu == "tanh")
    return _norm(w, "output.LayerNorm", _linear(w, "output.dense", inner) + x, shape)


def _linear(w: Any, name: str, x: Any) -> Any:
    weight = w[f"{name}.weight"]
    return jnp.matmul(x.astype(weight.dtype), weight.T, preferred_element_type=jnp.float32) + w[f"{name}.bias"]


def _norm(w: Any, name: str, x: Any, shape: BertShape) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    scaled = centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + shape.epsilon)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def _pooled(weights: Any, ids: Any, mask: Any, *, shape: BertShape, pooling: Pooling) -> Any:
    first, last = states(weights, ids, mask, shape=shape)
    return pool(last.astype(jnp.float32), mask, pooling, first.astype(jnp.float32))


class JaxBackend:
    """Weights on a device and a compiled function; JAX lets any number of threads call it.

    Attributes:
        batch_tokens: See :class:`bedside.encoders.backends.Backend`.
    """

    batch_tokens = 2048

    def __init__(self, weights: dict[str, Any], shape: BertShape) -> None:
        self._weights: dict[str, Any] | None = weights
        self._longest = len(weights["positions"])
        self._run = jax.jit(partial(_pooled, shape=shape), static_argnames="pooling")

    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        if self._weights is None:
            raise InvalidModelError("this backend was closed")
        found = []
        with jax.default_matmul_precision("highest"):  # accelerators otherwise round float32 products to fewer bits
            for rows, some_ids, some_mask in pieces(ids, mask, self._longest):
                vectors = self._run(self._weights, some_ids.astype(np.int32), some_mask, pooling=pooling)
                found.append(np.asarray(vectors)[: rows.stop - rows.start])
        return np.concatenate(found)

    def close(self) -> None:
        """Release the weights."""
        self._weights = None
