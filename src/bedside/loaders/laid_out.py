"""The pieces of a laid-out text put together: blocks begin lines, and the words of two blocks never run together."""

from __future__ import annotations

import re
from collections.abc import Iterable

LINE = "\x01"
"""Among pieces: what follows begins a line, unless it does already. XML cannot hold this sign, nor the next ones."""
SPACE = "\x03"
"""Among pieces: what follows is parted by one space, whatever stands before and after it."""
WORD = "\x02"
"""Among pieces: what follows is another word, where a letter or a digit stands on both sides."""


def laid_out(pieces: Iterable[str]) -> str:
    r"""Return pieces as a text without white space at the ends of lines, and with one empty line at most.

    Example:
        >>> laid_out(["Pulse", WORD, "80", LINE, LINE, "K\t", "4.1 ", LINE, "\n", "Rest"])
        'Pulse 80\nK\t4.1\nRest'
    """
    text = re.sub(rf"(?<=\w){WORD}+(?=\w)", " ", "".join(pieces)).replace(WORD, "")
    text = re.sub(rf"(?<![ {SPACE}])[ {SPACE}]*{SPACE}[ {SPACE}]*", " ", text)
    text = re.sub(rf"(?:\n|(?<! ))[ ]*{LINE}[ {LINE}]*\n?", "\n", text)
    lines = (re.sub(r"(?<! )[ ]*\t[ ]*|\t[ ]*", "\t", line).strip(" ").rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
