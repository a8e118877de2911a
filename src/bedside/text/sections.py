"""Find the headings of a clinical note, and the sections between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bedside.text.headings import Note, candidates
from bedside.text.kinds import SectionKinds
from bedside.text.titles import Candidate, is_part, is_value

__all__ = ["Heading", "Section", "find_headings", "split_sections"]

_TABLE = SectionKinds()
# Sections whose items look like headings: tests with their names in capitals, and problems after a "#".
_OF_RESULTS = frozenset(("laboratory", "results", "vital_signs"))
_OF_PROBLEMS = frozenset(("assessment", "assessment_and_plan", "plan", "problems", "diagnoses"))
# What a part of an examination, such as "HEENT", is of, by the section before it.
_PARTS_OF = {
    "review_of_systems": "review_of_systems",
    "physical_exam": "physical_exam",
    "vital_signs": "physical_exam",
    "objective": "physical_exam",
    "findings": "findings",
}
_LINE_BEFORE = re.compile(r"(?:\A|[\r\n])(?P<title>[A-Z][A-Z\d ,()/-]{0,40}):[^\r\n]{1,50}(?:\r\n|[\r\n])\Z")
_LINE_AFTER = re.compile(r"[^\r\n]{1,50}(?:\r\n|[\r\n])(?P<title>[A-Z][A-Z\d ,()/-]{0,40}):")
_SHORT = re.compile(r"[^\r\n.;]{1,40}(?=[\r\n.;]|\Z)")  # what stands after the name of a test


@dataclass(frozen=True)
class Heading:
    """A heading: ``text[start:end]`` is its title with its number, marks and colon.

    Attributes:
        title: As written, without them.
        start: Offset of its first character.
        end: Offset after its last one; the section's text follows.
        kind: What the section is, as :class:`bedside.text.kinds.SectionKinds` names it; ``None`` where it is unknown.
    """

    title: str
    start: int
    end: int
    kind: str | None = None


@dataclass(frozen=True)
class Section:
    """A heading and the text up to the next one.

    Attributes:
        title: The heading's; ``None`` for what stands before the first heading.
        start: Offset of the heading.
        body: Offset after the heading.
        end: Offset of the next heading, or the length of the text.
        kind: The heading's.
    """

    title: str | None
    start: int
    body: int
    end: int
    kind: str | None = None


def split_sections(text: str, kinds: SectionKinds = _TABLE) -> list[Section]:
    """Cut a note at its headings.

    Args:
        text: The note.
        kinds: What the sections are by their titles.

    Returns:
        Sections that follow each other without a gap and together are the whole text.

    Example:
        >>> [(s.title, s.kind, s.end) for s in split_sections("Seen today. HPI: Cough.")]
        [(None, None, 12), ('HPI', 'hpi', 23)]
    """
    headings = find_headings(text, kinds)
    starts = [heading.start for heading in headings] + [len(text)]
    before = [Section(None, 0, 0, starts[0])] if starts[0] else []
    return before + [Section(h.title, h.start, h.end, end, h.kind) for h, end in zip(headings, starts[1:], strict=True)]


def find_headings(text: str, kinds: SectionKinds = _TABLE) -> list[Heading]:
    r"""Find the headings of a note, in their order; in time linear in its length.

    A heading is one of:

    * a line in capitals, or With Every Word Capitalised, that ends with a colon (``ESTIMATED BLOOD LOSS:``);
    * a title made of the words that section titles are made of, in any case, at the start of a line before a colon
      (``Past medical history: asthma.``), or alone in a line (``Assessment and Plan``);
    * another title in capitals at the start of a line before a colon (``INTERVAL EVENTS: none.``), but no test before
      its value (``GRAM STAIN: negative``), and none among results;
    * a title of the second kind in capitals or With Every Word Capitalised inside a line, after the end of a sentence
      (``No fever. Plan: Rest.``);
    * in a line with three of these, as where line ends became spaces or commas, also what else looks like them: a
      part of an examination, another title in capitals, a title that no mark parts from what is before it;
    * in a note of another language, an unknown title before a colon that has a line to itself or follows an empty one;
    * the letters ``S:``, ``O:``, ``A:`` and ``P:`` (or ``A/P:``) of a progress note, where all of them are there and in
      their order;
    * a Markdown heading (``## Plan``, underlined, or a line in bold). A line with one ``#`` is one where its title is
      known or the note has headings with more; under a plan it is a problem and none.

    Parts of an examination (``Lungs: clear.``), measurements (``BP: 120/80``) and list items are text of the section
    that they stand in; a part is a heading where it has a line to itself, before a colon or in capitals.

    Args:
        text: The note.
        kinds: What the sections are by their titles; titles that a user added are headings too.

    Example:
        >>> headings = find_headings("HPI:\nCough. BP: 120/80.\nCurrent meds: none.")
        >>> [(heading.title, heading.kind) for heading in headings]
        [('HPI', 'hpi'), ('Current meds', 'medications')]
    """
    note = Note(text, kinds)
    return list(_named(note, candidates(note)))


def _named(note: Note, found: Iterable[Candidate]) -> Iterator[Heading]:
    """Say what kind each heading is of, and leave out items of lists.

    What its title does not tell, the section before it may: a part belongs to its examination, and a heading right
    below another one to that.
    """
    text, kind, body = note.text, None, 0
    for title, start, end, is_item, known in found:
        own = known or note.kinds.of(title, english=note.is_english)
        if own is None and is_item and _is_in_list(text, start, end, kind):
            continue
        if own is None and is_part(title):
            own = _PARTS_OF.get(kind or "")
        if own is None and body and not text[body:start].strip():
            own = kind
        kind, body = own, end
        yield Heading(title, start, end, kind)


def _is_in_list(text: str, start: int, end: int, kind: str | None) -> bool:
    """Whether what may be an item is one: a problem of a plan, a result among results or beside a value."""
    if not text[start].isalpha():
        return kind in _OF_PROBLEMS
    return _SHORT.match(text, end) is not None and (kind in _OF_RESULTS or _is_beside_value(text, start, end))


def _is_beside_value(text: str, start: int, end: int) -> bool:
    """Whether the line before or after one is a test with its value."""
    before = _LINE_BEFORE.search(text, max(0, start - 100), start)
    after = _LINE_AFTER.match(text, end)
    return any(line is not None and is_value(text, line.end("title") + 1) for line in (before, after))
