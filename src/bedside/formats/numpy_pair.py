"""numpy: vectors in ``NAME.npy``, float32 ``[n, d]``, and beside it ``NAME.jsonl`` with the records in the same order.

The vectors are read memory-mapped, and never unpickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bedside.errors import InvalidVectorError, UnreadableFileError
from bedside.formats import json_lines
from bedside.formats.fields import to_line
from bedside.types import Document


def detect(path: Path, head: bytes) -> bool:
    """A file that begins with numpy's mark."""
    return path.is_file() and head.startswith(b"\x93NUMPY")


def read(path: Path) -> Iterator[Document]:
    """Yield the records, each with its row of the array."""
    records = path.with_suffix(".jsonl")
    if not records.is_file():
        raise UnreadableFileError(path.name, f"the records are expected in {records.name} beside it")
    rows = _open(path)
    for number, (row, document) in enumerate(zip_longest(rows, json_lines.read(records)), 1):
        if row is None or document is None:
            less, more = (path, records) if row is None else (records, path)
            raise UnreadableFileError(less.name, f"record {number}: missing; {more.name} has more")
        yield replace(document, vector=np.array(row))


def count(path: Path) -> int:
    """Return how many vectors the array says that it has."""
    return len(_open(path))


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write both files; the number of rows is filled into the array's head at the end."""
    del vectors  # the registry asks for them
    dimension, count = 0, 0
    with path.open("wb") as array, path.with_suffix(".jsonl").open("wb") as lines:
        _head(array, 0, 0)
        for count, document in enumerate(documents, 1):
            vector = np.asarray(() if document.vector is None else document.vector, "<f4")
            dimension = dimension or len(vector)
            if not dimension or len(vector) != dimension:
                raise InvalidVectorError(f"record {count}: an array holds one vector of one dimension for each record")
            if count == 1:
                _head(array, 0, dimension)
            array.write(vector.tobytes())
            lines.write(to_line(document, vectors=False) + b"\n")
        _head(array, count, dimension)


def _head(file: BinaryIO, rows: int, dimension: int) -> None:
    """Write the head, which numpy pads so that more rows never make it longer."""
    file.seek(0)
    shape: Any = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(file, shape)


def _open(path: Path) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        raise UnreadableFileError(path.name, "damaged, cut off, or not an array of numbers") from None
    if array.dtype != np.float32 or array.ndim != 2:
        raise UnreadableFileError(
            path.name, f"expected float32 of shape [n, d], got {array.dtype} of shape {list(array.shape)}"
        )
    return array
