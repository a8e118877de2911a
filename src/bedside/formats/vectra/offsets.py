"""JavaScript's string offsets, which count UTF-16 code units, as Python's, which count characters."""

from __future__ import annotations

from array import array
from bisect import bisect_left


class Offsets:
    """Converts offsets into one text between the two counts.

    A character beyond the basic plane (an emoji) is two code units and one character.

    Example:
        >>> Offsets("a😀b").to_python(3), Offsets("a😀b").to_utf16(2)
        (2, 3)
    """

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._wide = array("Q", (i for i, char in enumerate(text) if ord(char) > 0xFFFF))
        self._starts = array("Q", (place + before for before, place in enumerate(self._wide)))

    @property
    def units(self) -> int:
        """The text's length in code units."""
        return self._length + len(self._wide)

    def to_python(self, units: int, *, up: bool = False) -> int:
        """The character at a code unit.

        An offset inside a surrogate pair belongs to the pair's character, or with ``up`` to the one after it: a
        Python string has no half characters.
        """
        before = bisect_left(self._starts, units)
        inside = before > 0 and self._starts[before - 1] + 1 == units
        return units - before + (1 if inside and up else 0)

    def to_utf16(self, place: int) -> int:
        """The code unit at which a character begins."""
        return place + bisect_left(self._wide, place)
