"""What was valid when: ``valid_from``, ``valid_to`` and ``supersedes`` in metadata, and the moment that is asked about.

A record is valid from the beginning of its ``valid_from`` until the beginning of its ``valid_to``, which is the first
moment at which it no longer is: a version that ends with ``"2024-03"`` and one that begins with it do not overlap, and
on the first of March the second one is valid. A bound that is missing, null or no date is open. A day that is asked
about is asked about at its end, so that what came into force on that day counts and what it replaced does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from bedside.errors import InvalidInputError
from bedside.filters import dates
from bedside.filters.tree import Compare, Node, Not, Or

VALID_FROM, VALID_TO, SUPERSEDES = "valid_from", "valid_to", "supersedes"
NOW = "now"
ALWAYS, FOREVER = -(2**62), 2**62
"""The bounds of what is open: before and after every date, in 64 bits."""


def moment(as_of: date | str, name: str = "as_of") -> datetime:
    """Return the first moment after the one that is asked about, in UTC.

    Args:
        as_of: A ``datetime``; a ``date``, which is the end of its day; either as a text in ISO 8601; or ``"now"``. What
            has no zone is in UTC.
        name: The argument's name, for errors.

    Raises:
        InvalidInputError: It is none of these.

    Example:
        >>> moment("2024-05-06").isoformat(), moment("2024-05-06T09:00+02:00").isoformat()
        ('2024-05-07T00:00:00+00:00', '2024-05-06T07:00:00.000001+00:00')
    """
    if as_of == NOW:
        return dates.end_of(datetime.now(dates.UTC))
    when = dates.read(as_of) if isinstance(as_of, str) else as_of
    found = dates.plain(when) if isinstance(when, date) else None
    if found is None:
        raise InvalidInputError(
            f"{name}: expected a date, a time, or a text such as 2024-05-31, 2024-05-31T14:30:00+02:00 or now, "
            f"got {as_of!r}"
        )
    return dates.end_of(found)


def valid(until: datetime) -> Node:
    """Return the filter that leaves what was valid just before ``until``, as :func:`moment` gives it."""
    return Not(Or((Compare(VALID_FROM, "$gte", until), Compare(VALID_TO, "$lt", until))))


def bounds(metadata: Mapping[str, Any]) -> dates.Span:
    """Return when a record becomes valid and when it no longer is, in microseconds from 0001-01-01T00:00Z.

    It is what :func:`valid` leaves for ``until`` where ``start < until <= end``.

    Example:
        >>> bounds({"valid_to": "until revised"}) == (ALWAYS, FOREVER)
        True
    """
    start, end = (dates.begins(metadata.get(key)) for key in (VALID_FROM, VALID_TO))
    return ALWAYS if start is None else start, FOREVER if end is None else end


def named(supersedes: Any) -> list[str]:
    """Return the ids that a value of ``supersedes`` names: a string, or those of a list; anything else is not an id."""
    return [each for each in (supersedes if isinstance(supersedes, list) else [supersedes]) if isinstance(each, str)]
