"""From a checkpoint to ONNX, by torch's own exporter. Needs torch, transformers, onnx and onnxscript."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from bedside.encoders.backends.library import open_library
from bedside.encoders.quiet import quiet_transformers
from bedside.errors import InvalidModelError
from bedside.support.extras import needs

with needs("export"):
    import torch
    from torch import Tensor

    for _name in ("onnx", "onnxscript"):
        import_module(_name)

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
    # Two rows: a size of one would be taken for a constant.
    sample = {"input_ids": torch.full((2, 8), 5), "attention_mask": torch.ones(2, 8)}
    with _quiet():
        to_onnx(_States(_network(source)), sample, ["first", "last"], source, file)


def to_onnx(network: Any, sample: dict[str, Tensor], outputs: list[str], source: Path, file: Path) -> None:
    """Write a network as ``file``, its weights beside it.

    Args:
        network: A module.
        sample: A batch ``[b, t]`` for each of its inputs, both sizes above 1; they stay free.
        outputs: Their names.
        source: What an error names.
        file: What is written.

    Raises:
        InvalidModelError: torch cannot export the network.
    """
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with _quiet():
            program = torch.onnx.export(
                network.eval(), kwargs=sample, input_names=list(sample), output_names=outputs, opset_version=_OPSET,
                dynamic_shapes=dict.fromkeys(sample, free), dynamo=True, verbose=False,
            )  # fmt: skip
    except Exception as error:  # whatever the model's code meets while it is traced
        raise InvalidModelError(f"{source}: torch cannot export it ({type(error).__name__})") from error
    if program is None:
        raise InvalidModelError(f"{source}: torch exported nothing")
    program.save(str(file), external_data=True)


def _network(source: Path) -> Any:
    """The folder's network as transformers builds it, in float32, every weight of it from the file."""
    model, found = open_library(source, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InvalidModelError(f"{source}: {len(missing)} tensors are missing from the weights, first {missing[0]!r}")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what transformers and torch print about heads that are not wanted and libraries that are not needed."""
    registry = logging.getLogger("torch.onnx")
    before = registry.level
    registry.setLevel(logging.ERROR)
    try:
        with quiet_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        registry.setLevel(before)
