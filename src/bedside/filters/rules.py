"""What each comparison accepts: the one home of every operator's meaning, in pure Python.

A rule judges *keys*. A key is a stored value in a form where Python's own ``==`` and ``hash`` are the
language's equality: strings and numbers are their own keys, everything else becomes a :class:`Token`.
"""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from itertools import chain
from typing import Any, TypeAlias

from bedside.filters import dates
from bedside.filters.tree import Compare, Comparison, Scalar


class Token(enum.Enum):
    """The keys of the values that are neither strings nor numbers, in the order in which they are listed."""

    NULL = 0
    FALSE = 1
    TRUE = 2
    EMPTY_LIST = 3
    LIST = 4
    EMPTY_OBJECT = 5
    OBJECT = 6

    def __lt__(self, other: Token) -> bool:
        return self.value < other.value


Key: TypeAlias = "str | int | float | Token"
SCALAR_TOKENS: dict[Token, Scalar] = {Token.NULL: None, Token.FALSE: False, Token.TRUE: True}
"""The tokens that stand for a scalar, and the scalar."""
EMPTY: frozenset[Key] = frozenset(["", Token.NULL, Token.EMPTY_LIST, Token.EMPTY_OBJECT])
"""The keys of the stored values that ``$empty`` accepts."""


def key_of(value: Any) -> Key:
    """The key of a JSON value: ``1`` and ``1.0`` share one, ``1`` and ``True`` do not."""
    kind = type(value)
    if kind is str or kind is int or kind is float:
        return value  # type: ignore[no-any-return]
    if value is None:
        return Token.NULL
    if kind is bool:
        return Token.TRUE if value else Token.FALSE
    if isinstance(value, dict):
        return Token.OBJECT if value else Token.EMPTY_OBJECT
    if isinstance(value, (list, tuple)):
        return Token.LIST if value else Token.EMPTY_LIST
    return value  # type: ignore[no-any-return]


def fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Every path into a record's metadata with the value it leads to.

    A path is the keys on the way joined by dots; it reaches into objects, never into lists. Where several
    ways spell the same path, the one with the longest first key wins, then the longest second key, and so on:
    a literal key with a dot beats the path through objects, at every depth.

    Example:
        >>> fields({"a": {"b": 1, "c": 2}, "a.b": 3})
        {'a.b': 3, 'a': {'b': 1, 'c': 2}, 'a.c': 2}
    """
    found: dict[str, Any] = {}
    _collect(metadata, "", found)
    return found


def _collect(node: Mapping[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for key in sorted(node, key=len, reverse=True):
        found.setdefault(prefix + key, node[key])
        if isinstance(node[key], dict):
            _collect(node[key], f"{prefix}{key}.", found)


@dataclass(frozen=True)
class OneOf:
    """Accepts exactly the keys listed."""

    keys: frozenset[Key]

    def __call__(self, key: Key) -> bool:
        """Whether the key is accepted."""
        return key in self.keys


@dataclass(frozen=True)
class Bound:
    """Accepts keys of the bound's kind on one side of it: over sorted keys its answer changes once.

    Args:
        compare: ``operator.gt``, ``ge``, ``lt`` or ``le``, called as ``compare(key, bound)``.
        bound: A number or a string.
        rising: Whether it is the greater keys that are accepted.
    """

    compare: Callable[[Any, Any], bool]
    bound: str | int | float
    rising: bool

    def __call__(self, key: Key) -> bool:
        """Whether the key is accepted."""
        same_kind = isinstance(key, str) == isinstance(self.bound, str) and not isinstance(key, Token)
        return same_kind and self.compare(key, self.bound)


@dataclass(frozen=True)
class Prefix:
    """Accepts strings that begin with a text: in sorted strings a run from where the text would stand."""

    text: str

    def __call__(self, key: Key) -> bool:
        """Whether the key is accepted."""
        return isinstance(key, str) and key.startswith(self.text)


@dataclass(frozen=True)
class Strings:
    """Accepts the strings for which ``accepts`` says so."""

    accepts: Callable[[str], bool]

    def __call__(self, key: Key) -> bool:
        """Whether the key is accepted."""
        return isinstance(key, str) and self.accepts(key)


@dataclass(frozen=True)
class Dates:
    """Accepts the strings that are dates and stand in a relation to a date.

    Of ``$lt``, ``$during`` and ``$gt`` exactly one holds for any two dates: the stored one begins before the
    operand begins, or it lies within it, or neither. ``$lte`` is ``$lt`` or ``$during``, ``$gte`` is ``$gt`` or
    ``$during``. So no record falls between two filters, and none is counted by both.

    Args:
        op: ``$lt $lte $gt $gte`` or ``$during``.
        operand: A ``date`` or a ``datetime``.
        zone: Of dates and times without one, stored or asked for.
    """

    op: Comparison
    operand: date
    zone: tzinfo

    def __call__(self, key: Key) -> bool:
        """Whether the key is accepted."""
        stored = dates.stored_span(key, self.zone) if isinstance(key, str) else None
        return stored is not None and bool(self.compare(*stored))

    def compare(self, start: Any, end: Any) -> Any:
        """Whether stored spans are accepted, given where they begin and have ended: numbers, or arrays of them."""
        first, last = dates.span(self.operand, self.zone)
        match self.op:
            case "$lt":
                return start < first
            case "$lte":
                return (start < first) | (end <= last)
            case "$gt":
                return (start >= first) & (end > last)
            case "$gte":
                return start >= first
            case _:
                return (start >= first) & (end <= last)


Test: TypeAlias = OneOf | Bound | Prefix | Strings | Dates
NOTHING = OneOf(frozenset())


@dataclass(frozen=True)
class Rule:
    """A field matches when ``value`` accepts its key, or ``element`` that of any element of its list."""

    value: Test
    element: Test = NOTHING


def rule(node: Compare, zone: tzinfo = dates.UTC) -> Rule:
    """The rule of a comparison. ``$exists`` has none: it asks for the field, not for its value.

    Args:
        node: The comparison.
        zone: Of dates and times without one, in the filter and in what is stored.
    """
    operand: Any = node.operand
    match node.op:
        case "$during":
            return _either(Dates("$during", operand, zone))
        case "$gt" | "$gte" | "$lt" | "$lte" if isinstance(operand, date):
            return Rule(Dates(node.op, operand, zone))
        case "$in":
            return _either(OneOf(frozenset(map(key_of, operand))))
        case "$gt":
            return Rule(Bound(operator.gt, operand, rising=True))
        case "$gte":
            return Rule(Bound(operator.ge, operand, rising=True))
        case "$lt":
            return Rule(Bound(operator.lt, operand, rising=False))
        case "$lte":
            return Rule(Bound(operator.le, operand, rising=False))
        case "$contains":
            return Rule(_substring(operand), OneOf(frozenset([key_of(operand)])))
        case "$like":
            return _either(Strings(like(operand)))
        case "$ilike":
            folded = like(operand.casefold())
            return _either(Strings(lambda text: folded(text.casefold())))
        case "$prefix":
            return _either(Prefix(operand))
        case "$text":
            return _either(Strings(phrase(operand)))
        case "$empty":
            return Rule(OneOf(EMPTY))
        case "$exists":
            raise ValueError("$exists has no rule over values")


def _either(test: Test) -> Rule:
    return Rule(test, test)


def _substring(operand: Scalar) -> Test:
    return Strings(lambda text: operand in text) if isinstance(operand, str) else NOTHING


def frequent_first(found: tuple[Any, int]) -> tuple[Any, ...]:
    """Sort values (or their keys) and counts: the most frequent first; ties by kind and value."""
    key = key_of(found[0])
    return -found[1], 0 if isinstance(key, Token) else 2 if isinstance(key, str) else 1, key


def merged_counts(parts: Iterable[Iterable[tuple[Any, int]]]) -> list[tuple[Any, int]]:
    """Return counts of values, added up over several parts, the most frequent value first."""
    counts: dict[Any, tuple[Any, int]] = {}
    for value, count in chain.from_iterable(parts):
        _, before = counts.get(key_of(value), (value, 0))
        counts[key_of(value)] = (value, before + count)
    return sorted(counts.values(), key=frequent_first)


def words(text: str) -> list[str]:
    """The case-folded runs of letters, digits and underscores that ``$text`` compares."""
    return re.findall(r"\w+", text.casefold())


def phrase(operand: str) -> Callable[[str], bool]:
    """A test for strings that hold the operand's words next to each other, in order."""
    wanted = f" {' '.join(words(operand))} "
    return lambda text: wanted in f" {' '.join(words(text))} "


def like(pattern: str) -> Callable[[str], bool]:
    """A test for whole strings by an SQL ``LIKE`` pattern.

    Between the ``%`` every piece has a fixed length, so taking each at its leftmost place decides the match:
    no pattern backtracks, as one regular expression with many ``.*`` would.
    """
    first, *rest = [(re.compile("".join(piece), re.DOTALL), len(piece)) for piece in _pieces(pattern)]
    if not rest:
        return lambda text: first[0].fullmatch(text) is not None
    *middle, last = rest

    def accepts(text: str) -> bool:
        at = first[0].match(text)
        for piece, _ in middle:
            at = at and piece.search(text, at.end())
        end = len(text) - last[1]
        return at is not None and at.end() <= end and last[0].match(text, end) is not None

    return accepts


def _pieces(pattern: str) -> list[list[str]]:
    """The pattern split at ``%``; each piece is a list of regular expressions for one character each."""
    pieces: list[list[str]] = [[]]
    for atom in re.findall(r"\\?.", pattern, re.DOTALL):
        if atom == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if atom == "_" else re.escape(atom[-1]))
    return pieces
