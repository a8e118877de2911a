"""Query expansion that can be seen: what else the words of a query are called, from where, and with what weight.

Three sources: abbreviations and their long forms, everyday and professional synonyms, and near words of word vectors.
An abbreviation that may mean several things is shown with its candidates and never applied by itself. Nothing here
happens in a search unless it is asked for.

Example:
    >>> expansion = expand("MI in a pt with RA")
    >>> [(offer.term, offer.text, offer.applied) for offer in expansion.offers][:2]
    [('MI', 'myocardial infarction', True), ('pt', 'physical therapy', False)]
    >>> expansion.choose("RA", "rheumatoid arthritis").queries[-1]
    ('MI in a pt with rheumatoid arthritis', 0.9)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.text.fold import fold
from bedside.text.synonyms import KINDS, Entry, Kind, Lexicon
from bedside.types import Hit

__all__ = ["Expansion", "Kind", "Lexicon", "Offer", "expand", "search_expanded"]


WEIGHTS: Mapping[Kind, float] = {"abbreviation": 0.9, "professional": 0.9, "lay": 0.8, "neighbour": 0.7}
"""What a match of an added term is worth beside one of the query's own; a neighbour's is multiplied with its cosine."""

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
        ambiguous: Whether it is one of several things that ``term`` may mean.
        span: Start and end of ``term`` in the query.
    """

    term: str
    text: str
    kind: Kind
    source: str
    weight: float
    applied: bool
    ambiguous: bool
    span: tuple[int, int]

    def __str__(self) -> str:
        state = "applied" if self.applied else "ambiguous, not applied" if self.ambiguous else "not applied"
        return f"{self.term} -> {self.text} ({self.kind}, {self.source}, weight {self.weight:.2f}, {state})"


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
        return [(self.query, 1.0), *((self._with(offer), offer.weight) for offer in self.applied)]

    def choose(self, term: str, text: str | None) -> Expansion:
        """Say what an ambiguous term means; ``None``: none of its candidates.

        Raises:
            InvalidInputError: The term has no such candidate; the message lists those it has.
        """
        candidates = [offer.text for offer in self.offers if offer.term == term]
        if not candidates or (text is not None and text not in candidates):
            raise InvalidInputError(f"choose: expected one of {candidates} for {term!r}, got {text!r}")
        return replace(self, offers=tuple(_chosen(offer, term, text) for offer in self.offers))

    def explain(self) -> str:
        """One line for each offer: what, for what, from where, with what weight, and whether it is applied."""
        return "\n".join(map(str, self.offers)) or "nothing to add"

    def _with(self, offer: Offer) -> str:
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


def search_expanded(
    records: Collection,
    expansion: Expansion,
    *,
    top_k: int = 10,
    offset: int = 0,
    min_score: float | None = None,
    **options: Any,
) -> list[Hit]:
    """Search for a query and for each of its applied additions; a document keeps its best score.

    A match of an addition counts its weight times its score, so scores stay on the scale of the mode, and the query's
    own words come first where both match alike.

    Args:
        records: A collection or a scoped view.
        expansion: What :func:`expand` returned, with choices made or not.
        top_k: How many hits at most.
        offset: Skip so many hits, for paging.
        min_score: Leave out hits below it, after their weight.
        **options: As for ``search``. With ``explain=True`` each hit's formula names the addition that found it.

    Returns:
        Hits, best first; ties go to the query's own words, then to the better rank.
    """
    queries = expansion.queries
    reasons = ["", *(f"{offer}: " for offer in expansion.applied)]
    best: dict[str, Hit] = {}
    answers = records.search([text for text, _ in queries], top_k=offset + top_k, **options)
    for hits, (_, weight), reason in zip(answers, queries, reasons, strict=True):
        for hit in hits:
            weighted = _weighted(hit, weight, reason)
            if hit.id not in best or weighted.score > best[hit.id].score:
                best[hit.id] = weighted
    ranked = sorted(best.values(), key=lambda hit: -hit.score)
    kept = ranked if min_score is None else [hit for hit in ranked if hit.score >= min_score]
    return kept[offset : offset + top_k]


def _weighted(hit: Hit, weight: float, reason: str) -> Hit:
    """The same hit with its score, and the parts that sum to it, times ``weight``."""
    why = hit.explanation
    if why is not None:
        formula = f"{reason}{weight:g} * ({why.formula})" if reason else why.formula
        why = replace(why, dense=why.dense * weight, sparse=why.sparse * weight, formula=formula)
    return replace(hit, score=hit.score * weight, explanation=why)


def _chosen(offer: Offer, term: str, text: str | None) -> Offer:
    if offer.term != term:
        return offer
    return replace(offer, applied=offer.text == text, ambiguous=False)


def _from_lexicon(
    query: str, words: Sequence[re.Match[str]], lexicon: Lexicon, kinds: frozenset[Kind]
) -> Iterator[Offer]:
    at = 0
    while at < len(words):
        length, found = _longest(words[at:], lexicon)
        span = (words[at].start(), words[at + max(length, 1) - 1].end())
        for entry in found:
            unsure = entry.meanings and len(entry.texts) > 1
            use = entry.kind in kinds and not unsure
            for text in entry.texts:
                weight = WEIGHTS[entry.kind]
                yield Offer(query[slice(*span)], text, entry.kind, entry.source, weight, use, unsure, span)
        at += max(length, 1)


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
