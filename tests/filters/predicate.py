"""The filter language as a predicate over plain dicts, and what to draw to hold an engine against it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

MISSING = object()
BIG = 2**53


# The predicate: recursive over filter and record as they are, knowing nothing of nodes, keys or columns.


def lookup(record: Any, path: str) -> Any:
    for key in sorted(record, key=len, reverse=True):
        if key == path:
            return record[key]
        if path.startswith(f"{key}.") and isinstance(record[key], dict):
            found = lookup(record[key], path[len(key) + 1 :])
            if found is not MISSING:
                return found
    return MISSING


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(a: Any, b: Any) -> bool:
    if is_number(a) and is_number(b):
        return Fraction(a) == Fraction(b)
    return type(a) is type(b) and not isinstance(a, (list, dict)) and a == b


def order(value: Any, operand: Any) -> int | None:
    """-1, 0 or 1, or None for what cannot be ordered."""
    if is_number(value) and is_number(operand):
        difference = Fraction(value) - Fraction(operand)
        return (difference > 0) - (difference < 0)
    if isinstance(value, str) and isinstance(operand, str):
        return (value > operand) - (value < operand)
    return None


def elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def strings(value: Any) -> list[str]:
    return [item for item in elements(value) if isinstance(item, str)]


def like(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    head, tail = pattern[0], pattern[1:]
    if head == "%":
        return any(like(tail, text[i:]) for i in range(len(text) + 1))
    if head == "\\":
        return text[:1] == tail[0] and like(tail[1:], text[1:])
    return bool(text) and (head in ("_", text[0])) and like(tail, text[1:])


def holds_phrase(text: str, operand: str) -> bool:
    have, want = ([w for w in re.split(r"\W+", t.casefold()) if w] for t in (text, operand))
    return any(have[i : i + len(want)] == want for i in range(len(have)))


def holds(op: str, operand: Any, value: Any) -> bool:
    match op:
        case "$not":
            return not all(holds(inner, x, value) for inner, x in operand.items())
        case "$ne":
            return not holds("$eq", operand, value)
        case "$nin":
            return not holds("$in", operand, value)
        case "$exists":
            return (value is not MISSING) is operand
        case "$empty":
            return (value is MISSING or value is None or value in ("", [], {})) is operand
    if value is MISSING:
        return False
    match op:
        case "$eq":
            return any(same(item, operand) for item in elements(value))
        case "$in" | "$any":
            return any(same(item, x) for item in elements(value) for x in operand)
        case "$all":
            return all(any(same(item, x) for item in elements(value)) for x in operand)
        case "$gt":
            return order(value, operand) == 1
        case "$gte":
            return order(value, operand) in (0, 1)
        case "$lt":
            return order(value, operand) == -1
        case "$lte":
            return order(value, operand) in (-1, 0)
        case "$between":
            return order(value, operand[0]) in (0, 1) and order(value, operand[1]) in (-1, 0)
        case "$contains" if isinstance(value, list):
            return any(same(item, operand) for item in value)
        case "$contains":
            return isinstance(value, str) and isinstance(operand, str) and operand in value
        case "$like":
            return any(like(operand, text) for text in strings(value))
        case "$ilike":
            return any(like(operand.casefold(), text.casefold()) for text in strings(value))
        case "$prefix":
            return any(text[: len(operand)] == operand for text in strings(value))
        case "$text":
            return any(holds_phrase(text, operand) for text in strings(value))
    raise AssertionError(op)


def matches(filter: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    for key, operand in filter.items():
        if key == "$and":
            result = all(matches(child, record) for child in operand)
        elif key == "$or":
            result = any(matches(child, record) for child in operand)
        elif key == "$not":
            result = not matches(operand, record)
        else:
            operators = operand if isinstance(operand, dict) else {"$eq": operand}
            value = lookup(record, key)
            result = all(holds(op, x, value) for op, x in operators.items())
        if not result:
            return False
    return True


# What is drawn: few keys and values, so that they meet often.

NUMBERS: list[Any] = [0, -0.0, 1, 1.0, 1.5, -3, 10, BIG, BIG + 1, float(BIG), 2**63 - 1, -(2**63), 1e300]
STRINGS = ["", "1", "a", "A", "ab", "b%", "a_b", "Straße", "STRASSE", "chest pain", "Pain, chest pain", "E11.9", "é\n"]
SCALARS = [None, True, False, *NUMBERS, *STRINGS]
KEYS = ["a", "b", "c", "a.b", "b.c", "a.b.c"]
PATTERNS = ["%", "a%", "%a%b%", "_", "__", "b\\%", "%pain", "STR%", "%ss_", "a\\_b", ""]

scalars = st.sampled_from(SCALARS)
bounds = st.sampled_from(NUMBERS + STRINGS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
OPERANDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("$eq", "$ne", "$contains"), scalars),
    **dict.fromkeys(("$in", "$nin", "$any"), st.lists(scalars, max_size=3)),
    "$all": st.lists(scalars, min_size=1, max_size=3),
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), bounds),
    "$between": st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=2)
    | st.lists(st.sampled_from(STRINGS), min_size=2, max_size=2),
    **dict.fromkeys(("$exists", "$empty"), st.booleans()),
    **dict.fromkeys(("$like", "$ilike"), st.sampled_from(PATTERNS)),
    "$prefix": st.sampled_from(STRINGS),
    "$text": st.sampled_from(["PAIN", "chest pain", "pain chest", "a", "e11 9", "strasse"]),
}
plain = st.fixed_dictionaries({}, optional=OPERANDS).filter(bool)
single = st.sampled_from(sorted(OPERANDS)).flatmap(lambda op: st.fixed_dictionaries({op: OPERANDS[op]}))
operators = st.recursive(single | single | plain, lambda inner: st.fixed_dictionaries({"$not": inner}), max_leaves=2)
fields = st.dictionaries(st.sampled_from(KEYS), scalars | operators, min_size=1, max_size=2)
filters = st.recursive(
    fields,
    lambda inner: (
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"$not": inner})
        | st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=2), "a": operators})
    ),
    max_leaves=5,
)


def random_value(draw: random.Random, depth: int) -> Any:
    kind = draw.random()
    if kind < 0.6 or not depth:
        return draw.choice(SCALARS)
    if kind < 0.8:
        return [random_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return random_record(draw, depth - 1)


def random_record(draw: random.Random, depth: int = 3) -> dict[str, Any]:
    return {key: random_value(draw, depth) for key in draw.sample(KEYS, draw.randrange(len(KEYS)))}
