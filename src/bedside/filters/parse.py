"""The parser of the filter language: plain dicts in, :mod:`bedside.filters.tree` nodes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NoReturn, TypeAlias

from bedside.errors import FilterError
from bedside.filters import dates
from bedside.filters.rules import words
from bedside.filters.tree import And, Compare, Comparison, Node, Not, Or, Scalar
from bedside.support.checks import builtin_of

MAX_DEPTH = 64
"""How many ``$and``, ``$or`` and ``$not`` may stand inside one another."""

_Number: TypeAlias = int | float
_Build: TypeAlias = Callable[[str, Any, str], Node]


def parse(filter: Mapping[str, Any] | None) -> Node | None:
    r"""Parse a filter dict once, for any target.

    Several fields, and several operators on one field, are joined by AND. A bare scalar is ``$eq``. Types are
    strict: numbers compare with numbers (exactly, also beyond 2**53), strings with strings, ``True`` is not
    ``1``. A dotted key reaches into objects (:func:`bedside.filters.rules.fields` has the rule).

    ================  ========================================================================================
    ``$eq $ne``       a scalar; a list matches by any of its elements; ``null`` is a value like others
    ``$in $nin``      a list of scalars, ``$eq`` to any; ``$in: []`` matches nothing, ``$nin: []`` everything
    ``$gt $gte``      a number, a string or a date, against scalar fields of the same kind; ``$lt $lte`` too
    ``$between``      ``[low, high]``, both ends included, of one kind
    ``$exists``       true: the field is there, whatever its value; false: it is not
    ``$empty``        true: the field is missing, null, ``""``, ``[]`` or ``{}``; false: it is none of these
    ``$any $all``     a list of scalars: the field's list, or scalar, holds one, or all, of them
                      (``$any: []`` matches nothing, ``$all: []`` is refused)
    ``$contains``     a scalar that a list field holds, or a string that a string field holds as a substring
    ``$like $ilike``  an SQL pattern for the whole string: ``%`` any run, ``_`` one character, ``\`` takes the
                      next literally; ``$ilike`` compares case-folded
    ``$prefix``       how a string begins
    ``$text``         words that occur next to each other in this order, whole and in any case
    ``$not``          under a field a mapping of operators, elsewhere a filter: the exact complement
    ``$and $or``      a list of filters, not empty
    ================  ========================================================================================

    ``$like $ilike $prefix $text`` look at a string, or at each string of a list. ``$ne $nin $not``,
    ``$exists: false`` and ``$empty: true`` match a document without the field (``$empty`` as LlamaIndex'
    ``IS_EMPTY`` does); nothing else does.

    A ``date`` or ``datetime`` compares with stored ISO 8601 dates and times as time, and with nothing else; so does
    a string from year-month-day on in ``$gt $gte $lt $lte $between``. A day is all of it: ``$lte`` a day includes
    it. In ``$eq $ne $in $nin $any $all $contains`` the object matches what lies in it; a string is only text there.
    :mod:`bedside.filters.dates` has the details.

    Args:
        filter: The filter; ``None`` and ``{}`` are no filter.

    Returns:
        The root node, or ``None`` for no filter.

    Raises:
        FilterError: The filter is not well formed; the message begins with the path to the wrong place, as in
            ``filter.$or[0].age.$in: expected a list, got str``.

    Example:
        >>> parse({"age": {"$gte": 65}})
        Compare(path='age', op='$gte', operand=65)
    """
    if filter is None or filter == {}:
        return None
    return _filter(filter, "filter", 0)


def _filter(value: Any, where: str, depth: int) -> Node:
    entries = _mapping(value, where, "a filter", depth)
    return _all([_entry(key, operand, where, depth) for key, operand in entries.items()])


def _entry(key: str, operand: Any, where: str, depth: int) -> Node:
    where = f"{where}.{key}"
    match key:
        case "$and":
            return And(_filters(operand, where, depth))
        case "$or":
            return Or(_filters(operand, where, depth))
        case "$not":
            return Not(_filter(operand, where, depth + 1))
        case _ if key in _OPERATORS:
            raise FilterError(f"{where}: an operator on a field, write it under the field's name")
        case _ if key.startswith("$"):
            raise FilterError(f"{where}: unknown operator, expected a field or one of $and $or $not")
    return _field(key, operand, where, depth)


def _field(path: str, operand: Any, where: str, depth: int) -> Node:
    if isinstance(operand, Mapping):
        return _operators(path, operand, where, depth)
    if isinstance(operand, (list, tuple)):
        raise FilterError(f"{where}: expected a scalar or operators, got {_name(operand)}; use $in for any of several")
    return _any_of(path, (_scalar(operand, where),))


def _operators(path: str, operand: Any, where: str, depth: int) -> Node:
    entries = _mapping(operand, where, "operators", depth)
    return _all([_operator(path, op, value, where, depth) for op, value in entries.items()])


def _operator(path: str, op: str, operand: Any, where: str, depth: int) -> Node:
    if op == "$not":
        return Not(_operators(path, operand, f"{where}.$not", depth + 1))
    if op in _OPERATORS:
        return _OPERATORS[op](path, operand, f"{where}.{op}")
    if op.startswith("$"):
        raise FilterError(f"{where}.{op}: unknown operator, expected one of {' '.join([*_OPERATORS, '$not'])}")
    raise FilterError(f"{where}.{op}: expected an operator, got a plain key; {f'{path}.{op}'!r} reaches into an object")


def _filters(value: Any, where: str, depth: int) -> tuple[Node, ...]:
    if not _list(value, where):
        raise FilterError(f"{where}: expected at least one filter, got an empty list")
    return tuple(_filter(child, f"{where}[{i}]", depth + 1) for i, child in enumerate(value))


def _all(nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _any_of(path: str, values: tuple[Scalar | date, ...]) -> Node:
    """``$in`` for the scalars and ``$during`` for each date; the dates of a filter are few."""
    during = [Compare(path, "$during", value) for value in values if isinstance(value, date)]
    scalars = tuple(value for value in values if not isinstance(value, date))
    nodes: list[Node] = [Compare(path, "$in", scalars), *during] if scalars or not during else [*during]
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))


def _mapping(value: Any, where: str, what: str, depth: int) -> Mapping[str, Any]:
    if depth > MAX_DEPTH:
        raise FilterError(f"{where}: nested deeper than {MAX_DEPTH}")
    if not isinstance(value, Mapping):
        _refuse(where, f"a mapping of {what}", value)
    if not value:
        raise FilterError(f"{where}: expected {what}, got an empty mapping")
    for key in value:
        if not isinstance(key, str):
            _refuse(where, "string keys", key)
    return value


def _list(value: Any, where: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        _refuse(where, "a list", value)
    return value


def _scalar(value: Any, where: str) -> Scalar | date:
    """A scalar as its plain builtin type, so that members of string enums and numpy's numbers serve too."""
    value = builtin_of(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, date):
        return _date(value, where)
    if isinstance(value, str):
        return str.__str__(value)
    if not isinstance(value, (int, float)):
        _refuse(where, "a string, a number, a boolean, null or a date", value)
    return _number(value, where)


def _scalars(value: Any, where: str) -> tuple[Scalar | date, ...]:
    return tuple(_scalar(item, f"{where}[{i}]") for i, item in enumerate(_list(value, where)))


def _number(value: _Number, where: str) -> _Number:
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        raise FilterError(f"{where}: expected a finite number, got {float(value)}")
    return float(value)


def _ordered(value: Any, where: str) -> str | _Number | date:
    value = builtin_of(value)
    if isinstance(value, date):
        return _date(value, where)
    if isinstance(value, str):
        return _text_or_date(str.__str__(value), where)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(where, "a number, a string or a date", value)
    return _number(value, where)


def _date(value: date, where: str) -> date:
    """A date as its plain builtin type."""
    when = dates.plain(value)
    if when is None:
        raise FilterError(f"{where}: expected a date, got {_name(value)}")
    return when


def _text_or_date(text: str, where: str) -> str | date:
    """A date that does not exist is refused: as text it would compare with dates, and wrongly."""
    when = dates.read(text)
    if when is None and dates.like_a_date(text):
        raise FilterError(
            f"{where}: expected an ISO 8601 date or time such as 2024-05-31 or 2024-05-31T14:30:00+02:00, "
            "got a text in such a form that is no day of the calendar or no time of the day"
        )
    return text if when is None else when


def _range(value: Any, where: str) -> tuple[str | _Number | date, str | _Number | date]:
    if len(_list(value, where)) != 2:
        raise FilterError(f"{where}: expected a list of two values, [low, high], got {len(value)}")
    low, high = (_ordered(item, f"{where}[{i}]") for i, item in enumerate(value))
    if _kind(low) != _kind(high):
        raise FilterError(
            f"{where}: expected two numbers, two strings or two dates, got {_kind(low)} and {_kind(high)}"
        )
    return low, high


def _kind(value: str | _Number | date) -> str:
    return "a date" if isinstance(value, date) else "a string" if isinstance(value, str) else "a number"


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        _refuse(where, "a string", value)
    return str.__str__(value)


def _pattern(value: Any, where: str) -> str:
    pattern = _string(value, where)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise FilterError(f"{where}: expected a character after the last backslash; write two for a literal one")
    return pattern


def _phrase(value: Any, where: str) -> str:
    phrase = _string(value, where)
    if not words(phrase):
        raise FilterError(f"{where}: expected at least one word, got a string without letters or digits")
    return phrase


def _bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        _refuse(where, "true or false", value)
    return value


def _refuse(where: str, expected: str, value: Any) -> NoReturn:
    raise FilterError(f"{where}: expected {expected}, got {_name(value)}")


def _name(value: Any) -> str:
    return type(value).__name__


def _plain(op: Comparison, check: Callable[[Any, str], Any]) -> _Build:
    return lambda path, value, where: Compare(path, op, check(value, where))


def _flag(op: Comparison) -> _Build:
    def build(path: str, value: Any, where: str) -> Node:
        there = Compare(path, op, True)
        return there if _bool(value, where) else Not(there)

    return build


def _between(path: str, value: Any, where: str) -> Node:
    low, high = _range(value, where)
    return And((Compare(path, "$gte", low), Compare(path, "$lte", high)))


def _contains(path: str, value: Any, where: str) -> Node:
    held = _scalar(value, where)
    return Compare(path, "$during" if isinstance(held, date) else "$contains", held)


def _every(path: str, value: Any, where: str) -> Node:
    values = _scalars(value, where)
    if not values:
        raise FilterError(f"{where}: expected at least one value, got an empty list")
    return _all([_any_of(path, (item,)) for item in values])


_OPERATORS: dict[str, _Build] = {
    "$eq": lambda path, value, where: _any_of(path, (_scalar(value, where),)),
    "$ne": lambda path, value, where: Not(_any_of(path, (_scalar(value, where),))),
    "$gt": _plain("$gt", _ordered),
    "$gte": _plain("$gte", _ordered),
    "$lt": _plain("$lt", _ordered),
    "$lte": _plain("$lte", _ordered),
    "$in": lambda path, value, where: _any_of(path, _scalars(value, where)),
    "$nin": lambda path, value, where: Not(_any_of(path, _scalars(value, where))),
    "$exists": _flag("$exists"),
    "$between": _between,
    "$contains": _contains,
    "$all": _every,
    "$any": lambda path, value, where: _any_of(path, _scalars(value, where)),
    "$like": _plain("$like", _pattern),
    "$ilike": _plain("$ilike", _pattern),
    "$text": _plain("$text", _phrase),
    "$empty": _flag("$empty"),
    "$prefix": _plain("$prefix", _string),
}
