"""What several backends share: the check of ``dtype``, and batches cut to few shapes for compilers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedside.errors import InvalidInputError
from bedside.remedies import Give

_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_ROWS = (64, 32, 16, 8)  # a single row is the other case: a query, which should not wait for seven empty ones

Piece: TypeAlias = tuple[slice, NDArray[np.int64], NDArray[np.float32]]


def check_dtype(backend: str, dtype: str, allowed: Sequence[str]) -> str:
    """Return ``dtype`` if the backend has it.

    Raises:
        InvalidInputError: it has not.
    """
    if dtype not in allowed:
        raise InvalidInputError(
            f"the {backend} backend expects one of {', '.join(map(repr, allowed))}", about=Give("dtype", dtype)
        )
    return dtype


def has_processor_flag(name: str) -> bool:
    """Whether Linux lists ``name`` among this processor's features; ``False`` on other systems.

    Example:
        >>> has_processor_flag("no_such_feature")
        False
    """
    try:
        return name in Path("/proc/cpuinfo").read_text("ascii", errors="ignore").split()
    except OSError:
        return False


def pieces(ids: NDArray[np.int64], mask: NDArray[np.float32], longest: int) -> Iterator[Piece]:
    """Cut and pad a batch so that a compiler meets few shapes: at most five row counts times ten lengths.

    Args:
        ids: int64 ``[b, t]``.
        mask: float32 ``[b, t]``.
        longest: Positions of the network: no piece is longer.

    Yields:
        The rows of the batch that a piece holds, its ids and its mask. Rows beyond the slice's length are filling, to
        be dropped; they keep one token, so that a mean over tokens stays finite.

    Example:
        >>> sizes = [ids.shape for _, ids, _ in pieces(np.ones((70, 20), np.int64), np.ones((70, 20), np.float32), 512)]
        >>> sizes
        [(64, 32), (8, 32)]
    """
    rows, width = ids.shape
    length = min(next((n for n in _LENGTHS if n >= width), width), max(longest, width))
    start = 0
    while start < rows:
        left = rows - start
        size = 1 if left == 1 else next((n for n in _ROWS if n <= left), _ROWS[-1])
        chosen = slice(start, min(rows, start + size))
        piece_ids, piece_mask = np.zeros((size, length), np.int64), np.zeros((size, length), np.float32)
        piece_ids[: chosen.stop - start, :width], piece_mask[: chosen.stop - start, :width] = ids[chosen], mask[chosen]
        piece_mask[:, 0] = 1.0
        yield chosen, piece_ids, piece_mask
        start = chosen.stop
