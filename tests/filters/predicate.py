"""The filter language as a predicate over plain dicts, and what to draw to hold an engine against it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
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
    if isinstance(b, date):
        return order_in_time(a, b) == 0
    if is_number(a) and is_number(b):
        return Fraction(a) == Fraction(b)
    return type(a) is type(b) and not isinstance(a, (list, dict)) and a == b


# Dates, without datetime and without regular expressions: seconds as fractions since 0000-03-01, by counting days.


def month_days(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]


def day_number(year: int, month: int, day: int) -> int:
    since_march = [306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275][month - 1]
    y = year - (month < 3)
    return 365 * y + y // 4 - y // 100 + y // 400 + since_march + day - 1


def digits(text: str, length: int) -> int:
    if len(text) != length or any(c not in "0123456789" for c in text):
        raise ValueError(text)
    return int(text)


def clock(text: str) -> Fraction:
    """Seconds into the day, to the microsecond; ``24:00`` is its end."""
    whole, _, fraction = text.replace(",", ".").partition(".")
    parts = [digits(part, 2) for part in whole.split(":")]
    if len(parts) not in (2, 3) or ("." in text and (len(parts) != 3 or not fraction)):
        raise ValueError(text)
    hour, minute, second = [*parts, 0][:3]
    digits(fraction or "0", len(fraction or "0"))
    seconds = hour * 3600 + minute * 60 + second + Fraction(int(f"{fraction}000000"[:6]), 10**6)
    if minute > 59 or second > 59 or seconds > 86400 or hour > 24:
        raise ValueError(text)
    return seconds


def offset(text: str) -> int:
    """Seconds east of Greenwich."""
    if text in ("", "Z", "z"):
        return 0
    parts = text[1:].split(":") if ":" in text else [text[i : i + 2] for i in range(1, len(text), 2)]
    hours, minutes, seconds = [*(digits(part, 2) for part in parts), 0, 0][:3]
    if hours > 23 or minutes > 59 or seconds > 59 or len(parts) > 3:
        raise ValueError(text)
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text[0] == "-" else 1)


def read_span(text: str) -> tuple[Fraction, Fraction]:
    day, rest = text[:10], text[10:]
    parts = day.split("-")
    lengths = [4, 2, 2][: len(parts)]
    year, *others = [digits(part, length) for part, length in zip(parts, lengths, strict=True)]
    month, last = (others[0], others[0]) if others else (1, 12)
    if not (year >= 1 and 1 <= month <= 12):
        raise ValueError(text)
    first_day, last_day = (others[1], others[1]) if len(others) == 2 else (1, month_days(year, last))
    if not 1 <= first_day <= last_day <= month_days(year, last):
        raise ValueError(text)
    start, end = day_number(year, month, first_day) * 86400, (day_number(year, last, last_day) + 1) * 86400
    if not rest:
        return Fraction(start), Fraction(end)
    if rest[0] not in "Tt " or len(day) < 10:
        raise ValueError(text)
    cut = next((i for i, c in enumerate(rest) if c in "Zz+-"), len(rest))
    into = clock(rest[1:cut])
    if into == 86400 and day == "9999-12-31":
        raise ValueError(text)
    moment = start + into - offset(rest[cut:])
    return moment, moment + Fraction(1, 10**6)


def date_span(value: Any) -> tuple[Fraction, Fraction] | None:
    try:
        return read_span(value.isoformat() if isinstance(value, date) else value)
    except ValueError:
        return None


def is_date(operand: Any) -> bool:
    return isinstance(operand, date) or (isinstance(operand, str) and len(operand) > 9 and bool(date_span(operand)))


def order_in_time(value: Any, operand: Any) -> int | None:
    stored, asked = date_span(value) if isinstance(value, str) else None, date_span(operand)
    if stored is None or asked is None:
        return None
    if asked[0] <= stored[0] and stored[1] <= asked[1]:
        return 0
    return -1 if stored[0] < asked[0] else 1


def order(value: Any, operand: Any) -> int | None:
    """-1, 0 or 1, or None for what cannot be ordered."""
    if is_date(operand):
        return order_in_time(value, operand)
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
        case "$contains" if isinstance(value, list) or isinstance(operand, date):
            value = elements(value)
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
UTC, EAST, WEST = timezone.utc, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
DATES: list[Any] = [
    *("0001-01-01", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "9999-12-31", "0001-01-01T00:00+14:00"),
    *("2024-02-29T00:00", "2024-02-29T24:00", "2024-03-01T00:00:00Z", "2024-02-29 12:00:00", "2024-02-29t12:00:00,5z"),
    *("2024-02-28T19:00:00-07:00", "2024-02-29T12:00+0530", "2024-03-01T01:00+02", "2024-02-29T12:00:00.000001"),
    *("9999-12-31T23:59:59.999999-23:59", "2024-02-29T12:00:00.0000009", "1883-11-18T12:00:00-04:56:02"),
    *(date.min, date(2024, 1, 1), date(2024, 2, 29), date.max, datetime(2024, 2, 29, 12), datetime(2024, 3, 1)),
    *(datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(1, 1, 1, tzinfo=EAST), datetime.max.replace(tzinfo=WEST)),
]
PARTIAL = ["2024-02", "2024", "0001", "9999-12", "9999", "2023-12"]
NO_DATES = [
    *(
        "2023-02-29",
        "2024-02-30",
        "2024-13-01",
        "2024-00-10",
        "0000-01-01",
        "2016-12-31T23:59:60Z",
        "2024-W09-4",
        "0000",
    ),
    *(
        "2024W094",
        "2024-060",
        "20240229",
        "2024-2-29",
        "2024-02-29T12",
        "2024-02-29T25:00",
        "2024-02-29T24:01",
        " 2024-01-01",
    ),
    *(
        "2024-02-29T12:00+24:00",
        "2024-02-29T12:00+01:60",
        "2024-02-29\n",
        "2024-02-29T12:00:",
        "２０２４-02-29",
        "2024-02Z",
    ),
    *("9999-12-31T24:00", "2024-02-29T12:60", "2024-02-29Z", "2024-02-29T12:00:00.", "2024-02-29x", "2024-13"),
]
SCALARS = [None, True, False, *NUMBERS, *STRINGS]
DATED = [d for d in DATES if isinstance(d, str)]
VALUES = [*SCALARS, *DATED, *PARTIAL, *NO_DATES]
KEYS = ["a", "b", "c", "a.b", "b.c", "a.b.c"]
PATTERNS = ["%", "a%", "%a%b%", "_", "__", "b\\%", "%pain", "STR%", "%ss_", "a\\_b", ""]

scalars = st.sampled_from(SCALARS) | st.sampled_from(SCALARS + DATES)
dates = st.sampled_from(DATES)
bounds = st.sampled_from(NUMBERS + STRINGS + PARTIAL) | dates
values = st.recursive(
    st.sampled_from(SCALARS) | st.sampled_from(VALUES),
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
    | st.lists(st.sampled_from(STRINGS), min_size=2, max_size=2)
    | st.lists(dates, min_size=2, max_size=2),
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
        return draw.choice(draw.choice([SCALARS, VALUES]))
    if kind < 0.8:
        return [random_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return random_record(draw, depth - 1)


def random_record(draw: random.Random, depth: int = 3) -> dict[str, Any]:
    return {key: random_value(draw, depth) for key in draw.sample(KEYS, draw.randrange(len(KEYS)))}
