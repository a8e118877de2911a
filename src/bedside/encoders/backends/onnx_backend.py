"""ONNX Runtime: an exported network without torch.

The float32 network agrees with torch to 1e-5; int8 (weights per channel, activations as they come) is made on request
only, see :func:`bedside.encoders.export.export_model`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import artefact
from bedside.encoders.backends.common import check_dtype
from bedside.encoders.backends.untracked import untracked_import
from bedside.encoders.pooling import Pooling, pool
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.extras import needs
from bedside.support.progress import waiting
from bedside.types import Matrix

ort = untracked_import("onnxruntime", "onnx")

log = logging.getLogger(__name__)

MODEL = "model.onnx"
DTYPES = ("auto", "float32", "int8")
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> OnnxBackend:
    """Open the exported network of ``folder``, exporting it first if there is none.

    ``dtype="auto"`` is float32, whatever else the folder holds.
    """
    kind = "float32" if check_dtype("onnx", dtype, DTYPES) == "auto" else dtype
    providers = choose_providers(device)
    file = artefact(folder, "onnx", kind, build if kind == "float32" else None) / MODEL
    log.info("encoder on %s in %s (device=%r, dtype=%r)", providers[0], kind, device, dtype)
    ort.disable_telemetry_events()  # where the program had imported onnxruntime before
    try:
        return OnnxBackend(ort.InferenceSession(str(file), providers=providers))
    except Exception as error:  # onnxruntime's errors share no base class
        raise InvalidModelError(f"{file}: onnxruntime cannot load it ({type(error).__name__})") from error


def choose_providers(device: str) -> list[str]:
    """What onnxruntime calls a device; ``"auto"`` takes CUDA where this onnxruntime has it.

    Raises:
        InvalidInputError: this onnxruntime cannot run there.
    """
    there = {name: provider for name, provider in _PROVIDERS.items() if provider in ort.get_available_providers()}
    if device == "auto":
        return [there[name] for name in ("cuda", "cpu") if name in there]
    if device not in there:
        raise InvalidInputError(
            f"onnxruntime expects 'auto' or one of {sorted(there)} here", about=Give("device", device)
        )
    return [there[device]]


def build(source: Path, target: Path) -> None:
    """Write the float32 network of the model folder ``source`` into ``target``."""
    from bedside.encoders.backends.onnx_export import export_graph  # torch, onnx and onnxscript: for exporting only

    export_graph(source, target / MODEL)


def quantise(source: Path, target: Path, batches: Sequence[Any]) -> None:  # noqa: ARG001 - as in openvino
    """Write the int8 network of the model folder ``source`` into ``target``: dynamic, per output channel.

    Activations are scaled as they come, so ``batches`` are not used. Weights keep seven bits, since sums of eight
    overflow on processors without VNNI; the word embeddings are quantised too. On MiniLM, 200 texts of medquad: mean
    cosine 0.994 (0.955 per tensor), a quarter of the size.
    """
    with needs("export"):
        onnx: Any = import_module("onnx")
        quantization: Any = import_module("onnxruntime.quantization")
    model = onnx.load(artefact(source, "onnx", "float32", build) / MODEL)
    # torch's exporter has inferred shapes and folded constants: saying so spares a warning through the root logger.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with waiting("quantising"):
        quantization.quantize_dynamic(
            model,
            target / MODEL,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


class OnnxBackend:
    """A session; onnxruntime lets any number of threads run it.

    Attributes:
        batch_tokens: See :class:`bedside.encoders.backends.Backend`.
    """

    batch_tokens = 512  # one core, full BERT, tokens per CPU second: 593, 579 at 1,024, 487 at 2,048

    def __init__(self, session: Any) -> None:
        self._session = session

    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        if self._session is None:
            raise InvalidModelError("this backend was closed")
        names = ["last", "first"] if pooling == "first-last-mean" else ["last"]
        states = self._session.run(names, {"input_ids": ids, "attention_mask": mask})
        vectors: Matrix = pool(states[0], mask, pooling, states[-1])
        return vectors

    def close(self) -> None:
        """Release the weights."""
        self._session = None
