"""Words that were broken at the end of a line, whole again: ``pneu-`` and ``monia`` are found as pneumonia."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_LINE = 10_000
"""Characters of a line to which no more is joined: no line of a page is as long, and time stays linear."""
_SIGNS = ("-", "\u00ad", "\u2010")
_BREAK = re.compile(r"[-\u00ad\u2010] ?\n")
_LAST = re.compile(r"(?<![^\W_])([^\W_]{1,40})[-\u2010]$")
_FIRST = re.compile(r"[^\W_]{1,40}")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
# What keeps its hyphen before another word, unless an ending follows: follow-up, but following.
_FIRST_PARTS = frozenset(
    (
        *("non", "well", "self", "follow", "work", "check", "high", "short", "half", "full", "weight", "dose", "time"),
        *("two", "three", "five", "first", "third", "beta", "alpha", "gamma", "blood", "left", "right", "cross"),
        *("double", "single", "large", "small"),
    )
)
_ENDINGS = frozenset(
    (
        "ing",
        "ed",
        "er",
        "ers",
        "es",
        "ly",
        "ment",
        "ments",
        "ness",
        "ary",
        "est",
        "able",
        "en",
        "ened",
        "ening",
        "e",
        "s",
    )
)


def joined(text: str) -> str:
    r"""Return a text whose lines do not end within a word; the rest of the next line stays on a line of its own.

    A word that is written with its hyphen elsewhere in the text, or begins as such words do (``non-``, ``follow-``),
    keeps it. What may be two things, as where a line begins with a capital or a list's number, stays as it is.

    Example:
        >>> joined("lower lobe pneu-\nmonia with a follow-\nup")
        'lower lobe pneumonia\nwith a follow-up'
    """
    if _BREAK.search(text) is None:
        return text
    words = {word.lower() for word in _WORD.findall(text)}
    lines: list[str] = []
    for line in text.split("\n"):
        begin, _, rest = line.lstrip().partition(" ")
        whole = _whole(lines[-1].rstrip(), begin, words) if lines and begin and len(lines[-1]) < MAX_LINE else None
        if whole is None:
            lines.append(line)
        else:
            lines[-1:] = [whole, rest] if rest.strip() else [whole]
    return "\n".join(lines)


def joined_pages(pages: Sequence[str]) -> list[str]:
    """Return pages none of which ends within a word: what of it stands on the next page moves to where it began."""
    whole = list(pages)
    for place in range(len(whole) - 1):
        before, after = whole[place].rstrip(), whole[place + 1].lstrip()
        if not before.endswith(_SIGNS) or not after[:1].islower():
            continue
        begin = after.split(maxsplit=1)[0]
        words = {word.lower() for word in _WORD.findall(f"{before}\n{after}")}
        together = _whole(before, begin, words)
        if together is not None:
            whole[place : place + 2] = [together, after[len(begin) :].lstrip()]
    return whole


def _whole(before: str, begin: str, words: set[str]) -> str | None:
    """Return a line that ends in a hyphen with what the next line begins with, or None where they are two things."""
    if before.endswith("\u00ad"):
        return f"{before[:-1]}{begin}" if begin[0].isalpha() else None
    last, first = _LAST.search(before[-50:]), _FIRST.match(begin)
    if last is None or first is None or not (begin[0].islower() or _goes_on_with_number(begin)):
        return None
    return f"{before}{begin}" if _keeps_hyphen(last[1], first[0], words) else f"{before[:-1]}{begin}"


def _keeps_hyphen(part: str, rest: str, words: set[str]) -> bool:
    together = f"{part}{rest}".lower()
    if together in words or f"{part}-{rest}".lower() in words:
        return together not in words
    is_one_word = len(part) > 1 and part[1:].islower() and rest.islower()
    return not is_one_word or (part.lower() in _FIRST_PARTS and rest not in _ENDINGS)


def _goes_on_with_number(begin: str) -> bool:
    """Whether a line goes on with a number, as COVID-19 does, and does not begin with one of a list."""
    return begin[0].isdigit() and re.fullmatch(r"\d{1,9}[.)]", begin) is None
