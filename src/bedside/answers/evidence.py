"""What a source says, laid out to be compared: its facts with the words around them, its words with their polarity."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log
from typing import NamedTuple

from bedside.answers.facts import TOKENIZER, Fact, facts, level, word_numbers
from bedside.answers.units import FREQUENCY_WORDS, NUMBER_WORDS
from bedside.filters.dates import read
from bedside.text.assertions import Mark, mark
from bedside.text.assertions.cues import rule_words
from bedside.text.lexicon import NEGATIONS, UNITS
from bedside.text.sentences import Span, sentences
from bedside.text.synonyms import Lexicon
from bedside.types import Document

__all__ = ["Phrase", "Piece", "Rarity", "SourceText", "content_terms", "phrases", "pieces"]

_BREAK = re.compile(r"[,;]\s+|\s\(|\)\s*|\s-\s|\.\s+|\s(?:and|&|but|or|then|while|whereas)\s")
_JOINS = frozenset({"and", "&", "or", "but", "nor", "with", "without"})
_WORD = re.compile(r"\S+")
_NON = re.compile(r"^[(\"'“]?non-?(?=[a-z]{4})(?!etheless|sense|specific)", re.IGNORECASE)
# Here "without" denies one word and nothing after it: "intubated without difficulty and sent to recovery".
_WITHOUT_DIFFICULTY = re.compile(r"\bwithout\s+(difficult(?:y|ies))\b", re.IGNORECASE)
_STOPS = re.compile(r"[,;:.!?)\]]+$")
_REPORTING = "say says said state states stated record records recorded describe describes described mention mentions"
_COUNTING = [*UNITS, *NUMBER_WORDS, *FREQUENCY_WORDS, "percent", "milligram", "microgram", "kilogram", "milliliter"]
_GENERIC = frozenset(
    TOKENIZER.tokenize(
        " ".join(
            [
                *rule_words("generic"),
                *NEGATIONS,
                *_COUNTING,
                _REPORTING,
                "taken given according visit whether since until about around",
            ]
        )
    )
)


class Piece(NamedTuple):
    """A stretch between commas and the like: its words, its facts, and the words that say what these are about.

    The latter are its own; where it has none, those of the piece before it, or of the whole sentence.
    """

    terms: frozenset[str]
    context: frozenset[str]
    facts: tuple[Fact, ...]
    start: int
    end: int


class Phrase(NamedTuple):
    """Neighbouring words of one polarity, each as its terms."""

    words: tuple[frozenset[str], ...]
    negated: bool
    start: int
    end: int


def content_terms(text: str) -> frozenset[str]:
    """The terms of a text but for numbers, units and generic words, and those of what its abbreviations stand for."""
    return frozenset(term for word in _WORD.findall(text) for term in _telling(word))


def pieces(text: str, found: Iterable[Fact]) -> Iterator[Piece]:
    """Cut a text into pieces, each with the facts among ``found`` that begin in it."""
    ordered, even = sorted(found, key=_start), level(text)
    for sentence in sentences(text):
        context = content_terms(text[slice(*sentence)])
        for start, end in _cut(even, sentence):
            held = ordered[bisect_left(ordered, start, key=_start) : bisect_left(ordered, end, key=_start)]
            terms = content_terms(text[start:end])
            context = terms or context
            yield Piece(terms, context, tuple(held), start, end)


def _start(fact: Fact) -> int:
    return fact.start


def _cut(text: str, span: Span) -> Iterator[Span]:
    at = span[0]
    for gap in _BREAK.finditer(text, *span):
        if gap.start() > at:
            yield at, gap.start()
        at = gap.end()
    if at < span[1]:
        yield at, span[1]


class _Marked(NamedTuple):
    terms: tuple[str, ...]
    negated: bool
    cue: bool
    start: int
    end: int
    stops: bool


def _marked_words(text: str) -> Iterator[_Marked]:
    denied, cues, family = (bytearray(len(text) + 1) for _ in range(3))
    for found in mark(text):
        for flags, (first, last) in _flagged(found, denied, cues, family):
            flags[first:last] = b"\1" * (last - first)
    for easily in _WITHOUT_DIFFICULTY.finditer(text):
        denied[easily.start(1)] = 1
    for word in _WORD.finditer(text):
        start, end = word.span()
        written = _NON.sub("", word.group())  # "non-tender" is "not tender"
        terms = () if family[start] else _telling(written)
        stops = _STOPS.search(written) is not None
        yield _Marked(terms, bool(denied[start]) or written != word.group(), bool(cues[start]), start, end, stops)


def _flagged(found: Mark, denied: bytearray, cues: bytearray, family: bytearray) -> Iterator[tuple[bytearray, Span]]:
    """Which letters a mark sets: its scope, and the words that say so."""
    if found.status == "negated":
        yield denied, (found.start, found.end)
        yield cues, found.cue
    elif found.status == "family":
        yield family, (found.start, found.end)


def phrases(text: str) -> list[Phrase]:
    """The runs of words that a text asserts or denies as one; generic words and cues are no part of them.

    Example:
        >>> text = "Denies chest pain, but has a dry cough."
        >>> [(text[p.start : p.end], p.negated) for p in phrases(text)]
        [('chest pain,', True), ('dry cough.', False)]
    """
    found: list[Phrase] = []
    run: list[_Marked] = []
    for word in _marked_words(text):
        joins = text[word.start : word.end].lower() in _JOINS
        if run and (word.cue or joins or word.negated != run[-1].negated):
            found += _phrase(run)
            run = []
        if not (word.cue or joins):
            run.append(word)
        if word.stops:
            found += _phrase(run)
            run = []
    return found + _phrase(run)


def _phrase(run: Sequence[_Marked]) -> list[Phrase]:
    telling = [word for word in run if word.terms]
    if not telling:
        return []
    words = tuple(frozenset(word.terms) for word in telling)
    return [Phrase(words, telling[0].negated, telling[0].start, telling[-1].end)]


@dataclass(frozen=True)
class SourceText:
    """One document, laid out; every part is made when it is first asked for."""

    document: Document

    @cached_property
    def pieces(self) -> list[Piece]:
        """Its pieces with all their facts, those in spelled-out numbers and in abbreviations included."""
        text = self.document.text
        return list(pieces(text, [*facts(text), *word_numbers(text), *_spelled_out(text)]))

    @cached_property
    def dates(self) -> list[Fact]:
        """The dates among its metadata."""
        written = [value for value in self.document.metadata.values() if isinstance(value, str) and read(value)]
        return [fact for value in written for fact in facts(value) if fact.kind == "date"]

    @cached_property
    def terms(self) -> frozenset[str]:
        """All its terms."""
        return frozenset(TOKENIZER.tokenize(self.document.text))

    @cached_property
    def content(self) -> frozenset[str]:
        """What it is about, its metadata included."""
        about = (value for value in self.document.metadata.values() if isinstance(value, str))
        return content_terms(" ".join([self.document.text, *about]))

    @cached_property
    def words(self) -> str:
        """Its text with one space between words, for quotations."""
        return plain_words(self.document.text)

    @cached_property
    def spans(self) -> list[Span]:
        """Its sentences."""
        return list(sentences(self.document.text))

    @cached_property
    def polarity(self) -> list[dict[str, set[bool]]]:
        """For each sentence its terms, and whether they are asserted (False), denied (True) or both."""
        found: list[dict[str, set[bool]]] = [{} for _ in self.spans]
        starts = [start for start, _ in self.spans]
        for word in _marked_words(self.document.text):
            sentence = found[max(0, bisect_right(starts, word.start) - 1)]
            for term in word.terms:
                sentence.setdefault(term, set()).add(word.negated)
        return found


class Rarity:
    """How much a term tells: the logarithm of how few pieces of the sources have it."""

    def __init__(self, sources: Sequence[SourceText]) -> None:
        self._pieces = sum(len(source.pieces) for source in sources)
        self._held = Counter(term for source in sources for piece in source.pieces for term in piece.terms)

    def weight(self, terms: frozenset[str]) -> float:
        """The sum over some terms; those that no source has weigh most."""
        return sum(log(1 + self._pieces / (self._held[term] or 0.5)) for term in sorted(terms))


def plain_words(text: str) -> str:
    """Lower-case text with one space between its words."""
    return " ".join(level(text).split())


def _spelled_out(text: str) -> Iterator[Fact]:
    """The numbers within what an abbreviation stands for: T2DM is type 2 diabetes."""
    lexicon = Lexicon.load()
    for fact in facts(text):
        if fact.group == "code":
            for entry in lexicon.find([text[fact.start : fact.end]]):
                for number in facts(entry.texts[0]):
                    yield Fact(number.kind, number.group, number.key, fact.start, fact.end)


@lru_cache(maxsize=1 << 14)
def _telling(word: str) -> tuple[str, ...]:
    """The terms of a word that may say what something is about, with those of what it abbreviates."""
    bare = word.strip(".,;:!?()[]\"'“”*")
    texts = [text for entry in Lexicon.load().find([bare]) if entry.meanings for text in entry.texts]
    terms = dict.fromkeys(term for text in (word, *texts) for term in TOKENIZER.tokenize(text))
    return tuple(term for term in terms if term not in _GENERIC and not _has_digit(term))


def _has_digit(term: str) -> bool:
    return any(map(str.isdigit, term))
