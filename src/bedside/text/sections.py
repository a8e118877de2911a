"""Find the headings of a clinical note, and the sections between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bedside.text.headings import Note, candidates
from bedside.text.kinds import SectionKinds
from bedside.text.titles import Candidate, is_part

__all__ = ["Heading", "Section", "find_headings", "split_sections"]

_TABLE = SectionKinds()
# Sections whose items look like headings: results with their names in capitals, problems after a "#".
_LISTS = frozenset(("laboratory", "results", "vital_signs", "assessment", "assessment_and_plan", "plan", "problems"))
# What a part of an examination, such as "HEENT", is of, by the section before it.
_PARTS_OF = {
    "review_of_systems": "review_of_systems",
    "physical_exam": "physical_exam",
    "vital_signs": "physical_exam",
    "findings": "findings",
}


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
    r"""Find the headings of a note, in their order; in time linear in its length."""
    note = Note(text, kinds)
    return list(_named(note, candidates(note)))


def _named(note: Note, found: Iterable[Candidate]) -> Iterator[Heading]:
    """Say what kind each heading is of, by its title and by the section before it, and leave out items of lists."""
    kind, body = None, 0
    for title, start, end, is_item in found:
        own = note.kinds.of(title, english=note.is_english)
        if own is None and is_item and kind in _LISTS:
            continue
        if own is None and is_part(title):
            own = _PARTS_OF.get(kind or "")
        if own is None and body and not note.text[body:start].strip():
            own = kind
        kind, body = own, end
        yield Heading(title, start, end, kind)
