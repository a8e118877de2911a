"""Days as people write them in notes and answers, compared by year, month and day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Day", "days", "same_day"]

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:19|20)\d\d"
_WRITTEN = re.compile(
    rf"\b(?P<y1>{_YEAR})-(?P<m1>\d\d)(?:-(?P<d1>\d\d))?(?:[t ]\d\d:\d\d(?::\d\d)?z?)?(?![\w-])"
    rf"|(?<![\w./-])(?P<a>\d\d?)(?P<s>[/.-])(?P<b>\d\d?)(?P=s)(?P<y2>{_YEAR}|\d\d)(?![\w/-])"
    rf"|\b(?P<m3>{_MONTH})\s+(?:the\s+)?(?P<d3>{_DAY})(?:st|nd|rd|th)?\b(?!\s?(?:mg|ug|mcg|ml|%|[.:/]\d))(?:,?\s+(?:of\s+)?(?P<y3>{_YEAR}))?"
    rf"|\b(?P<d4>{_DAY})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m4>{_MONTH})(?:,?\s(?P<y4>{_YEAR}))?"
    rf"|\b(?P<m5>{_MONTH}),?\s+(?:of\s+)?(?P<y5>{_YEAR})\b"
)


class Day(NamedTuple):
    """A day, or a month, or a day of an unnamed year: what is not said is ``None``."""

    year: int | None
    month: int | None
    day: int | None


def days(text: str) -> Iterator[tuple[frozenset[Day], int, int]]:
    """Yield the days in lower-case text with what each may mean, and where it stands.

    ``03/04/2024`` may be in March or in April, and ``3/4/24`` in 2024 or 1924; every other form has one meaning. A
    text that names no day of the calendar is passed over.

    Example:
        >>> [(sorted(d), a, b) for d, a, b in days("seen may 6, 2024 and in june 2024")]
        [([Day(year=2024, month=5, day=6)], 5, 16), ([Day(year=2024, month=6, day=None)], 24, 33)]
    """
    for found in _WRITTEN.finditer(text):
        read = frozenset(day for day in _readings(found) if _exists(day))
        if read:
            yield read, *found.span()


def same_day(asked: frozenset[Day], said: frozenset[Day]) -> bool:
    """Whether a day in an answer is one of a source; the source may leave the year out, and may be more exact."""
    return any(
        one.month == other.month
        and one.day in (None, other.day)
        and (other.year in (None, one.year) or one.year is None)
        for one in asked
        for other in said
    )


def _readings(found: re.Match[str]) -> Iterator[Day]:
    if found["y1"]:
        yield Day(int(found["y1"]), int(found["m1"]), int(found["d1"]) if found["d1"] else None)
    elif found["a"]:
        a, b, year = int(found["a"]), int(found["b"]), int(found["y2"])
        for full in (year,) if year > 99 else (2000 + year, 1900 + year):
            yield Day(full, a, b)
            yield Day(full, b, a)
    else:
        month = _MONTHS.index((found["m3"] or found["m4"] or found["m5"])[:3]) + 1
        said, day = found["y3"] or found["y4"] or found["y5"], found["d3"] or found["d4"]
        yield Day(int(said) if said else None, month, int(day) if day else None)


def _exists(day: Day) -> bool:
    return day.month is None or (1 <= day.month <= 12 and (day.day is None or 1 <= day.day <= 31))
