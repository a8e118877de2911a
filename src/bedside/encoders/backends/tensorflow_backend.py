"""TensorFlow: a SavedModel converted from the JAX network, run without JAX or torch.

Agrees with torch to 1e-5 in float32. Only plain BERT, as with JAX; transformers itself no longer speaks TensorFlow.
"""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import artefact
from bedside.encoders.backends.common import check_dtype, pieces
from bedside.encoders.checkpoint import read_json
from bedside.encoders.pooling import Pooling, pool
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.extras import needs
from bedside.types import Matrix

with needs("tensorflow"):
    tf: Any = import_module("tensorflow")

log = logging.getLogger(__name__)

DTYPES = ("auto", "float32")


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> TensorFlowBackend:
    """Open the SavedModel of ``folder``, converting it first (which needs JAX) if there is none."""
    check_dtype("tensorflow", dtype, DTYPES)
    target = choose_device(device)
    found = artefact(folder, "tensorflow", "float32", build)
    log.info("encoder on %s in float32 (device=%r, dtype=%r)", target, device, dtype)
    longest = int(read_json(folder / "config.json").get("max_position_embeddings", 512))
    with tf.device(target):
        return TensorFlowBackend(tf.saved_model.load(str(found)), target, longest)


def choose_device(device: str) -> str:
    """What TensorFlow calls a device; ``"auto"`` is the first GPU if it sees one.

    Raises:
        InvalidInputError: TensorFlow does not see it.
    """
    there = [found.device_type.lower() for found in tf.config.list_physical_devices()]
    wanted = (
        ("gpu" if "gpu" in there else "cpu") if device == "auto" else device.partition(":")[0].replace("cuda", "gpu")
    )
    if wanted not in there:
        raise InvalidInputError(
            f"tensorflow expects 'auto' or one of {sorted(set(there))} here", about=Give("device", device)
        )
    return f"/{wanted}:{device.partition(':')[2] or 0}"


def build(source: Path, target: Path) -> None:
    """Write the float32 network of the model folder ``source`` as a SavedModel into ``target``."""
    from bedside.encoders.backends import jax_backend

    with needs("jax"):
        jax2tf: Any = import_module("jax.experimental.jax2tf")
    shape = jax_backend.checked_shape(source)
    weights = jax_backend.read_weights(source, shape)
    module = tf.Module()
    module.weights = tf.nest.map_structure(tf.Variable, weights)
    converted = jax2tf.convert(
        partial(jax_backend.states, shape=shape),
        polymorphic_shapes=[None, "(b, t)", "(b, t)"],
        polymorphic_constraints=[f"t <= {len(weights['positions'])}"],
        with_gradient=False,
        native_serialization_platforms=["cpu", "cuda"],
    )
    module.states = tf.function(
        lambda ids, mask: converted(module.weights, ids, mask),
        autograph=False,
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.float32)],
    )
    tf.saved_model.save(module, str(target))


class TensorFlowBackend:
    """A loaded SavedModel; TensorFlow lets any number of threads call it.

    Attributes:
        batch_tokens: See :class:`bedside.encoders.backends.Backend`.
    """

    batch_tokens = 2048

    def __init__(self, module: Any, device: str, longest: int) -> None:
        self._module = module
        self._device = device
        self._longest = longest

    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        if self._module is None:
            raise InvalidModelError("this backend was closed")
        found = []
        with tf.device(self._device):
            for rows, some_ids, some_mask in pieces(ids, mask, self._longest):
                first, last = self._module.states(some_ids.astype(np.int32), some_mask)
                vectors: Matrix = pool(last.numpy(), some_mask, pooling, first.numpy())
                found.append(vectors[: rows.stop - rows.start])
        return np.concatenate(found)

    def close(self) -> None:
        """Release the weights."""
        self._module = None
