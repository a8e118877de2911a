"""From a checkpoint to ONNX, by torch's own exporter. Needs torch, transformers, onnx and onnxscript."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from bedside.errors import InvalidModelError
from bedside.support.extras import needs

with needs("export"):
    import torch
    from torch import Tensor
    from transformers import AutoModel

    for _name in ("onnx", "onnxscript"):
        import_module(_name)
    transformers_logging: Any = import_module("transformers.utils.logging")

_OPSET = 18  # its LayerNormalization is one operator; that of attention in opset 23 takes no mask per batch row


class _States(torch.nn.Module):
    """A network with the inputs and outputs that every exported one has.

    In: ``input_ids`` int64 ``[b, t]`` and ``attention_mask`` float32 ``[b, t]``. Out: the hidden states of the
    first and of the last layer, float32 ``[b, t, d]``.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        out = self.network(input_ids=input_ids, attention_mask=attention_mask.long(), output_hidden_states=True)
        return out.hidden_states[1], out.last_hidden_state


def export_graph(source: Path, file: Path) -> None:
    """Write the network of the model folder ``source`` as ``file``, its weights beside it.

    Raises:
        InvalidModelError: transformers cannot load the folder, or torch cannot export the network.
    """
    sample = torch.full((2, 8), 5), torch.ones(2, 8)  # two rows: a size of one would be taken for a constant
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _quiet():
        states = _States(_network(source)).eval()
        try:
            program = torch.onnx.export(
                states,
                sample,
                input_names=["input_ids", "attention_mask"],
                output_names=["first", "last"],
                dynamic_shapes={"input_ids": free, "attention_mask": free},
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # whatever the model's code meets while it is traced
            raise InvalidModelError(f"{source}: torch cannot export it ({type(error).__name__})") from error
        if program is None:
            raise InvalidModelError(f"{source}: torch exported nothing")
        program.save(str(file), external_data=True)


def _network(source: Path) -> Any:
    """The folder's network as transformers builds it, in float32, every weight of it from the file."""
    try:
        model, found = AutoModel.from_pretrained(
            str(source), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
            attn_implementation="eager", output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise InvalidModelError(f"{source}: transformers cannot load it ({type(error).__name__})") from error
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InvalidModelError(f"{source}: {len(missing)} tensors are missing from the weights, first {missing[0]!r}")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what transformers and torch print about heads that are not wanted and libraries that are not needed."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    registry = logging.getLogger("torch.onnx")
    before = registry.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    registry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        registry.setLevel(before)
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
