"""Find headings inside a line: run in after a sentence, or where the ends of lines became spaces or commas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bedside.text.titles import Candidate, is_capitalised, is_part, is_section_title, is_value, may_name_section

__all__ = ["LOST_LINE_END", "run_in"]

LOST_LINE_END = re.compile(r"[ \t]*,")
"""A comma where a line ended, after a colon."""
_LONGEST = 80  # characters of a title
_EVIDENCE = 2  # headings that a line must surely have before it is taken for one whose line ends were lost
_SAMPLE = 500  # characters that tell whether a line is in capitals
_COLON = re.compile(":(?!//)")
_LAST_MARK = re.compile(r"(?s:.*)(?:[.;!?,:)\]\"”]|\s\s)")
_BRACKETS = re.compile(r"\s*\([^()]{1,20}\)\Z")
_CAPITALS = re.compile(r"(?:(?<=\s)|\A)[A-Z][A-Z/&'-]*(?:\s(?:[A-Z][A-Z/&'-]*|&))*\Z")
_SENTENCE_ENDS = frozenset('.;:!?)]"”')


class _Stretch(NamedTuple):
    """The text between a mark and a colon, which may be a title or end with one.

    Attributes:
        title: Without white space around it.
        start: Offset of its first character.
        end: Offset after the colon.
        after: The mark before it; "" at the start of a line, and where two spaces are.
        parted: Whether the comma before it stands for a line end, by what is beside it.
        alone: Whether a comma that stands for a line end is next.
    """

    title: str
    start: int
    end: int
    after: str
    parted: bool
    alone: bool

    @property
    def begins(self) -> bool:
        """Whether something may begin with it, for all that is before it."""
        return self.after in _SENTENCE_ENDS or self.parted or not self.after

    @property
    def in_capitals(self) -> bool:
        return self.title.isupper()

    def candidate(self, *, is_item: bool = False) -> Candidate:
        return Candidate(self.title, self.start, self.end, is_item)


def run_in(
    text: str, start: int, end: int, knows: Callable[[str], bool], *, is_headed: bool, is_item: bool
) -> Iterator[Candidate]:
    """Yield the headings inside a line: those that surely are, and in a line with several of them, those like them.

    Args:
        text: The note.
        start: Where the line begins, after its first heading if it ``is_headed``.
        end: Where it ends.
        knows: Whether a title is one of sections.
        is_headed: Whether the line begins with a heading.
        is_item: Whether it is an item of a list; then a title in capitals alone ends it ("- Gout. Plan: rest").
    """
    stretches = [found for colon in _COLON.finditer(text, start, end) if (found := _stretch(text, start, colon))]
    known = [stretch for stretch in stretches if _is_known(stretch, knows)]
    if not known:
        return
    sure = {stretch for stretch in known if stretch.in_capitals or (is_capitalised(stretch.title) and not is_item)}
    several = len(known) + is_headed >= _EVIDENCE and not is_item
    commas = sum(stretch.alone for stretch in stretches) >= _EVIDENCE
    shouted = several and _is_shouted(text[start : min(end, start + _SAMPLE)])
    for stretch in stretches:
        if stretch in sure:
            yield stretch.candidate()
        elif several and (likely := _likely(text, stretch, knows, commas=commas, shouted=shouted)):
            yield likely


def _stretch(text: str, start: int, colon: re.Match[str]) -> _Stretch | None:
    """Return what a colon ends, back to the last mark before it; None where that is too far."""
    first = max(start, colon.start() - _LONGEST)
    written = text[first : colon.start()].rstrip()
    brackets = _BRACKETS.search(written) if written.endswith(")") else None
    if not brackets and not written[-1:].isalnum():
        return None
    mark = _LAST_MARK.match(written, 0, brackets.start() if brackets else len(written))
    begin = first + mark.end() if mark else start
    title = text[begin : colon.start()].strip()
    if not title or (not mark and first > start):
        return None
    before = text[first:begin].rstrip() if mark and not text[begin - 1].isspace() else ""
    alone = LOST_LINE_END.match(text, colon.end()) is not None
    parted = before.endswith(",") and (alone or before.endswith(",,") or before.rstrip(" ,")[-1:] in _SENTENCE_ENDS)
    return _Stretch(title, text.index(title, begin), colon.end(), before[-1:], parted, alone)


def _is_known(stretch: _Stretch, knows: Callable[[str], bool]) -> bool:
    """Whether a stretch is a known title, begins as one, and is not words of a sentence and a title in capitals."""
    title = stretch.title
    begins = stretch.begins or (stretch.after == "," and stretch.in_capitals)
    return begins and title[0].isupper() and (title[-1].islower() or stretch.in_capitals) and knows(title)


def _likely(
    text: str, stretch: _Stretch, knows: Callable[[str], bool], *, commas: bool, shouted: bool
) -> Candidate | None:
    """Return a heading that is one in a line with several others.

    Args:
        text: The note.
        stretch: What stands before a colon.
        knows: Whether a title is one of sections.
        commas: Whether commas stand where lines ended; then a heading comes after one.
        shouted: Whether the line is in capitals, so that they tell nothing.
    """
    begins = stretch.parted if commas else stretch.begins
    title = stretch.title
    if begins and stretch.in_capitals:
        if is_part(title) and len(title) > 2:
            return stretch.candidate()
        if stretch.parted and stretch.alone and len(title) > 1:
            return stretch.candidate()
    if shouted:
        return None
    if begins and _is_known(stretch, knows):
        return stretch.candidate()
    ending = _ending(stretch)
    if ending and stretch.after == ":":
        return ending
    if begins and stretch.in_capitals and may_name_section(title) and not is_value(text, stretch.end):
        return stretch.candidate(is_item=True)
    return ending


def _ending(stretch: _Stretch) -> Candidate | None:
    """Return the longest known title in capitals that a stretch ends with, such as the last word of "No cough PLAN"."""
    capitals = _CAPITALS.search(stretch.title)
    names = capitals.group().split() if capitals else []
    endings = (" ".join(names[first:]) for first in range(len(names)))
    known = next((ending for ending in endings if len(ending) > 2 and is_section_title(ending)), None)
    if known is None or known == stretch.title:
        return None
    return Candidate(known, stretch.start + len(stretch.title) - len(known), stretch.end)


def _is_shouted(text: str) -> bool:
    return sum(map(str.islower, text)) < 0.2 * sum(map(str.isalpha, text))
