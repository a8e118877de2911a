"""What of a text can be compared exactly: numbers with their units, doses, dates, codes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from bedside.answers.days import Day, days, same_day
from bedside.answers.units import DOSE_UNITS, FREQUENCY, NUMBER_WORDS, UNIT, in_base_unit, per_day, unit_name
from bedside.text.tokenizer import ClinicalTokenizer

__all__ = ["TOKENIZER", "Fact", "FactKind", "agree", "facts", "level"]

FactKind: TypeAlias = Literal["number", "dose", "date"]
TOKENIZER = ClinicalTokenizer()

_NUM = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_JOINT = r"\s?[-/:x]\s?|\sto\s|\sand\s(?=\d)"
_AMOUNT = re.compile(
    rf"(?<![\w.])(?<![a-z\d][-/])x?(?P<numbers>{_NUM}(?:(?:{_JOINT}){_NUM})*)"
    rf"(?:st|nd|rd|th|s)?(?:[\s-]{{0,2}}(?P<unit>{UNIT}))?(?![a-z\d])"
    rf"|\b(?P<word>{'|'.join(NUMBER_WORDS)})[\s-](?P<word_unit>{UNIT})"
)
_ITEM_NUMBER = re.compile(r"^[ \t(]*\d{1,3}[.)](?=\s)", re.MULTILINE)
_CODE = re.compile(r"(?<![\w.])(?=[\w./-]*\d)[a-z\d]+(?:[-./][a-z\d]+)*\+?")
_COUNTED = {**NUMBER_WORDS, "once": 1, "twice": 2}
_WORD_NUMBER = re.compile(rf"\b(?:{'|'.join(_COUNTED)})\b")
_LEVEL = str.maketrans("µμ‐‑‒–—−×’‘“”\u00a0\u202f\u2009", "uu------x''\"\"   ")
_ADDED_UNITS = frozenset({"", "mmhg", "bpm", "%", "degree", "fahrenheit", "celsius", "year"})
"""What an answer may say behind a number that stands bare in a note: it cannot mean anything else there."""


@dataclass(frozen=True)
class Fact:
    """Something that is the same or not.

    Attributes:
        kind: What it is called in a report.
        group: Facts of one group are of the same nature: two weights in mg, two days.
        key: What is compared.
        start: Where it begins in its text.
        end: Where it has ended.
    """

    kind: FactKind
    group: str
    key: Hashable
    start: int
    end: int


def level(text: str) -> str:
    """Lower-case text of the same length, with one sign for all dashes, spaces, quotes and micro signs."""
    lowered = text.translate(_LEVEL).lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def facts(text: str) -> list[Fact]:
    """The facts of a text, in its order; no two overlap but the numbers of one range.

    Example:
        >>> [(f.kind, f.group, str(f.key)) for f in facts("1. Metformin 1,000mg b.i.d.; BP 120/80")]
        [('dose', 'mg', '1000'), ('dose', 'frequency', '2 in 1 days'), ('number', '', '120/80')]
    """
    rest = _ITEM_NUMBER.sub(lambda item: " " * len(item.group()), level(text))
    found: list[Fact] = []
    for take in (_dates, _frequencies, _amounts, _codes):
        taken = list(take(rest))
        found += taken
        for fact in taken:
            rest = rest[: fact.start] + " " * (fact.end - fact.start) + rest[fact.end :]
    return sorted(found, key=lambda fact: (fact.start, fact.end))


def agree(asked: Fact, said: Fact) -> bool:
    """Whether what an answer says is what a source says."""
    if asked.kind == "date" or said.kind == "date":
        return asked.kind == said.kind and same_day(_days_of(asked), _days_of(said))
    if asked.key != said.key:
        return False
    return asked.group == said.group or not asked.group or (not said.group and asked.group in _ADDED_UNITS)


def word_numbers(text: str) -> Iterator[Fact]:
    """Numbers that a source spells out; an answer may write them in digits."""
    for found in _WORD_NUMBER.finditer(level(text)):
        yield Fact("number", "", Decimal(_COUNTED[found.group()]), *found.span())


def _days_of(fact: Fact) -> frozenset[Day]:
    return fact.key if isinstance(fact.key, frozenset) else frozenset()


def _dates(text: str) -> Iterator[Fact]:
    for read, start, end in days(text):
        yield Fact("date", "date", read, start, end)


def _frequencies(text: str) -> Iterator[Fact]:
    for found in FREQUENCY.finditer(text):
        yield Fact("dose", "frequency", per_day(found), *found.span())


def _amounts(text: str) -> Iterator[Fact]:
    for found in _AMOUNT.finditer(text):
        unit = unit_name(found["unit"] or found["word_unit"] or "")
        for value in _values(found["numbers"] or str(NUMBER_WORDS[found["word"]])):
            yield _amount(value, unit, *found.span())


def _amount(value: Decimal | str, unit: str, start: int, end: int) -> Fact:
    if isinstance(value, str):  # a ratio, a time of day
        return Fact("number", unit, value, start, end)
    key, group = in_base_unit(value, unit)
    return Fact("dose" if unit in DOSE_UNITS else "number", group, key, start, end)


def _values(numbers: str) -> list[Decimal | str]:
    """The numbers of a range or a size, each; a ratio and a time of day as one."""
    if re.search(r"[/:]", numbers):
        return [re.sub(r"\s", "", numbers)]
    return [Decimal(number.replace(",", "")).normalize() + 0 for number in re.findall(_NUM, numbers)]


def _codes(text: str) -> Iterator[Fact]:
    for found in _CODE.finditer(text):
        if terms := tuple(term for term in TOKENIZER.tokenize(found.group()) if any(map(str.isdigit, term))):
            yield Fact("number", "code", terms, *found.span())
