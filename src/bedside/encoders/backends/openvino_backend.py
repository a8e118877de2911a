"""OpenVINO: an exported network without torch, in float32, bfloat16 or int8.

float32 agrees with torch to 1e-5. bfloat16 is a way of running the float32 network, int8 a network of its own that is
made on request only, see :func:`bedside.encoders.export.export_model`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import artefact
from bedside.encoders.backends.common import check_dtype, has_processor_flag
from bedside.encoders.backends.untracked import untracked_import
from bedside.encoders.pooling import Pooling, pool
from bedside.errors import InvalidInputError, InvalidModelError
from bedside.remedies import Give
from bedside.support.fork import in_each_process
from bedside.types import Matrix

log = logging.getLogger(__name__)

ov = untracked_import("openvino", "openvino")

MODEL = "model.xml"
DTYPES = ("auto", "float32", "bfloat16", "int8")


def load(folder: Path, *, device: str = "auto", dtype: str = "auto") -> OpenVinoBackend:
    """Open the converted network of ``folder``, converting it first if there is none.

    ``dtype="auto"`` is bfloat16 on a CPU with AMX tiles and float32 elsewhere; never int8, whatever the folder holds.
    """
    check_dtype("openvino", dtype, DTYPES)
    core = ov.Core()
    target = choose_device(core, device)
    kind = _auto(target) if dtype == "auto" else dtype
    int8 = kind == "int8"
    file = artefact(folder, "openvino", "int8" if int8 else "float32", None if int8 else build) / MODEL
    log.info("encoder on %s in %s (device=%r, dtype=%r)", target, kind, device, dtype)
    hints = {"INFERENCE_PRECISION_HINT": "bf16" if kind == "bfloat16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    try:
        return OpenVinoBackend(core.compile_model(core.read_model(file), target, hints))
    except RuntimeError as error:
        raise InvalidModelError(f"{file}: openvino cannot load it ({str(error).splitlines()[0]})") from error


def choose_device(core: Any, device: str) -> str:
    """What OpenVINO calls a device; ``"auto"`` is the CPU.

    Raises:
        InvalidInputError: OpenVINO does not see it.
    """
    there = core.available_devices
    wanted = "CPU" if device == "auto" else device.upper()
    if wanted not in there:
        raise InvalidInputError(f"openvino expects 'auto' or one of {sorted(there)} here", about=Give("device", device))
    return wanted


def build(source: Path, target: Path) -> None:
    """Write the float32 network of the model folder ``source`` into ``target``."""
    ov.save_model(_graph(source), target / MODEL, compress_to_fp16=False)


def quantise(source: Path, target: Path, batches: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> None:
    """Write the int8 network of ``source`` into ``target``, calibrated on batches of ids and masks.

    Weights per channel, activations by the ranges seen on the batches, with NNCF's correction of biases and its
    smoothing for transformers. On MiniLM, calibrated on 200 texts of medquad: mean cosine 0.997 on 200 others.
    """
    nncf = untracked_import("nncf", "export")
    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset([{"input_ids": ids, "attention_mask": mask} for ids, mask in batches])
    network = _graph(source)
    with redirect_stdout(sys.stderr):  # its progress bars, which would go into what the program prints
        model = nncf.quantize(network, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches))
    ov.save_model(model, target / MODEL, compress_to_fp16=False)


def _graph(source: Path) -> Any:
    from bedside.encoders.backends import onnx_backend

    return ov.Core().read_model(artefact(source, "onnx", "float32", onnx_backend.build) / onnx_backend.MODEL)


def _auto(device: str) -> str:
    return "bfloat16" if device == "CPU" and has_processor_flag("amx_bf16") else "float32"


class OpenVinoBackend:
    """A compiled network; threads take turns, since one request already uses every core.

    Attributes:
        batch_tokens: See :class:`bedside.encoders.backends.Backend`.
    """

    batch_tokens = 512  # one core, full BERT, tokens per CPU second: 1,016, 917 at 1,024, 751 at 2,048

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()
        in_each_process(self._make_lock)

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    def pooled(self, ids: NDArray[np.int64], mask: NDArray[np.float32], pooling: Pooling) -> Matrix:
        """Run one padded batch and pool it: float32 ``[b, d]``."""
        with self._lock:
            if self._request is None:
                raise InvalidModelError("this backend was closed")
            states = self._request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
            vectors: Matrix = pool(states["last"], mask, pooling, states["first"])
            return vectors

    def close(self) -> None:
        """Release the weights."""
        with self._lock:
            self._request = None
