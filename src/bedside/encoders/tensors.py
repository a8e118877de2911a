"""The safetensors file format, read and written with numpy alone.

Eight bytes (little-endian length), a JSON header of names, types, shapes and byte ranges, then the bytes
(https://github.com/huggingface/safetensors#format). Nothing in such a file is ever run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidModelError

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a safetensors file.

    Raises:
        InvalidModelError: not such a file, cut short, or of a type that numpy does not have (bfloat16).
    """
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    try:
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        return {name: _tensor(data, 8 + size, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModelError(f"{path}: not a whole safetensors file of types {', '.join(_TYPES)}") from error


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors in the order given; the same tensors give the same bytes."""
    header: dict[str, Any] = {}
    end = 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def _tensor(data: bytes, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(_TYPES[entry["dtype"]])
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if end - start != math.prod(shape) * dtype.itemsize or min(start, *shape, 0) < 0:
        raise ValueError("sizes disagree")
    return np.frombuffer(data, dtype, math.prod(shape), base + start).reshape(shape)
