"""What of the found notes goes into a prompt: the best passages within a budget of tokens, in the notes' order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from bedside.errors import InvalidInputError
from bedside.support.checks import check_int
from bedside.text.split import CountTokens, NoteSplitter, checked_counter
from bedside.types import Collapsed, Copy, Explanation, Hit, Metadata

__all__ = ["GAP", "Header", "NoteHit", "context", "source_header"]

GAP = "[…]"
"""Stands where text of the note is left out."""
_KINDS = ("kind", "note_type", "title")
"""Where metadata say what a note is: as loaders write it, as many exports call it, and what its title tells."""
_PATIENCE = 16  # passages in a row that did not fit, before the rest is not tried: a note of a book has thousands


@dataclass(frozen=True)
class NoteHit(Collapsed):
    """One note that was found.

    Attributes:
        id: The note's id, which its passages carry as ``source_id``.
        score: Of the note; higher is better.
        metadata: The note's own.
        length: Characters in the note.
        passages: Those that the filter left, best first, each with its own score.
        explanation: Only with ``explain=True``: how the note's score came about.
        copies: With ``collapse="copies"``: the notes that say the same about the question, whose ids are ``source``.
        first_seen: The earliest date of it and its copies, as that one's metadata has it.
        last_seen: The latest.
    """

    id: str
    score: float
    metadata: Metadata
    length: int
    passages: tuple[Hit, ...]
    explanation: Explanation | None = None
    copies: tuple[Copy, ...] = ()
    first_seen: str | None = None
    last_seen: str | None = None

    @property
    def label(self) -> str:
        """What to cite the note by; :func:`bedside.answers.check_answer` knows it."""
        return self.id

    @property
    def date(self) -> str | None:
        """The note's date as its metadata have it under ``date``."""
        return _first(self.metadata, ("date",))

    @property
    def kind(self) -> str | None:
        """What kind of note it is, as its metadata have it under ``kind``, ``note_type`` or ``title``."""
        return _first(self.metadata, _KINDS)

    @property
    def author(self) -> str | None:
        """Who wrote it, as its metadata have it under ``author``."""
        return _first(self.metadata, ("author",))

    def context(self, *, max_tokens: int, count_tokens: CountTokens | None = None) -> str:
        """Return the note's best passages as one text of at most ``max_tokens``; see :func:`context`."""
        return context([self], max_tokens=max_tokens, count_tokens=count_tokens, header=None)


Header: TypeAlias = Callable[[NoteHit], str]
"""Returns what stands above a note in a prompt."""


def source_header(hit: NoteHit) -> str:
    """Return ``Source: <note id>`` and, in brackets, the note's date, kind and author where they are known.

    Example:
        >>> source_header(NoteHit("v1", 0.9, {"date": "2024-05-06", "author": "A. Roe"}, 10, ()))
        'Source: v1 (2024-05-06, A. Roe)'
    """
    known = ", ".join(filter(None, (hit.date, hit.kind, hit.author)))
    return f"Source: {hit.label} ({known})" if known else f"Source: {hit.label}"


def _first(metadata: Metadata, keys: Sequence[str]) -> str | None:
    """Return the first value that is there, on one line: it must not look like a line of the note."""
    values = (metadata.get(key) for key in keys)
    told = (" ".join(str(value).split()) for value in values if isinstance(value, str | int))
    return next(filter(None, told), None)


def context(
    hits: Iterable[NoteHit],
    *,
    max_tokens: int,
    count_tokens: CountTokens | None = None,
    header: Header | None = source_header,
) -> str:
    """Render found notes for a prompt.

    The best passage of each note comes first into the budget, then the other passages by score, each where it still
    fits. What was chosen stands in the order of the hits and of each note. Passages that touch or overlap are joined;
    ``[…]`` stands where something is left out, as ``[… FAMILY HISTORY]`` before a piece from the middle of a section.
    The very first passage, where it is too long, is cut after its first sentences.

    Args:
        hits: What :meth:`bedside.Collection.search_notes` returned.
        max_tokens: The most tokens of the whole text.
        count_tokens: Counts the tokens of each of several texts, such as your language model's tokenizer; ``None`` is
            :func:`bedside.text.split.estimate_tokens`.
        header: Returns what stands above each note; :func:`source_header` by default, for citations and so that a
            reader can judge the source. ``None``: nothing.

    Returns:
        The text; empty where not even a word fits.

    Raises:
        InvalidInputError: ``max_tokens`` is not a natural number, ``hits`` are no notes, ``count_tokens`` does not
            return one number for each text, or ``header`` no text.
    """
    check_int("max_tokens", max_tokens, optional=True)
    if max_tokens is None:
        raise InvalidInputError("max_tokens: expected an int of at least 0, got None")
    notes, count = _checked(hits), checked_counter(count_tokens)
    headers = _lines_above(notes, header)

    def fits(pieces: Sequence[_Piece]) -> bool:
        return count([_rendered(notes, pieces, headers)])[0] <= max_tokens

    pieces = _by_worth(notes)
    chosen = pieces[: _fitting(pieces, fits)]
    misses = 0
    for piece in pieces[len(chosen) :]:
        shorter = [piece] if chosen else _ever_shorter(piece, max_tokens, count)
        fitting = next((candidate for candidate in shorter if fits([*chosen, candidate])), None)
        if fitting is not None:
            chosen.append(fitting)
        misses = misses + 1 if fitting is None else 0
        if misses == _PATIENCE:
            break
    return _rendered(notes, chosen, headers)


def _checked(hits: object) -> list[NoteHit]:
    given = list(hits) if isinstance(hits, Iterable) else [hits]
    notes = [hit for hit in given if isinstance(hit, NoteHit)]
    if len(notes) < len(given):
        wrong = next(type(hit).__name__ for hit in given if not isinstance(hit, NoteHit))
        raise InvalidInputError(f"hits: expected a list of what search_notes returned, got {wrong}")
    return notes


def _lines_above(notes: Sequence[NoteHit], header: Any) -> list[str]:
    """Return the line above each note, with its end."""
    if header is None:
        return [""] * len(notes)
    made = [header(note) for note in notes] if callable(header) else [header]
    if not callable(header) or not all(isinstance(text, str) for text in made):
        raise InvalidInputError("header: expected a function of a note that returns a str")
    return [f"{text}\n" if text else "" for text in made]


def _fitting(pieces: Sequence[_Piece], fits: Callable[[Sequence[_Piece]], bool]) -> int:
    """Return how many pieces from the first on fit together, found by doubling and halving."""
    most = 1
    while most < len(pieces) and fits(pieces[:most]):
        most *= 2
    return bisect_left(range(1, min(most, len(pieces)) + 1), True, key=lambda number: not fits(pieces[:number]))


class _Piece(NamedTuple):
    """A passage that may be shown: the number of its note, where it stands, and its heading if it lacks that."""

    note: int
    start: int
    end: int
    text: str
    within: str | None


def _by_worth(hits: Sequence[NoteHit]) -> list[_Piece]:
    """Return the best passage of each note, then all others by score."""
    every = [
        (rank > 0, -hit.score if rank else 0.0, n, hit)
        for n, note in enumerate(hits)
        for rank, hit in enumerate(note.passages)
    ]
    headings = [_headings(note) for note in hits]
    return [
        _Piece(n, hit.metadata["start"], hit.metadata["end"], hit.text, headings[n].get(hit.metadata["start"]))
        for _, _, n, hit in sorted(every, key=lambda entry: entry[:3])
    ]


def _headings(note: NoteHit) -> dict[int, str | None]:
    """Return the headings of the passages that begin within their sections, by their starts."""
    ordered = sorted((hit.metadata for hit in note.passages), key=lambda metadata: metadata["start"])
    return {
        after["start"]: after["section"]
        for before, after in pairwise(ordered)
        if before["section"] == after["section"] and after["start"] <= before["end"]
    }


def _ever_shorter(piece: _Piece, max_tokens: int, count: CountTokens) -> Iterator[_Piece]:
    """Yield a passage whole, then less and less of its beginning."""
    yield piece
    room, special = max_tokens, max(0, count(["a"])[0] - 1)
    while room > special:
        for passage in NoteSplitter(room, 0, count).split(piece.text)[:1]:
            yield piece._replace(text=passage.text, end=piece.start + passage.end)
        room = room * 3 // 4


def _rendered(hits: Sequence[NoteHit], pieces: Sequence[_Piece], headers: Sequence[str]) -> str:
    """Return the pieces by note, in the order of the notes."""
    blocks = []
    for number, hit in enumerate(hits):
        if mine := sorted((piece for piece in pieces if piece.note == number), key=lambda p: (p.start, p.end)):
            blocks.append(headers[number] + _note_text(mine, hit.length))
    return "\n\n".join(blocks)


def _note_text(pieces: Sequence[_Piece], length: int) -> str:
    """Return pieces of one note, in its order, joined where they meet."""
    text, at = "", 0
    for piece in pieces:
        if piece.start > at:
            gap = GAP if piece.within is None else f"[… {piece.within}]"
            text = f"{text.rstrip()}\n{gap}\n".lstrip("\n")
        text += piece.text[max(0, at - piece.start) :]
        at = max(at, piece.end)
    return text.rstrip() if at == length else f"{text.rstrip()}\n{GAP}"
