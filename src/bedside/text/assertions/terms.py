"""Terms with their polarity: what the index counts, and what a query asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from bedside.text.assertions.cues import read_words, rule_words
from bedside.text.assertions.scopes import NEGATED, cue_words, find_hints, find_scopes
from bedside.text.lexicon import NEGATIONS
from bedside.text.sentences import Span, sentences
from bedside.text.tokenizer import ClinicalTokenizer, count_words, split_words

__all__ = ["MarkedTerms", "Polarity", "asked_polarity", "marked_terms"]

Polarity: TypeAlias = Literal["present", "absent"]
"""What a question wants of a finding."""

_QUESTIONS = rule_words("questions")


class MarkedTerms(NamedTuple):
    """The terms of a text, and 1 for each that is negated, 0 for the others."""

    terms: list[str]
    negated: bytearray


def marked_terms(text: str, tokenizer: ClinicalTokenizer) -> MarkedTerms:
    """Cut a text into terms and say which of them it negates.

    Args:
        text: A document or a passage.
        tokenizer: What cuts it.

    Returns:
        Exactly the terms of ``tokenizer.tokenize(text)``, in their order, and a bit for each.

    Example:
        >>> found = marked_terms("Denies chest pain, but coughs.", ClinicalTokenizer())
        >>> list(zip(found.terms, found.negated))
        [('deni', 0), ('chest', 1), ('pain', 1), ('cough', 0)]
    """
    words = split_words(text)
    cut = list(tokenizer.terms_of(words))
    terms = list(chain.from_iterable(cut))
    negated = bytearray(len(terms))
    hints = find_hints(words, NEGATED)
    if 1 in hints:  # half of the texts hold none: their sentences need not be found
        for start, stop in _negated_words(text, words, hints):
            first, count = _count(cut[:start]), _count(cut[start:stop])
            negated[first : first + count] = b"\1" * count
    return MarkedTerms(terms, negated)


def _negated_words(text: str, words: Sequence[str], hints: bytes) -> Iterator[Span]:
    """Which of the ``words`` of a text are negated; its sentences cut it into the same words as the whole of it."""
    stop, hint = 0, hints.find(1)
    for span in sentences(text):
        start, stop = stop, stop + count_words(text[slice(*span)])
        if hint >= stop:
            continue
        for scope in find_scopes(words[start:stop], NEGATED):
            yield start + scope.start, start + scope.stop
        hint = hints.find(1, stop)
        if hint < 0:
            return


def _count(cut: Iterable[tuple[str, ...]]) -> int:
    return sum(map(len, cut))


def asked_polarity(query: str, tokenizer: ClinicalTokenizer) -> dict[str, Polarity]:
    """Say which terms of a query stand for what it asks about, and whether each should be present or absent.

    A term is left out if it is generic ("patient", "history"), part of a cue ("denies"), or asked for both ways. A
    question that can be answered with yes or no, which begins with a verb ("Does the patient have …", "Any …"), asks
    for both.

    Args:
        query: What is searched.
        tokenizer: What cuts it.

    Returns:
        Term -> ``"present"`` or ``"absent"``; empty where the query has no preference.

    Example:
        >>> asked_polarity("patient without fever", ClinicalTokenizer())
        {'fever': 'absent'}
        >>> asked_polarity("Does the patient have a fever?", ClinicalTokenizer())
        {}
    """
    cut = [split_words(query[start:end]) for start, end in sentences(query)]
    if _is_yes_or_no(cut):
        return {}
    asked: dict[str, Polarity] = {}
    left_out: set[str] = set()
    for words in cut:
        cues = cue_words(words)
        negated = {at for scope in find_scopes(words, NEGATED) for at in range(scope.start, scope.stop)}
        for at, terms in enumerate(tokenizer.terms_of(words)):
            for term in terms:
                wanted: Polarity = "absent" if at in negated else "present"
                if at in cues or asked.setdefault(term, wanted) != wanted:
                    left_out.add(term)
    generic = _generic(tokenizer)
    return {term: wanted for term, wanted in asked.items() if term not in left_out and term not in generic}


def _is_yes_or_no(cut: Iterable[Sequence[str]]) -> bool:
    first = next(read_words(chain.from_iterable(cut)), None)
    return first is not None and first.bare in _QUESTIONS


@lru_cache(maxsize=8)
def _generic(tokenizer: ClinicalTokenizer) -> frozenset[str]:
    return frozenset(tokenizer.tokenize(" ".join(rule_words("generic") | NEGATIONS)))
