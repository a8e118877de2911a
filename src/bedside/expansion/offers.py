"""What could be added to a query, and what is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bedside.errors import InvalidInputError
from bedside.text.fold import fold
from bedside.text.senses import ShortForm, read_sense
from bedside.text.synonyms import KINDS, Entry, Kind, Lexicon

__all__ = ["Expansion", "Offer", "expand"]

WEIGHTS: Mapping[Kind, float] = {"abbreviation": 0.7, "professional": 0.7, "lay": 0.7, "neighbour": 0.7}
"""What a match of an added term is worth beside one of the query's own; a neighbour's is multiplied with its cosine.

At 0.7 no development set loses by what is added (docs/benchmarks.md); at 0.9 two lose .001 in hybrid search.
"""

_WORD = re.compile(r"[^\W_]+(?:[-/.&'][^\W_]+)*")


class Near(Protocol):
    """Something with nearest words, such as :class:`bedside.words.WordVectors`."""

    @property
    def name(self) -> str: ...
    def nearest(self, query: str, k: int = 10) -> Sequence[tuple[str, float]]:
        """The ``k`` nearest words of one, with their similarities."""
        ...


@dataclass(frozen=True)
class Offer:
    """One term that could be added.

    Attributes:
        term: The words of the query it stands for, as they are written there.
        text: What is added.
        kind: ``"abbreviation"``, ``"professional"``, ``"lay"`` or ``"neighbour"``.
        source: The table or the word vectors that say so.
        weight: What a match of it is worth, 0 to 1.
        applied: Whether a search uses it.
        ambiguous: Whether it is one of several things that ``term`` may mean, and nothing has decided which.
        span: Start and end of ``term`` in the query.
        short: A short form that may mean other things than ``term``: a text that has it counts where it means this.
        reason: What decided, if anything had to.
    """

    term: str
    text: str
    kind: Kind
    source: str
    weight: float
    applied: bool
    ambiguous: bool
    span: tuple[int, int]
    short: ShortForm | None = None
    reason: str = ""

    def __str__(self) -> str:
        parts = [self.kind, self.source, f"weight {self.weight:.2f}", self._state, self.reason]
        return f"{self.term} -> {self.text} ({', '.join(filter(None, parts))})"

    @property
    def _state(self) -> str:
        if self.short is not None:
            return f"only where it means {self.short.meant}"
        return "applied" if self.applied else "ambiguous, not applied" if self.ambiguous else "not applied"


@dataclass(frozen=True)
class Expansion:
    """A query and what could be added to it.

    Attributes:
        query: As it was given.
        offers: In the order of the query.
    """

    query: str
    offers: tuple[Offer, ...]

    @property
    def applied(self) -> tuple[Offer, ...]:
        """The offers that a search uses."""
        return tuple(offer for offer in self.offers if offer.applied)

    @property
    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Each ambiguous term and its candidates, until one was chosen."""
        found: dict[str, list[str]] = {}
        for offer in self.offers:
            if offer.ambiguous:
                found.setdefault(offer.term, []).append(offer.text)
        return {term: tuple(texts) for term, texts in found.items()}

    @property
    def text(self) -> str:
        """The query with what is applied behind it, for a search that takes one text."""
        return " ".join([self.query, *dict.fromkeys(offer.text for offer in self.applied)])

    @property
    def queries(self) -> list[tuple[str, float]]:
        """The query itself with weight 1, then with each applied term in its place, with that term's weight."""
        return [(self.query, 1.0), *((self.replaced(offer), offer.weight) for offer in self.applied)]

    def choose(self, term: str, text: str | None) -> Expansion:
        """Say what an ambiguous term means; ``None``: none of its candidates.

        Raises:
            InvalidInputError: The term has no such candidate; the message lists those it has.
        """
        candidates = [offer.text for offer in self.offers if offer.term == term]
        if not candidates or (text is not None and text not in candidates):
            raise InvalidInputError(f"choose: expected one of {candidates} for {term!r}, got {text!r}")
        return self.settle(term, text)

    def settle(self, term: str, text: str | None, reason: str = "") -> Expansion:
        """The same with one meaning of a term applied and no other; see :meth:`choose`, which checks its arguments."""
        return replace(self, offers=tuple(_settled(o, text, reason) if o.term == term else o for o in self.offers))

    def explain(self) -> str:
        """One line for each offer: what, for what, from where, with what weight, and whether it is applied."""
        return "\n".join(map(str, self.offers)) or "nothing to add"

    def replaced(self, offer: Offer) -> str:
        """The query with an offer in the place of its term."""
        start, end = offer.span
        return self.query[:start] + offer.text + self.query[end:]


def expand(
    query: str,
    *,
    lexicon: Lexicon | str | os.PathLike[str] | None = None,
    vectors: Near | None = None,
    neighbours: int = 3,
    min_similarity: float = 0.6,
    apply: Iterable[Kind] = ("abbreviation", "professional", "lay"),
) -> Expansion:
    """Offer other names for the terms of a query.

    Args:
        query: What would be searched.
        lexicon: A lexicon, or the path of a larger table to use beside the one that ships.
        vectors: Word vectors for near words; ``None``: none are offered.
        neighbours: How many near words for each word at most.
        min_similarity: Leave out near words below this cosine.
        apply: The kinds that a search uses unless they are ambiguous. Near words are not among them by default: the
            words nearest to "fever" are other diseases.

    Returns:
        The offers, longest terms first taken, none overlapping but for near words.

    Raises:
        InvalidInputError: A kind in ``apply`` is unknown, or the table cannot be parsed.
    """
    _check_query(query)
    kinds = frozenset(apply)
    if not kinds <= set(KINDS):
        raise InvalidInputError(f"apply: expected some of {', '.join(KINDS)}, got {sorted(kinds)}")
    table = lexicon if isinstance(lexicon, Lexicon) else Lexicon.load(lexicon)
    words = list(_WORD.finditer(query))
    offers = [*_from_lexicon(query, words, table, kinds)]
    if vectors is not None:
        known = {fold(offer.text) for offer in offers}
        offers += _from_vectors(words, vectors, neighbours, min_similarity, "neighbour" in kinds, known)
    return Expansion(query, tuple(sorted(offers, key=lambda offer: offer.span[0])))


def _check_query(query: object) -> None:
    if not isinstance(query, str):
        raise InvalidInputError(f"query: expected a text, got {type(query).__name__}")


def _settled(offer: Offer, text: str | None, reason: str) -> Offer:
    meant = offer.text == text
    return replace(offer, applied=meant, ambiguous=False, short=None, reason=reason if meant else "")


def _from_lexicon(
    query: str, words: Sequence[re.Match[str]], lexicon: Lexicon, kinds: frozenset[Kind]
) -> Iterator[Offer]:
    at = 0
    while at < len(words):
        length, found = _longest(words[at:], lexicon)
        span = (words[at].start(), words[at + max(length, 1) - 1].end())
        for entry in found:
            yield from _offers(entry, query, span, use=entry.kind in kinds)
        at += max(length, 1)


def _offers(entry: Entry, query: str, span: tuple[int, int], *, use: bool) -> Iterator[Offer]:
    reading = read_sense(entry.texts, query) if entry.ambiguous else None
    for text in entry.texts:
        meant = reading is not None and reading.meaning == text
        sure = not entry.ambiguous or meant
        yield Offer(
            term=query[slice(*span)],
            text=text,
            kind=entry.kind,
            source=entry.source,
            weight=WEIGHTS[entry.kind],
            applied=use and sure and entry.short is None,
            ambiguous=use and entry.ambiguous and reading is None,
            span=span,
            short=entry.short if use else None,
            reason=reading.reason if reading and meant else "",
        )


def _longest(words: Sequence[re.Match[str]], lexicon: Lexicon) -> tuple[int, tuple[Entry, ...]]:
    for length in range(min(lexicon.longest, len(words)), 0, -1):
        if found := lexicon.find([word.group() for word in words[:length]]):
            return length, found
    return 0, ()


def _from_vectors(
    words: Sequence[re.Match[str]], vectors: Near, k: int, floor: float, use: bool, known: set[str]
) -> Iterator[Offer]:
    taken = known | {fold(word.group()) for word in words}
    for word in words:
        near = vectors.nearest(word.group(), k) if len(word.group()) > 2 and k > 0 else []
        for text, similarity in near:
            if similarity >= floor and fold(text) not in taken:
                taken.add(fold(text))
                weight = WEIGHTS["neighbour"] * min(similarity, 1.0)
                yield Offer(word.group(), text, "neighbour", vectors.name, weight, use, False, word.span())
