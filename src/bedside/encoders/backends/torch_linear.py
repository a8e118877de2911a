"""The matrix products of a transformer on a CPU, through oneDNN with weights laid out for it once.

torch gives float32 products to MKL, which keeps to narrow vector units on processors of other makers: on an AMD EPYC
with AVX-512, products of BERT's shapes ran at 105 GFLOPS per core in ``F.linear`` and at 240 through oneDNN, with the
activation fused. torch's own compiler calls the same operator.
"""

from __future__ import annotations

from typing import Any

from bedside.support.extras import needs

with needs("transformers"):
    import torch
    import torch.nn.functional as F  # noqa: N812 - the name that every torch user reads
    from torch import Tensor


class Linear(torch.nn.Module):
    """``x @ weight.T + bias``, with GELU on top where it is asked for.

    Args:
        weight: ``[out, in]``.
        bias: ``[out]`` or ``None``.
        packed: Whether oneDNN computes it; see :func:`packs`. The plain weight is then not kept.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, packed: bool) -> None:
        super().__init__()
        self._packed = packed
        self._dtype = weight.dtype
        self._bias = bias
        self._weight: Any = _onednn()._reorder_linear_weight(weight.contiguous(), None) if packed else weight

    def forward(self, x: Tensor, gelu: str | None = None) -> Tensor:
        """Apply it to ``[..., in]``, cast to the weights' type; ``gelu`` is ``"none"`` (exact) or ``"tanh"``."""
        x = x.to(self._dtype)
        if self._packed:
            activation: tuple[str, list[float], str] = ("gelu", [], gelu) if gelu else ("none", [], "")
            out: Tensor = _onednn()._linear_pointwise(x, self._weight, self._bias, *activation)
            return out
        out = F.linear(x, self._weight, self._bias)
        return F.gelu(out, approximate=gelu) if gelu else out


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN can take over: a CPU, a type it has, and an operator that this torch has and that is right.

    The operator is internal to torch, so it is tried on a small product first.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return False
    x = torch.linspace(-1, 1, 128).view(4, 32).to(dtype)
    weight, bias = torch.linspace(-1, 1, 512).view(16, 32).to(dtype), torch.linspace(-1, 1, 16).to(dtype)
    try:
        found = Linear(weight, bias, packed=True)(x, "none")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(torch.allclose(found, Linear(weight, bias, packed=False)(x, "none"), rtol=1e-2, atol=1e-2))


def pack_all(model: torch.nn.Module) -> None:
    """Replace every ``torch.nn.Linear`` inside ``model`` by a packed one."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, Linear(child.weight.detach(), child.bias, packed=True))


def _onednn() -> Any:
    return torch.ops.mkldnn
