"""Files within files: base64 as it is written, and the one that counts of several that say the same."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_WORD = re.compile(r"\w+")
_MOST = 16  # longest texts that each one is compared with: time stays linear in their number
_SAME = 0.9
"""The share of a text's words that another one holds, from which on it says nothing more: a PDF's and a page's texts of
one letter differ in page numbers, headers and words broken at line ends."""


def from_base64(content: Content, written: str) -> bytes:
    """Return what base64 stands for; white space in it and padding that is missing are nothing.

    Raises:
        UnreadableFileError: It is not base64.
    """
    packed = "".join(written.split()).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise content.refused("the data is not base64") from None


def charset(named: str | None) -> str | None:
    """Return the name of an encoding as it is given; ``None`` where it is not a name at all."""
    return named if named and re.fullmatch(r"[\w.:+-]{1,40}", named, re.ASCII) else None


def richest(texts: Sequence[str], kinds: Sequence[str] = ()) -> list[int]:
    """Return which of several texts say something of their own, in order.

    Of texts that say the same, as the PDF and the plain text of one letter do, the longest counts. A text that has a
    tenth of its words to itself is kept beside it, whatever it was said to be: nothing is lost. What holds no word
    is left out.

    Args:
        texts: They.
        kinds: Of each: two of one kind are parts, and both count. ``()``: each is of another kind.

    Example:
        >>> richest(["Cough.", "Cough, fever. Rest.", "Walk daily.", "Cough, fever; rest"])
        [1, 2]
    """
    words = [Counter(word.casefold() for word in _WORD.findall(text)) for text in texts]
    kept: list[int] = []
    for place in sorted(range(len(texts)), key=lambda place: -words[place].total()):
        others = (other for other in kept[:_MOST] if not kinds or kinds[other] != kinds[place])
        if words[place] and not any(_is_within(words[place], words[other]) for other in others):
            kept.append(place)
    return sorted(kept)


def _is_within(words: Counter[str], other: Counter[str]) -> bool:
    return (words & other).total() >= _SAME * words.total()
