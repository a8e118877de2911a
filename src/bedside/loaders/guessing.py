"""The encoding of bytes that do not say it, by charset-normalizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bedside.errors import MissingExtraError

if TYPE_CHECKING:
    from bedside.loaders.content import Content

# In the order in which they are believed where several fit equally well: left to itself, the library takes western
# texts for central European or Chinese ones.
_LIKELY = ("cp1252", "cp1250", "cp1251", "mac_roman", "cp850", "cp932")
_WIDE = ("utf_16_le", "utf_16_be")
_CHAOS = 0.2  # the library's own measure, from which on it calls a text a mess
_SAMPLE = 1 << 18
_IN_WORDS = re.compile(r"(?<=[^\W\d_])[^\x00-\x7f\w’‘´·°–—‐…](?=[^\W\d_])|(?<=[^\W\d_])[²³¹ªº](?=[^\W\d_])")


def text_by_guess(content: Content) -> str:
    """Return the text of a file that need not be UTF-8; a guess is said in the report.

    Raises:
        UnreadableFileError: It is in no encoding that is likely.
        MissingExtraError: ``bedside[loaders]`` is not installed, and an encoding is to be guessed.
    """
    if content.says_encoding:
        return content.text
    try:
        text = content.data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    name = likely_encoding(content.data)
    try:
        text = content.data.decode(name) if name else ""
    except UnicodeDecodeError:
        name = ""
    if not name or "\0" in text:
        raise content.refused("is not UTF-8, and no other encoding is likely; name it with encoding=")
    content.guess("", f"read as {name}, which it does not say; name it with encoding= where that is wrong")
    return text


def likely_encoding(data: bytes) -> str:
    """Return the encoding in which bytes look most like a text; empty where that is none.

    That is the one with the fewest signs within words, as ``gor¹czka`` has one, then with the least of what the library
    calls chaos.
    """
    try:
        from charset_normalizer import from_bytes
    except ModuleNotFoundError as error:
        raise MissingExtraError("charset-normalizer", "loaders") from error
    sample = _sample(data)
    found = []
    for place, name in enumerate(_WIDE if b"\0" in data[:_SAMPLE] else _LIKELY):
        match = from_bytes(sample, cp_isolation=[name], threshold=_CHAOS).best()
        if match is not None and match.encoding == name:
            text = str(match)
            strange = sum(1 for _ in _IN_WORDS.finditer(text)) / max(1, len(text) - sum(map(str.isascii, text)))
            found.append((round(strange, 1), match.chaos, place, name))
    return min(found)[3] if found else ""


def _sample(data: bytes) -> bytes:
    """Return the beginning, and where only what comes later tells, the lines that do."""
    beginning = data[:_SAMPLE]
    if not beginning.isascii() or b"\0" in beginning:
        return beginning[: len(beginning) & ~1]
    telling = b"\n".join(line for line in data.splitlines() if not line.isascii())
    return telling[:_SAMPLE]
