"""Find what may be a heading, in the first place at the start of a line."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from functools import cached_property

from bedside.text.kinds import SectionKinds
from bedside.text.lexicon import words
from bedside.text.run_in import LOST_LINE_END, run_in
from bedside.text.soap import soap_letters
from bedside.text.titles import (
    Candidate,
    is_capitalised,
    is_part,
    is_section_title,
    is_value,
    may_name_section,
    words_of,
)

__all__ = ["Note", "candidates"]

_LINE = re.compile(r"[^\r\n]+")
_INDENT = re.compile(r"[\s\ufeff\u200b]*")  # a byte order mark may stand anywhere that files were joined
_LIMIT = 200  # characters of a line in which its heading must end
_UNDERLINE = re.compile(r"\r?\n(?:={3,}|-{3,})[ \t]*(?=[\r\n]|\Z)")
_MARKDOWN = re.compile(r"(?P<level>#{1,6})[ \t]+(?P<title>[^#\s].*?)[ \t]*#*[ \t]*:?[ \t]*")
_DEEPER = re.compile(r"^#{2,6}[ \t]+\S", re.MULTILINE)
_BOLD = re.compile(r"(?P<mark>\*\*|__)(?P<title>[^*_:]{1,80}):?(?P=mark):?[ \t]*")
_NUMBER = r"(?:\(?(?:\d{1,2}|[IVX]{1,5})(?:\.\)?|\))[ \t]+)?"
_TITLED = re.compile(rf"{_NUMBER}(?P<title>[^\W\d_][^:：]{{0,79}}?)[ \t]*[:：](?!//)(?!(?<=\d:)\d)")
_BARE = re.compile(rf"{_NUMBER}(?P<title>[A-Z][^:.;!?]{{1,59}}?)[ \t]*")
_BLANK_BEFORE = re.compile(r"\A\Z|(?:\n|\r\n?)[ \t]*(?:\n|\r\n?)\Z")
_STOP = re.compile(r"[.;!?]\s|,\S")
_ITEM = re.compile(r"[-*+•‣▪◦·–—#]|\(?\d{1,3}[.)]")
_SALUTATIONS = words("Dear Sehr Liebe Lieber Cher Chère Estimado Estimada")
_PROSE = re.compile(r"[^\W\d_]{3}(?:[.!?]\Z|[.;!?]\s)")  # the end of a sentence
_SAMPLE = 1000  # characters that tell a note's language
# Words that tell English from other languages that hospitals of Europe and the Americas write in.
_ENGLISH = words(
    """
    the and of is was with for to has had were this that patient she he his her denies at be are which by not
    from who there been left right without
    """
)
_FOREIGN = words(
    """
    und der mit ohne bei seit für nicht kein keine ist im zum zur vom auf aus nach wurde wird
    le la les du de et est avec sans pas pour depuis dans sur aux une el los las y con sin por para desde en del una
    il di e per da senza nel della che lo het een met zonder van voor niet geen sinds bij op dat
    com sem não da do em og och med utan uden ikke inte för på som ett av er til
    """
)


class Note:
    """A note, and what is known of all of it."""

    def __init__(self, text: str, kinds: SectionKinds) -> None:
        self.text, self.kinds = text, kinds

    @cached_property
    def _languages(self) -> tuple[int, int]:
        """How many words are English, and how many another language's."""
        sample = self.text[:_SAMPLE].lower()
        found = sample.split() if sample.isascii() else words_of(sample)
        accented = sum(not word.isascii() for word in found)
        return sum(map(_ENGLISH.__contains__, found)), sum(map(_FOREIGN.__contains__, found)) + accented

    @property
    def is_english(self) -> bool:
        """Whether more of its words are English than not; unknown of a note of a few terms, which counts as not."""
        return self._languages[0] > self._languages[1]

    @property
    def is_foreign(self) -> bool:
        """Whether more of its words are another language's than English."""
        return self._languages[0] < self._languages[1]

    @cached_property
    def is_markdown(self) -> bool:
        """Whether it has Markdown headings of several levels, so that one ``#`` is a heading too."""
        return _DEEPER.search(self.text) is not None

    def knows(self, title: str) -> bool:
        """Whether a title is one of sections, in any language that is known."""
        if is_section_title(title) or self.kinds.is_own(title):
            return True
        return not self.is_english and self.kinds.is_foreign_title(title)


def candidates(note: Note) -> Iterator[Candidate]:
    """Return what may be a heading, in order; in time linear in the note's length."""
    letters = soap_letters(note.text)
    if not letters:
        return _in_lines(note)
    taken = {letter.start for letter in letters}
    others = (found for found in _in_lines(note) if found.start not in taken)
    return heapq.merge(letters, others, key=lambda found: found.start)


def _in_lines(note: Note) -> Iterator[Candidate]:
    """Yield what each line may have of headings."""
    for line in _LINE.finditer(note.text):
        indent = _INDENT.match(note.text, *line.span())
        start = indent.end() if indent else line.start()
        first = _first_heading(note.text[start : min(line.end(), start + _LIMIT)], note, line, start)
        if first is not None:
            yield first
            start = first.end
        is_item = first is None and _ITEM.match(note.text, start) is not None
        yield from run_in(note.text, start, line.end(), note.knows, is_headed=first is not None, is_item=is_item)


def _first_heading(written: str, note: Note, line: re.Match[str], at: int) -> Candidate | None:
    """Return the heading that ``written``, a line without its indent, begins with."""
    if len(written) == _LIMIT and ":" not in written and "：" not in written:
        return None
    if written[:1] in "#*_" and (marked := _MARKDOWN.fullmatch(written) or _BOLD.fullmatch(written)):
        return _marked_heading(marked, note, at)
    titled = _TITLED.match(written)
    if titled and (opened := _opened(titled, note, line, at)):
        return opened
    bare = _BARE.fullmatch(written)
    if bare and (underline := _UNDERLINE.match(note.text, line.end())):
        return Candidate(bare["title"], at, underline.end())
    if bare and _is_bare_title(bare["title"], note, line, in_capitals=written.isupper()):
        return Candidate(bare["title"], at, at + len(written))
    return None


def _is_bare_title(title: str, note: Note, line: re.Match[str], *, in_capitals: bool) -> bool:
    """Whether a line without a colon is a title."""
    if note.knows(title) or (in_capitals and is_part(title)):
        return True
    return in_capitals and may_name_section(title) and _follows_blank(note, line) and note.is_foreign


def _marked_heading(marked: re.Match[str], note: Note, at: int) -> Candidate | None:
    """Return a Markdown heading or a line in bold; a sentence is not one, and one ``#`` may be a problem of a plan."""
    title = marked["title"].rstrip(" \t:")
    if _PROSE.search(title):
        return None
    is_single = marked.groupdict().get("level") == "#"
    known = note.knows(title)
    if is_single and (":" in title or not (known or note.is_markdown)):
        return None
    return Candidate(title, at, at + marked.end(), is_single and not known)


def _opened(titled: re.Match[str], note: Note, line: re.Match[str], at: int) -> Candidate | None:
    """Return the heading at the start of a line that a colon ends."""
    title, end = titled["title"], at + titled.end()
    rest = note.text[end : line.end()]
    alone = not rest.strip() or LOST_LINE_END.match(rest) is not None
    heading = Candidate(title, at, end)
    if note.knows(title):
        return heading
    if _STOP.search(title):
        return None
    if sum(map(str.isupper, title)) < 0.8 * sum(map(str.isalpha, title)):
        return heading if _is_unknown_title(title, note, line, alone=alone) else None
    if alone:
        return heading if len(title) > 1 else None
    return heading._replace(is_item=True) if may_name_section(title) and not is_value(rest, 0) else None


def _is_unknown_title(title: str, note: Note, line: re.Match[str], *, alone: bool) -> bool:
    """Whether an unknown title in small letters is one: by its Capitals, or in a note of another language."""
    named = words_of(title)
    if len(named) > 6 or named[0] in _SALUTATIONS or title[0].islower():
        return False
    if alone and is_capitalised(title):
        return True
    return (
        (alone or _follows_blank(note, line))
        and note.is_foreign
        and len(title) > 1
        and not any(map(str.isdigit, title))
    )


def _follows_blank(note: Note, line: re.Match[str]) -> bool:
    """Whether the note or a paragraph begins with a line."""
    return _BLANK_BEFORE.search(note.text[max(0, line.start() - 4) : line.start()]) is not None
