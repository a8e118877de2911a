"""The verdicts: whether one thing that an answer says stands in its sources, and what they say instead."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bedside.answers.citations import Citation, Labels, cite
from bedside.answers.evidence import Phrase, Piece, Rarity, SourceText, plain_words
from bedside.answers.facts import Fact, agree
from bedside.text.sentences import Span

__all__ = ["Judge", "Verdict"]

_COVERED, _BETTER = 0.6, 0.25
"""A citation is misplaced where it has less than this share of a sentence's words, and another source so much more."""
_EQUAL = 1e-9
_SAME_MATTER = 0.5
"""The date of a note is that of what it says, but for what has a date of its own beside this share of the words."""
_KNOWN, _KNOWN_DENIED = 0.3, 0.6
"""A finding is compared where the sources know this share of its words: "no heart attack" is not about a heart rate."""
_MUCH = 160  # characters of a source in a report


class Verdict(NamedTuple):
    """Whether it is supported, why, and where that stands."""

    supported: bool
    why: str
    citation: Citation | None = None


class _Place(NamedTuple):
    """A piece of a source that holds a fact, and how much it has in common with the answer."""

    overlap: float
    source: SourceText
    piece: Piece


class _Said(NamedTuple):
    """A sentence of a source with the words of a finding: what it has in common with the answer, and their polarity."""

    overlap: float
    polarities: list[set[bool]]
    source: SourceText
    span: Span

    def cited(self) -> Citation:
        """Cite it."""
        return cite(self.source.document, self.span)


class Judge:
    """Compares with some sources, all of those that an answer had.

    Args:
        labels: The sources and their names.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self.sources = [SourceText(document) for document in labels.documents]
        self._rarity = Rarity(self.sources)

    def misplaced(self, words: frozenset[str], numbers: Sequence[int]) -> Verdict | None:
        """The verdict on the cited sources of a sentence where another one has its words and they have not."""
        known = words & frozenset().union(*(source.content for source in self.sources))
        missing = known - frozenset().union(*(self.sources[number].content for number in numbers))
        if not numbers or len(missing) < min(2, len(known)) or not missing:
            return None
        total = self._rarity.weight(known)

        def covered(some: Sequence[int]) -> float:
            return self._rarity.weight(known & frozenset().union(*(self.sources[n].content for n in some))) / total

        best = max(range(len(self.sources)), key=lambda number: covered([number]))
        if covered(numbers) >= _COVERED or covered([best]) < covered(numbers) + _BETTER:
            return None
        return Verdict(False, f"does not say this; {self._labels.name(best)!r} does")

    def fact(self, fact: Fact, piece: Piece, numbers: Sequence[int]) -> Verdict:
        """The verdict on a number, dose, date or code that stands in a piece of the answer."""
        if fact.group == "code":
            return self._code(fact, numbers)
        cited = [self.sources[number] for number in numbers]
        words = piece.context
        said = list(self._places(cited, words, lambda other: agree(fact, other)))
        rival = max(self._rivals(fact, cited, words), key=lambda place: place.overlap, default=None)
        if not said:
            of_note = any(agree(fact, date) for source in cited for date in source.dates)
            if of_note and (rival is None or rival.overlap < _SAME_MATTER * self._rarity.weight(words)):
                return Verdict(True, "the date of the source")
            return Verdict(False, self._missing(fact, numbers, rival), _cited(rival))
        best = max(said, key=lambda place: place.overlap)
        if rival and rival.overlap > best.overlap:
            return Verdict(False, f"stands beside other words; beside these: {_shown(rival)!r}", _cited(rival))
        return Verdict(True, "stands in the source", _cited(best))

    def quotation(self, text: str, numbers: Sequence[int]) -> Verdict:
        """The verdict on words in quotation marks; what an ellipsis leaves out is not asked for."""
        parts = [part.strip(" .,;:!?") for part in plain_words(text).replace("…", "...").split("...")]
        for number in numbers:
            if all(part in self.sources[number].words for part in parts):
                return Verdict(True, "stands in the source word for word")
        return Verdict(False, "does not stand in what is cited word for word")

    def finding(self, phrase: Phrase, words: frozenset[str], numbers: Sequence[int]) -> Verdict | None:
        """The verdict on what a sentence with these words asserts or denies; None where the sources do not decide.

        Of the sources' sentences with the words of the finding those decide that are nearest to the answer's.
        """
        cited = [self.sources[number] for number in numbers]
        every = frozenset().union(*(said for source in cited for said in source.polarity))
        known = frozenset().union(*phrase.words) & every
        share = sum(not word.isdisjoint(every) for word in phrase.words) / len(phrase.words)
        if share < (_KNOWN_DENIED if phrase.negated else _KNOWN):
            return None
        said = list(self._said(known, words, cited))
        if not said:  # no sentence has all of its words: the rarest one decides, where it is denied without exception
            rarest = max(sorted(known), key=lambda term: self._rarity.weight(frozenset([term])))
            said = [place._replace(overlap=0.0) for place in self._said(frozenset([rarest]), frozenset(), cited)]
            if phrase.negated:
                return None
        nearest = max(place.overlap for place in said)
        deciding = [place for place in said if place.overlap > nearest - _EQUAL]
        for place in deciding:
            if all(phrase.negated in found for found in place.polarities):
                return Verdict(True, "the source agrees", place.cited())
        if phrase.negated and any(True in found for place in deciding for found in place.polarities):
            return None  # "no effusion on the film": the film is there
        against = deciding[0].cited()
        says = "says that it is there" if phrase.negated else "denies it"
        return Verdict(False, f"the source {says}: {_short(against.text)!r}", against)

    def _said(self, terms: frozenset[str], words: frozenset[str], sources: Sequence[SourceText]) -> Iterator[_Said]:
        """The sentences with all of some terms, and how much each has in common with the answer's words."""
        for source in sources:
            for span, said in zip(source.spans, source.polarity, strict=True):
                if terms <= said.keys():
                    overlap = self._rarity.weight(words & said.keys())
                    yield _Said(overlap, [said[term] for term in terms], source, span)

    def _code(self, fact: Fact, numbers: Sequence[int]) -> Verdict:
        terms = fact.key if isinstance(fact.key, tuple) else ()
        if any(self.sources[number].terms.issuperset(terms) for number in numbers):
            return Verdict(True, "stands in the source")
        spelled = [other for number in numbers for piece in self.sources[number].pieces for other in piece.facts]
        if any(agree(fact, other) for other in spelled):
            return Verdict(True, "stands in the source")
        return Verdict(False, self._missing(fact, numbers, None))

    def _places(
        self, sources: Sequence[SourceText], words: frozenset[str], holds: Callable[[Fact], bool]
    ) -> Iterator[_Place]:
        for source in sources:
            for piece in source.pieces:
                if any(map(holds, piece.facts)):
                    yield _Place(self._rarity.weight(piece.context & words), source, piece)

    def _rivals(self, fact: Fact, sources: Sequence[SourceText], words: frozenset[str]) -> Iterator[_Place]:
        """The pieces with the answer's words that hold another value of the same nature."""
        for place in self._places(sources, words, lambda other: other.group == fact.group and other.kind == fact.kind):
            if place.overlap and not any(agree(fact, other) for other in place.piece.facts):
                yield place

    def _missing(self, fact: Fact, numbers: Sequence[int], rival: _Place | None) -> str:
        for number, source in enumerate(self.sources):
            elsewhere = number not in numbers and (
                any(agree(fact, other) for piece in source.pieces for other in piece.facts)
            )
            if elsewhere and not rival:
                return f"not in what is cited; stands in {self._labels.name(number)!r}"
        return f"not in what is cited; there: {_shown(rival)!r}" if rival else "not in what is cited"


def _shown(place: _Place) -> str:
    return _short(place.source.document.text[place.piece.start : place.piece.end])


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(" .,;")
    return text if len(text) <= _MUCH else f"{text[: _MUCH - 1]}…"


def _cited(place: _Place | None) -> Citation | None:
    if place is None:
        return None
    spans = place.source.spans
    return cite(place.source.document, spans[bisect_right(spans, (place.piece.start, math.inf)) - 1])
