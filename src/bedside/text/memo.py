"""A bounded memory of what was worked out about pieces of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Memo"]

_SIZE = 1 << 17  # entries; all of the four dev sets (11 MB of text) have 84,000 words and 52,000 chunks
_LENGTH = 48  # characters; longer pieces are rarely seen twice

_T = TypeVar("_T")


class Memo(dict[str, _T]):
    """Piece of text -> what a function makes of it, worked out at the first look; emptied when full.

    Args:
        work_out: The function.

    Example:
        >>> lengths = Memo(len)
        >>> lengths["edema"]
        5
    """

    def __init__(self, work_out: Callable[[str], _T]) -> None:
        self._work_out = work_out

    def __missing__(self, piece: str) -> _T:
        made = self._work_out(piece)
        if len(piece) <= _LENGTH:
            if len(self) >= _SIZE:
                self.clear()
            self[piece] = made
        return made
