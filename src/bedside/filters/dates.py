"""Dates and times in ISO 8601's extended format, and how a stored one compares with one that is asked for.

Every date is a span of time. A day, a month and a year are as long as they are in their zone; a time of day is one
microsecond. Read are ``YYYY-MM-DD`` and ``YYYY-MM-DDThh:mm[:ss[.ffffff]][zone]`` as RFC 3339, FHIR and Python's
``isoformat`` write them (a space may stand for the ``T``), and in stored values also FHIR's ``YYYY-MM`` and ``YYYY``.
``24:00`` is the next day's midnight. Leap seconds, week dates, ordinal dates and the basic format are no dates here.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""Where a date begins and where it has ended, in microseconds from 0001-01-01T00:00Z.

Integers and not datetimes: the first and last days of the calendar reach beyond it in other zones.
"""

UTC = timezone.utc
_FIRST = datetime.min
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-5][0-9])(?::?([0-5][0-9]))?)?)?)?"
)
_LIKE_A_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9].*)?|[0-9]{4}-?[Ww][0-9]{2}(?:-?[0-9].*)?", re.DOTALL
)
_MONTH_OR_YEAR = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")


def read(text: str) -> date | datetime | None:
    """Read a day or a time of day; ``None`` for every other text.

    Digits beyond the microsecond are cut off.

    Example:
        >>> read("2024-05-06"), read("2024-05-06T09:00+02:00").isoformat()
        (datetime.date(2024, 5, 6), '2024-05-06T09:00:00+02:00')
        >>> read("2023-02-29"), read("2016-12-31T23:59:60Z"), read("2024-W19-1"), read("2024-05")
        (None, None, None, None)
    """
    found = _ISO.fullmatch(text)
    if not found:
        return None
    try:
        day = date.fromisoformat(found[1])
        return day if found[2] is None else _time_of(day, found)
    except (ValueError, OverflowError):  # no day of the calendar, no time of the day, or a zone of a day and more
        return None


def like_a_date(text: str) -> bool:
    """Whether a text is written as a date or time is, or as a week date, be it one or not.

    Example:
        >>> like_a_date("2024-02-30"), like_a_date("2024-W19-1"), like_a_date("2024-05-06-A7")
        (True, True, False)
    """
    return _LIKE_A_DATE.fullmatch(text) is not None


def plain(when: date) -> date | None:
    """Return a date as its plain builtin type; ``None`` for pandas' "not a time", which is a datetime too.

    pandas' timestamps reach only 300 years, so that they cannot be compared with every date.
    """
    if when != when:  # as NaN is not itself
        return None
    day = date(when.year, when.month, when.day)
    if not isinstance(when, datetime):
        return day
    clock = time(when.hour, when.minute, when.second, when.microsecond, when.tzinfo, fold=when.fold)
    return datetime.combine(day, clock)


def end_of(when: date, zone: tzinfo = UTC) -> datetime:
    """Return the first moment after a ``date``, which is its day, or after a ``datetime``, in UTC.

    Example:
        >>> end_of(date(2024, 5, 6)).isoformat()
        '2024-05-07T00:00:00+00:00'
    """
    try:
        return (_FIRST + span(when, zone)[1] * _MICROSECOND).replace(tzinfo=UTC)
    except OverflowError:  # beyond the calendar's first or last day in this zone
        return (datetime.max if when.year > 1 else datetime.min).replace(tzinfo=UTC)


def span(when: date, zone: tzinfo = UTC) -> Span:
    """The span of a ``date``, which is its day, or of a ``datetime``.

    Args:
        when: The date.
        zone: Its zone where it has none itself.
    """
    if not isinstance(when, datetime):
        return _days(when, when, zone)
    start = (when.replace(tzinfo=None) - _FIRST) // _MICROSECOND - _offset(when, zone)
    return start, start + 1


def stored_span(text: str, zone: tzinfo = UTC) -> Span | None:
    """The span of a stored text; ``None`` where it is not a date.

    Args:
        text: A day, a time of day, a month or a year.
        zone: Its zone where it has none itself.
    """
    if len(text) > len("2024-05"):
        when = read(text)
        return None if when is None else span(when, zone)
    found = _MONTH_OR_YEAR.fullmatch(text)
    if not found:
        return None
    year, month = int(found[1]), int(found[2] or 0)
    first, last = (month, month) if found[2] else (1, 12)
    try:
        return _days(date(year, first, 1), date(year, last, monthrange(year, last)[1]), zone)
    except ValueError:  # the year 0, or a month that the calendar has not
        return None


def begins(value: object, zone: tzinfo = UTC) -> int | None:
    """When a stored value begins, in microseconds as a :data:`Span` counts; ``None`` where it is not a date."""
    found = stored_span(value, zone) if isinstance(value, str) else None
    return None if found is None else found[0]


def _time_of(day: date, found: re.Match[str]) -> datetime:
    _, hour, minute, second, fraction, zulu, sign, *offset = found.groups()
    micro = int(f"{fraction}000000"[:6]) if fraction else 0
    if hour == "24" and not (int(minute) or int(second or 0) or micro):
        day, hour = day + timedelta(days=1), "0"
    zone = UTC if zulu else _offset_zone(sign, offset) if sign else None
    return datetime(day.year, day.month, day.day, int(hour), int(minute), int(second or 0), micro, zone)


def _offset_zone(sign: str, parts: list[str | None]) -> tzinfo:
    hours, minutes, seconds = (int(part or 0) for part in parts)
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-offset if sign == "-" else offset)


def _days(first: date, last: date, zone: tzinfo) -> Span:
    return _midnight(first.toordinal(), zone), _midnight(last.toordinal() + 1, zone)


def _midnight(ordinal: int, zone: tzinfo) -> int:
    """When a day begins; the day after the last one of the calendar has the last one's offset."""
    day = datetime.combine(date.fromordinal(min(ordinal, date.max.toordinal())), time())
    return (ordinal - 1) * _DAY - _offset(day, zone)


def _offset(when: datetime, zone: tzinfo) -> int:
    offset = when.utcoffset()
    if offset is None:
        if zone is UTC:
            return 0
        offset = when.replace(tzinfo=zone).utcoffset()
    return (offset or timedelta()) // _MICROSECOND
