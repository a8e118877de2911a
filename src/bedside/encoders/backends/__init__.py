"""The seam between an encoder and what runs its network.

A backend is an object with one method that turns token ids into pooled vectors::

    class Backend(Protocol):
        batch_tokens: int
        def pooled(self, ids, mask, pooling) -> Matrix: ...
        def close(self) -> None: ...

``ids`` is int64 ``[b, t]``, padded; ``mask`` float32 ``[b, t]``, 1 for a token and 0 for padding. The result is float32
``[b, d]``, neither normalised nor calibrated: the encoder does that for all backends, as it does tokenising,
windows, batching and order. :func:`bedside.encoders.pooling.pool` pools the hidden states of any array library. It
must be safe to call from several threads and give the same row whatever else is in the batch (1e-6 in float32).

To add one: a file with ``load(folder: Path, *, device: str, dtype: str) -> Backend`` that reads
``folder/config.json`` and ``folder/model*.safetensors`` (tensor names as in :mod:`bedside.encoders.bert`), and a line
in the table below. ``folder`` needs no network. It holds safetensors, unless it was exported without them: then
:func:`bedside.encoders.artefacts.artefact` finds the exported network, as it does for backends that run nothing else.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.pooling import Pooling
from bedside.errors import InvalidInputError
from bedside.remedies import Give
from bedside.types import Matrix

_BACKENDS = {
    "torch": "bedside.encoders.backends.torch_backend",
    "onnx": "bedside.encoders.backends.onnx_backend",
    "openvino": "bedside.encoders.backends.openvino_backend",
    "jax": "bedside.encoders.backends.jax_backend",
    "tensorflow": "bedside.encoders.backends.tensorflow_backend",
}


class Backend(Protocol):
    """What runs a network; see the module's description.

    Attributes:
        batch_tokens: Most tokens per batch, padding included, at which it is fastest.
    """

    batch_tokens: int

    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        ...

    def close(self) -> None:
        """Release the weights."""
        ...


def check_backend(name: str) -> str:
    """Return ``name`` if there is such a backend.

    Raises:
        InvalidInputError: there is not.
    """
    if name not in tuple(_BACKENDS):  # a tuple can also be asked about what has no hash
        raise InvalidInputError(
            f"expected one of {', '.join(map(repr, sorted(_BACKENDS)))}", about=Give("backend", name)
        )
    return name


def open_backend(name: str, folder: Path, *, device: str, dtype: str) -> Backend:
    """Import the backend's library and load the weights of ``folder`` into it.

    Raises:
        MissingExtraError: its library is not installed.
        InvalidModelError: the folder's network cannot be run by it.
        InvalidInputError: no such backend, device or dtype.
    """
    backend: Backend = backend_module(name).load(folder, device=device, dtype=dtype)
    return backend


def backend_module(name: str) -> Any:
    """The module of a backend, its library imported.

    Raises:
        InvalidInputError: no such backend.
        MissingExtraError: its library is not installed.
    """
    return import_module(_BACKENDS[check_backend(name)])
