"""vectra's filters, answered as vectra 0.15.0 answers them, JavaScript's coercions included.

This is for comparing with an index that vectra still serves; collections have a language of their own
(:mod:`bedside.filters`). docs/migrating.md lists where the two differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from bedside.errors import FilterError

_MISSING = object()
"""JavaScript's ``undefined``."""
_INHERITED = object()
"""What every JavaScript object inherits: a value that equals nothing."""
_OBJECT_PROTOTYPE = {
    *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString"),
    *("valueOf", "__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
}
_RADIX = {"0x": 16, "0o": 8, "0b": 2}
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|Infinity)", re.ASCII)
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""What JavaScript trims."""


def matches(metadata: Mapping[str, Any], filter: Any) -> bool:
    """Say whether vectra would select an item with this metadata.

    Where an index has ``metadata_config.indexed``, vectra filters on the indexed keys alone: pass what the index
    file holds.

    Raises:
        FilterError: vectra itself would fail: ``$and``, ``$or``, ``$in`` or ``$nin`` without a list.

    Example:
        >>> matches({"ward": "icu"}, {"ward": {"$ne": "er"}}), matches({}, {"ward": {"$ne": "er"}})
        (True, False)
    """
    return _select(metadata, filter, "filter")


def _select(metadata: Mapping[str, Any], filter: Any, where: str) -> bool:
    return all(_clause(metadata, key, value, f"{where}.{key}") for key, value in entries(filter))


def _clause(metadata: Mapping[str, Any], key: str, value: Any, where: str) -> bool:
    if key in ("$and", "$or"):
        answers = (_select(metadata, part, f"{where}[{i}]") for i, part in enumerate(_list(value, where)))
        return all(answers) if key == "$and" else any(answers)
    held = metadata.get(key, _INHERITED if key in _OBJECT_PROTOTYPE else _MISSING)
    if isinstance(value, dict | list):
        return _compare(held, value, where)
    return value is not None and _same(held, value)


def _compare(held: Any, operators: Any, where: str) -> bool:
    if held is None or held is _MISSING:
        return False
    for key, operand in entries(operators):
        if key in _COMPARISONS:
            holds = _COMPARISONS[key](held, operand)
        elif key in _MEMBERSHIPS:
            holds = _MEMBERSHIPS[key](held, operand, f"{where}.{key}")
        else:  # vectra stops at the first operator that it does not know
            return _same(held, operand)
        if not holds:
            return False
    return True


def entries(value: Any) -> Iterable[tuple[str, Any]]:
    """Keys and values in the order of JavaScript's ``for in``: the whole numbers first, ascending."""
    if isinstance(value, list | str):
        return ((str(i), item) for i, item in enumerate(value))
    if not isinstance(value, Mapping):
        return ()
    return sorted(value.items(), key=lambda entry: int(entry[0]) if _is_place(entry[0]) else math.inf)


def _is_place(key: str) -> bool:
    return key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and int(key) < 2**32 - 1


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(where, value)
    return value


def _refuse(where: str, value: Any) -> NoReturn:
    raise FilterError(f"{where}: expected a list, got {type(value).__name__}; vectra fails on it too")


def _same(a: Any, b: Any) -> bool:
    """JavaScript's ``===`` between values of two JSON texts: objects are never the same."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if _is_number(a) and _is_number(b):
        return float(a) == float(b)
    return (a is None and b is None) or (isinstance(a, str) and isinstance(b, str) and a == b)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in(held: Any, operand: Any, where: str) -> bool:
    if isinstance(held, bool):
        return False
    if isinstance(held, str) and not _includes(operand, held, where):
        return False
    return _within_any(operand, held, where)


def _not_in(held: Any, operand: Any, where: str) -> bool:
    if isinstance(held, bool) or (isinstance(held, str) and _includes(operand, held, where)):
        return False
    return not _within_any(operand, held, where)


def _includes(operand: Any, text: str, where: str) -> bool:
    if not isinstance(operand, list | str):
        _refuse(where, operand)
    return text in operand


def _within_any(operand: Any, held: Any, where: str) -> bool:
    """Whether a string of the operand has the field's value, written as JavaScript writes it, as a substring."""
    text = _text(held)
    return any(isinstance(item, str) and text in item for item in _list(operand, where))


def _text(value: Any) -> str:
    """JavaScript's ``String(value)``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join("" if item is None else _text(item) for item in value)
    if value is None:
        return "null"
    return number_text(float(value)) if _is_number(value) else "[object Object]"


def number_text(value: float) -> str:
    """Write a number as JavaScript does: the shortest digits, and exponents from 1e21 and below 1e-6.

    Example:
        >>> number_text(71.0), number_text(1e21), number_text(2.5e-7)
        ('71', '1e+21', '2.5e-7')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if value == 0:
        return "0"
    if len(text) <= point <= 21:
        body = text.ljust(point, "0")
    elif 0 < point <= 21:
        body = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        body = "0." + "0" * -point + text
    else:
        body = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1:+d}"
    return "-" * sign + body


def _to_number(value: Any) -> float:
    """JavaScript's ``Number(value)``."""
    if value is None:
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list | dict):
        value = _text(value)
    text = value.strip(_SPACE)
    if text[:2].lower() in _RADIX and text[2:].isalnum():
        try:
            return float(int(text[2:], _RADIX[text[:2].lower()]))
        except ValueError:
            return math.nan
    if not text:
        return 0.0
    return float(text) if _DECIMAL.fullmatch(text) else math.nan


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _same,
    "$ne": lambda held, operand: not _same(held, operand),
    # Each refuses where the opposite holds, so an operand that is no number lets every number through.
    "$gt": lambda held, operand: _is_number(held) and not float(held) <= _to_number(operand),
    "$gte": lambda held, operand: _is_number(held) and not float(held) < _to_number(operand),
    "$lt": lambda held, operand: _is_number(held) and not float(held) >= _to_number(operand),
    "$lte": lambda held, operand: _is_number(held) and not float(held) > _to_number(operand),
}
_MEMBERSHIPS: dict[str, Callable[[Any, Any, str], bool]] = {"$in": _in, "$nin": _not_in}
