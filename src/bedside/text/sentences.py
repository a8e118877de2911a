"""Cut clinical text into sentences, and sentences that are too long into smaller pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any, TypeAlias

from bedside.text.lexicon import UNITS, words
from bedside.text.memo import Memo

__all__ = ["Span", "sentences", "split_finer"]

Span: TypeAlias = tuple[int, int]
"""Start and end offset; ``text[start:end]``."""


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


# The lists stand in a file that the modules for the browser (``bedside/web``) read as well.
_LISTS: dict[str, Any] = json.loads(resources.files("bedside.text").joinpath("data/sentences.json").read_text("utf-8"))
# Never the last word of a sentence, written without the last dot.
_OPEN = frozenset[str](_LISTS["open"])
# Open only before a number: "No. 5", but "Smoker? No. Drinks"; "q. 4 h".
_OPEN_BEFORE_NUMBER = frozenset[str](_LISTS["open_before_number"])
_ROUTES = frozenset[str](_LISTS["routes"])
# German words before an ordinal number, and months after one: "am 3. Mai", "die 2. Operation".
_BEFORE_ORDINAL = frozenset[str](_LISTS["before_ordinal"])
_MONTHS_AFTER = frozenset[str](_LISTS["months_after"])
# Words after which a line goes on in the next one.
_GOES_ON = frozenset[str](_LISTS["goes_on"])
_CLOSERS = "\"'”’)]*»"
_MARKS = re.escape(".!?…" + _CLOSERS)
# White space with the mark before it, else from its first line break. It begins with one set of characters, so that all
# others, the spaces between words too, are skipped: four times as fast as a search for white space after a mark.
_CANDIDATE = re.compile(rf"[{_MARKS}\r\n](?:(?<=[\r\n])\s*|(?<=[{_MARKS}])\s+)")
_BREAK = re.compile(r"\r\n|[\r\n]")
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
_BULLET = re.compile(r"[-*+•‣▪◦·–—o][ \t]|#{1,6}[ \t]*\S|\(?(?:\d{1,3}|[A-Za-z])(?:\.\)?|\))[ \t]|[•‣▪◦]")
_CLOSED_NUMBER = re.compile(r"\d{1,3}\.\)")
_NEXT_WORD = re.compile(r"(?:[^\W\d_]|[%.]){1,12}")

_UNIT = _any_of(
    UNITS
    | words(
        """
        µg µl µm µmol μg μl μm μmol meq tablet tablets capsule capsules ampule ampules vial vials tsp tbsp teaspoon
        teaspoons tablespoon tablespoons c f fr french gauge dose doses feet degrees million billion thousand a.m p.m
        """
    )
)
_FRACTION = "[½⅓⅔¼¾⅛⅜⅝⅞]"
# "1,000", "1 000", "1 1/2", "2½", "10^9"
_AMOUNT = (
    rf"(?:\d+(?:[.,]\d+)*(?:\s\d{{3}}(?!\d)){{0,3}}(?:\s\d/\d\d?(?!\d)|\s?{_FRACTION}|\^-?\d+)?|{_FRACTION})"
    rf"(?:\s{{0,2}}(?:%|°(?:\s?[cf]\b)?|(?:{_UNIT})(?!\w))){{0,2}}"
)
_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    rf"|nov(?:ember)?|dec(?:ember)?|{_any_of(_MONTHS_AFTER)})\b\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.)?"
_UNBROKEN = re.compile(
    # A date with its month in letters.
    rf"\b{_MONTH}\s{{1,2}}{_DAY}(?:,?\s{{1,2}}\d{{4}})?\b|\b{_DAY}\s{{1,2}}{_MONTH}(?:,?\s{{1,2}}\d{{4}}\b)?"
    # A dose, range, ratio or value with the spaces inside it: "< 5.2 mg / kg / day", "5 mg - 10 mg", "120 / 80".
    rf"|(?:[<>=~±≤≥]\s?)?\b{_AMOUNT}(?:\s{{0,2}}(?:-|–|/|x|×|to\b|per\b)\s{{0,2}}(?:{_AMOUNT}|(?:{_UNIT})\b)){{0,8}}"
    # "5 ft 3 in", "7 lb 2 oz".
    r"(?:(?<=ft|lb)\s{1,2}\d[\d.]*\s?(?:in|inch|inches|oz)\b)?"
    # Initials, an abbreviation with spaces after its dots ("b. i. d."), and one that asks for more together with it.
    r"|(?<![\w.])(?-i:[A-Z]\.\s{1,2}){1,4}(?=[^\W\d_])|(?<![\w.])(?:[a-z]\.\s){1,4}[a-z]\.(?!\w)"
    rf"|\b(?:{_any_of(_OPEN)})\.\s{{0,2}}(?=\w)|\b(?:q\.?|(?:{_any_of(_OPEN_BEFORE_NUMBER)})\.)\s{{1,2}}(?=\d)",
    re.IGNORECASE,
)
_FINER = (re.compile(r"[\r\n]\s*"), re.compile(r"(?<=[;:.!?])\s+"), re.compile(r"(?<=,)\s+"), re.compile(r"\s+"))


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the sentences of ``text[start:end]``, each with the white space that follows it.

    Together they are the whole stretch. A sentence ends at a mark (``.``, ``!``, ``?``) before a capital, number or
    bullet, at an empty line, and at a line break before a list item or a new statement. It does not end after an
    abbreviation that asks for more (``Dr.``, ``e.g.``), after the number of a list item, or inside a dose. Lines of
    prose that were wrapped stay together. Where it cannot be known (``Group B. Smith``), the sentence goes on.

    Takes time linear in the length of the stretch.

    Example:
        >>> text = "Saw Dr. Wu. Takes 5.2 mg b.i.d. with food. Feels well."
        >>> [text[a:b] for a, b in sentences(text)]
        ['Saw Dr. Wu. ', 'Takes 5.2 mg b.i.d. with food. ', 'Feels well.']
    """
    end = len(text) if end is None else end
    at, written = start, _after_space(text, start, end)
    for found in _CANDIDATE.finditer(text, written, end):
        first, after = found.span()
        gap = first if text[first] in "\r\n" else first + 1, after
        if after < end and _ends_sentence(text, written, gap):
            yield at, after
            at = written = after
    if at < end:
        yield at, end


def split_finer(text: str, span: Span, level: int, least: int = 1) -> Iterator[Span]:
    """Cut a sentence into its lines (level 0), clauses (1), phrases (2) or words (3); doses and the like stay whole.

    The pieces are contiguous; each has the white space that follows it and, but for the last one, at least ``least``
    characters before that.
    """
    at, end = span
    written = _after_space(text, at, end)
    kept = (match.span() for match in _UNBROKEN.finditer(text, *span))
    inside = next(kept, (end, end))
    for gap in _FINER[level].finditer(text, written, end):
        while inside[1] <= gap.start() < end:
            inside = next(kept, (end, end + 1))
        if gap.start() - written >= least and gap.end() < end and not inside[0] < gap.start():
            yield at, gap.end()
            at = written = gap.end()
    yield at, end


LEVELS = len(_FINER)
"""How many levels :func:`split_finer` knows."""


def _ends_sentence(text: str, start: int, gap: Span) -> bool:
    """Whether the white space ``gap``, after a mark or with a line break, parts two sentences."""
    before, breaks, after = _last_word(text, start, gap[0]), text[slice(*gap)], gap[1]
    if _IS_CLOSED[before]:  # most words before a gap, for which the rules below come to this
        return not text[after].islower() or _BREAK.search(breaks) is not None
    lines = 0 if breaks == " " else len(_BREAK.findall(breaks))
    if lines > 1:
        return True
    if lines and _BULLET.match(text, after):
        return True
    marked = before.rstrip(_CLOSERS)
    if marked.endswith("."):
        place = gap[0] - len(before)
        return _stops(text, start, after, place, marked[:-1].lstrip("([\"'“‘"), new_line=lines > 0)
    if marked.endswith(("!", "?", "…")):
        return not text[after].islower()
    return lines > 0 and _is_new_statement(before, text, after)


def _is_closed(word: str) -> bool:
    """Whether a word and its dot end a sentence wherever no small letter follows in the same line."""
    bare = word[:-1].lower()
    closed = word.endswith(".") and len(bare) > 1 and bare.isalpha()
    return closed and not (bare in _OPEN or bare in _OPEN_BEFORE_NUMBER or bare in UNITS)


_IS_CLOSED = Memo(_is_closed)


def _stops(text: str, start: int, after: int, place: int, word: str, *, new_line: bool) -> bool:
    """Whether the dot after ``word``, which stands at ``place``, ends the sentence before ``after``."""
    bare, first = word.lower(), text[after]
    if bare in _OPEN or (len(bare) == 1 and bare.isalpha()) or (bare in _OPEN_BEFORE_NUMBER and first.isdigit()):
        return False
    if first.islower() and not (new_line and bare.isalpha()):
        return False
    if bare.isdigit() and (
        first.isdigit()
        or _is_list_number(text, start, place)
        or _is_ordinal(text, start, place, _next_word(text, after))
    ):
        return False
    if bare not in UNITS and ("." not in word or _DOTTED.fullmatch(word) is None):
        return True
    follows = _next_word(text, after)
    return not (follows.isupper() and follows.lower() in _ROUTES)


def _is_ordinal(text: str, start: int, place: int, follows: str) -> bool:
    """Whether a number at ``place`` is a German ordinal, by the word before or after it."""
    before = text[max(start, place - 40) : place].lower().split()[-1:]
    return follows.lower() in _MONTHS_AFTER or not _BEFORE_ORDINAL.isdisjoint(before)


def _is_new_statement(before: str, text: str, at: int) -> bool:
    """Whether a line break without a mark before it begins a statement of its own at ``at``, as in a list."""
    if before[-1:] in {",", "-", "/", "(", "&", "+", "=", "<", ">"} or before.lower() in _GOES_ON:
        return False
    if before[-1:].isdigit() and _next_word(text, at).lower() in UNITS:
        return False
    return not text[at].islower()


def _is_list_number(text: str, start: int, at: int) -> bool:
    """Whether a number at ``at`` begins the sentence, follows a mark in it, or is written ``2.)``."""
    before = text[max(start, at - 3) : at].rstrip()
    return at <= start or _CLOSED_NUMBER.match(text, at) is not None or before[-1:] in {"", ".", ":", ";", ","}


def _after_space(text: str, start: int, end: int) -> int:
    return start if text[start : start + 1].strip() else end - len(text[start:end].lstrip())


def _last_word(text: str, start: int, end: int) -> str:
    before = text[max(start, end - 40) : end]
    return before.rsplit(None, 1)[-1] if before[-1:].strip() else ""


def _next_word(text: str, start: int) -> str:
    word = _NEXT_WORD.match(text, start)
    return word.group().rstrip(".") if word else ""
