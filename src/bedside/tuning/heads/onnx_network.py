"""The network of a task in ONNX Runtime; exporting it, once for each task, needs ``bedside[export]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.encoders.artefacts import artefact
from bedside.encoders.backends.onnx_backend import MODEL, choose_providers, ort
from bedside.errors import InvalidModelError
from bedside.support.extras import needs
from bedside.tuning.heads.batching import batched
from bedside.tuning.heads.task import Logits
from bedside.tuning.heads.tokens import Row

_NAME = "onnxtask"  # beside "onnx", the encoder's own export, which has no head


class OnnxNetwork:
    """Runs the exported network of a task's folder, exporting it first if there is none.

    Args:
        folder: A task's folder.
        architecture: The head, such as ``"TokenClassification"``.
        pad_id: What fills a batch.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.

    Raises:
        InvalidModelError: it cannot be exported or loaded.
        InvalidInputError: this onnxruntime has no such device.
    """

    def __init__(self, folder: Path, architecture: str, pad_id: int, device: str) -> None:
        def build(source: Path, target: Path) -> None:
            _export(source, target / MODEL, architecture)

        file = artefact(folder, _NAME, "float32", build) / MODEL
        try:
            self._session: Any = ort.InferenceSession(str(file), providers=choose_providers(device))
        except Exception as error:  # onnxruntime's errors share no base class
            raise InvalidModelError(f"{file}: onnxruntime cannot load it ({type(error).__name__})") from error
        self._pad_id = pad_id
        self._types = "token_type_ids" in {given.name for given in self._session.get_inputs()}

    def logits(self, rows: Sequence[Row]) -> list[Logits]:
        """See :class:`bedside.tuning.heads.task.Network`."""
        return batched(rows, self._pad_id, types=self._types, run=self._run)

    def _run(self, batch: dict[str, NDArray[np.int64]]) -> Logits:
        scores: Logits = self._session.run(None, batch)[0]
        return scores


def _export(source: Path, file: Path, architecture: str) -> None:
    with needs("export"):
        import torch
    from bedside.encoders.backends.onnx_export import to_onnx
    from bedside.tuning.heads.network import open_model, stacked, takes_types

    class Scores(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            return stacked(self.model(input_ids=input_ids, attention_mask=attention_mask, **types))

    model = open_model(source, architecture, attention="eager")
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if takes_types(model) else [])]
    # Two rows: a size of one would be taken for a constant.
    sample = {name: torch.ones((2, 8), dtype=torch.int64) for name in names}
    to_onnx(Scores(model), sample, ["scores"], source, file)
