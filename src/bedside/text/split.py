"""Cut notes into passages: by section, then by sentence, within a budget of tokens, losing no character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from operator import index
from typing import Any, NamedTuple, TypeAlias
from unicodedata import category

from bedside.errors import InvalidInputError
from bedside.text.kinds import SectionKinds
from bedside.text.sections import Section, split_sections
from bedside.text.sentences import LEVELS, Span, sentences, split_finer

__all__ = ["CountTokens", "NoteSplitter", "Passage", "checked_counter", "estimate_tokens"]

CountTokens: TypeAlias = Callable[[list[str]], Sequence[int]]
"""Counts the tokens of each of several texts, as an encoder's ``count_tokens`` does."""

# Six letters: against MiniLM's vocabulary on 1,281 clinical notes 5 % too many, for nine notes in ten between 3 % too
# few and 15 % too many. Seven gave 2 % too few: a passage that does not fit its encoder is the worse mistake.
_TOKEN = re.compile(r"[^\W\d_]{1,6}|\d{1,3}|[^\w\s]|_")
_VERSION = 3
# Spaces, controls, zero-width signs and the sign for what could not be decoded: encoders drop them all.
_VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]")
_JOINERS = frozenset(
    "\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
)  # in emoji; variation selectors are marks
_LONGEST_WORD = 100  # characters; what is longer is not a word, number or dose, and may be cut anywhere


@dataclass(frozen=True)
class Passage:
    """A stretch of a note.

    Attributes:
        text: ``note[start:end]``, character for character.
        start: Offset of its first character, in Python's code points.
        end: Offset after its last one.
        section: The heading it stands under, as written; ``None`` before the first heading.
        section_kind: What that section is, such as ``hpi``; ``None`` where its heading does not tell.
    """

    text: str
    start: int
    end: int
    section: str | None
    section_kind: str | None = None


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate how many tokens a WordPiece encoder makes of each text, without its vocabulary.

    Counts signs, each started six letters of a word and each started three digits of a number.
    """
    return [len(_TOKEN.findall(text)) for text in texts]


class NoteSplitter:
    """Cut notes into passages that fit an encoder.

    A passage never crosses a section heading (see :func:`bedside.text.sections.find_headings`); a section too long for
    one passage is cut between sentences, a sentence too long for one passage between lines, clauses, phrases or words,
    in this order. Numbers, doses, dates and abbreviations stay whole; only a run of over 100 characters without a place
    to cut is cut anywhere, beside its numbers. A heading without text of its own goes with the section after it.

    Passages come in the order of the note; together they are the whole note, white space included: each begins where
    the last one ended, or before that where they overlap. Splitting takes time linear in the note's length.

    Args:
        max_tokens: The most tokens in a passage, counted as ``count_tokens`` counts, special tokens included. Only a
            word or dose that has more by itself makes a longer one.
        overlap: A passage repeats whole sentences from the end of the one before it in the same section, of at most so
            many tokens together. ``None`` is an eighth of ``max_tokens``; 0 is no overlap.
        count_tokens: Counts tokens, such as an encoder's ``count_tokens``; ``None`` is :func:`estimate_tokens`.
        section_kinds: Titles of your own and what kind of section each opens, beside those that Bedside knows; see
            :class:`bedside.text.kinds.SectionKinds`.

    Raises:
        InvalidInputError: A number is out of its range, ``count_tokens`` cannot be called, or ``section_kinds`` does
            not map titles to kinds.

    Example:
        >>> for passage in NoteSplitter().split("HPI: Cough for 3 days. PLAN: Rest."):
        ...     print(passage.section, passage.section_kind, passage.start, passage.end)
        HPI hpi 0 23
        PLAN plan 23 34
    """

    def __init__(
        self,
        max_tokens: int = 256,
        overlap: int | None = None,
        count_tokens: CountTokens | None = None,
        section_kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.max_tokens = _check_int("max_tokens", max_tokens, 1, None)
        self.overlap = _check_int("overlap", max_tokens // 8 if overlap is None else overlap, 0, max_tokens)
        self._count_tokens = count_tokens or estimate_tokens
        self._counts = checked_counter(count_tokens)
        self._kinds = SectionKinds(section_kinds)

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the passages, as JSON values: two splitters with equal settings cut alike."""
        owner = getattr(self._count_tokens, "__self__", None)
        counted = getattr(owner, "fingerprint", None) or getattr(self._count_tokens, "__qualname__", "unknown")
        limits = {"max_tokens": self.max_tokens, "overlap": self.overlap, "tokens": str(counted)}
        return {"version": _VERSION, **limits, "section_kinds": self._kinds.more}

    def split(self, text: str) -> list[Passage]:
        """Cut one note.

        Args:
            text: The note.

        Returns:
            Its passages; none for a text of white space alone.

        Raises:
            InvalidInputError: ``text`` is not a str, ``count_tokens`` did not return one number for each text, or
                ``max_tokens`` leaves no room beside the encoder's special tokens.
        """
        if not isinstance(text, str):
            raise InvalidInputError(f"text: expected a str, got {type(text).__name__}")
        stretches = _stretches(text, self._kinds)
        if not stretches:
            return []
        room, count = self._counter()
        spans = [(owner, *span) for owner, stretch in enumerate(stretches) for span in _sentences_of(text, stretch)]
        pieces = _measured(text, spans, count)
        for cut in _CUTS:
            pieces = _refined(text, pieces, room, count, cut)
        groups = _fitting(text, _seen(text, pieces), room, self.overlap, count)
        return [_passage(text, group, stretches[group[0].owner]) for group in groups]

    def _counter(self) -> tuple[int, _Count]:
        """Return how many tokens a passage has room for beside the special ones, and what counts them."""
        one, two = self._counts(["a", "a a"])
        special = max(0, 2 * one - two)  # what counts once in "a a" and twice in "a" and "a"
        if special >= self.max_tokens:
            raise InvalidInputError(f"max_tokens: expected more than {special}, the encoder's special tokens alone")
        return self.max_tokens - special, lambda texts: [max(1, count - special) for count in self._counts(texts)]


def checked_counter(count_tokens: CountTokens | None) -> Callable[[list[str]], list[int]]:
    """Return what counts tokens, and refuses counts that are not one number for each text.

    Raises:
        InvalidInputError: ``count_tokens`` cannot be called; the counter raises it too.
    """
    chosen = estimate_tokens if count_tokens is None else count_tokens
    if not callable(chosen):
        raise InvalidInputError(f"count_tokens: expected a function, got {type(chosen).__name__}")

    return partial(_checked_counts, chosen)  # not a closure: a splitter can be sent to another process


def _checked_counts(count_tokens: CountTokens, texts: list[str]) -> list[int]:
    given = count_tokens(texts)
    try:
        counts = [index(number) for number in given]
    except TypeError:
        raise InvalidInputError(
            "count_tokens: expected a function from a list of texts to a list of as many ints"
        ) from None
    if len(counts) != len(texts):
        raise InvalidInputError(f"count_tokens: expected {len(texts)} counts for as many texts, got {len(counts)}")
    return counts


class _Piece(NamedTuple):
    """A sentence or a part of one; the passages of the stretch ``owner`` are put together from such."""

    owner: int
    start: int
    end: int
    tokens: int


_Count: TypeAlias = Callable[[list[str]], list[int]]
_Cut: TypeAlias = Callable[[str, Span, int], Iterable[Span]]


def _stretches(text: str, kinds: SectionKinds) -> list[Section]:
    """Return the sections, those without text of their own joined to the next one."""
    joined: list[Section] = []
    for section in split_sections(text, kinds):
        if joined and not _VISIBLE.search(text, joined[-1].body, joined[-1].end):
            section = replace(section, start=joined.pop().start)
        joined.append(section)
    return joined if text.strip() else []


def _sentences_of(text: str, stretch: Section) -> Iterator[Span]:
    """Yield a section's sentences, its heading with the first one."""
    found = sentences(text, stretch.body, stretch.end)
    first = next(found, (stretch.body, stretch.end))
    return chain([(stretch.start, first[1])], found)


def _measured(text: str, spans: Sequence[tuple[int, int, int]], count: _Count) -> list[_Piece]:
    counts = count([text[start:end] for _, start, end in spans]) if spans else []
    return [_Piece(*span, tokens) for span, tokens in zip(spans, counts, strict=True)]


def _refined(text: str, pieces: list[_Piece], room: int, count: _Count, cut: _Cut) -> list[_Piece]:
    """Put in the place of every piece that is too large what ``cut`` makes of it."""
    # Some tokenizers make four tokens of a character: what is that short has room and is not worth cutting further.
    step = max(1, room // 4)
    large = [piece for piece in pieces if piece.tokens > room]
    finer = _measured(text, [(p.owner, *span) for p in large for span in cut(text, (p.start, p.end), step)], count)
    return sorted([piece for piece in pieces if piece.tokens <= room] + finer)


def _seen(text: str, pieces: list[_Piece]) -> list[_Piece]:
    """Put what nobody sees, which some encoders refuse by itself, to the piece before or after it."""
    joined: list[_Piece] = []
    blank = False
    for piece in pieces:
        seen = _VISIBLE.search(text, piece.start, piece.end) is not None
        if joined and joined[-1].owner == piece.owner and (blank or not seen):
            before = joined.pop()
            piece = piece._replace(start=before.start, tokens=before.tokens + piece.tokens)
            blank = blank and not seen
        else:
            blank = not seen
        joined.append(piece)
    return joined


def _lines_to_words(level: int) -> _Cut:
    return lambda text, span, step: split_finer(text, span, level, step)


def _anywhere(text: str, span: Span, step: int) -> Iterator[Span]:
    """Cut a run without a place to cut, each time after ``step`` characters or as soon as that parts nothing."""
    written = text[slice(*span)]
    at, first, last = span[0], span[1] - len(written.lstrip()), span[0] + len(written.rstrip())
    while last - first > _LONGEST_WORD and (place := _parting(text, max(at, first) + step, last)) < last:
        yield at, place
        at = place
    yield at, span[1]


def _parting(text: str, place: int, last: int) -> int:
    """Return the first place from ``place`` on that parts no number and no character as it is read."""
    until = min(place + _LONGEST_WORD, last)
    return next((at for at in range(place, until) if not _belongs(text[at - 1], text[at])), until)


def _belongs(before: str, after: str) -> bool:
    """Whether ``after`` belongs to the character or number that ``before`` is of; white space ends what it follows."""
    if after.isspace() or after in _JOINERS or before == "\u200d" or category(after).startswith("M"):
        return True
    return (before.isdigit() or after.isdigit()) and all(c.isdigit() or c in ".,/:-" for c in (before, after))


_CUTS: tuple[_Cut, ...] = (*map(_lines_to_words, range(LEVELS)), _anywhere)


def _packed(pieces: list[_Piece], room: int, overlap: int) -> Iterator[list[_Piece]]:
    """Put as many pieces of a stretch together as there is room for, each time going back by ``overlap`` tokens."""
    first = 0
    while first < len(pieces):
        last, tokens = first + 1, pieces[first].tokens
        while _is_next(pieces, last) and tokens + pieces[last].tokens <= room:
            tokens += pieces[last].tokens
            last += 1
        yield pieces[first:last]
        first = _step_back(pieces, first, last, room, overlap) if _is_next(pieces, last) else last


def _is_next(pieces: list[_Piece], at: int) -> bool:
    """Whether there is a piece at ``at`` and it belongs with the one before it."""
    return at < len(pieces) and pieces[at].owner == pieces[at - 1].owner


def _step_back(pieces: list[_Piece], first: int, last: int, room: int, overlap: int) -> int:
    """Return where the next passage begins so that it repeats what it may and still has room for something new."""
    allowed = min(overlap, room - pieces[last].tokens)
    while last - 1 > first and pieces[last - 1].tokens <= allowed:
        last -= 1
        allowed -= pieces[last].tokens
    return last


def _fitting(text: str, pieces: list[_Piece], room: int, overlap: int, count: _Count) -> list[list[_Piece]]:
    """Put the pieces together, in less room where a tokenizer makes more of a whole than of its parts."""
    fitting = room
    while True:
        groups = list(_packed(pieces, fitting, overlap))
        counts = count([text[group[0].start : group[-1].end] for group in groups])
        if all(tokens <= room or len(group) == 1 for group, tokens in zip(groups, counts, strict=True)):
            return groups
        fitting -= max(1, fitting // 32)


def _passage(text: str, group: list[_Piece], section: Section) -> Passage:
    start, end = group[0].start, group[-1].end
    return Passage(text[start:end], start, end, section.title, section.kind)


def _check_int(name: str, value: object, least: int, below: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (below is not None and value >= below):
        limit = "" if below is None else f" and below {below}"
        raise InvalidInputError(f"{name}: expected an int of at least {least}{limit}, got {value!r}")
    return value
