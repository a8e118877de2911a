"""Checks of arguments: each says what was expected and what was given, under the argument's name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from bedside.errors import InvalidInputError, UnknownOptionError


def check_int(name: str, value: object, least: int = 0, most: int | None = None, *, optional: bool = False) -> None:
    """Refuse what is not an int from ``least`` to ``most``; bools are refused, numpy's integers are accepted."""
    if optional and value is None:
        return
    if not _is_int(value) or value < least or (most is not None and value > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidInputError(f"{name}: expected an int {allowed}{_or_none(optional)}, got {value!r}")


def check_number(
    name: str,
    value: object,
    least: float | None = None,
    most: float | None = None,
    *,
    optional: bool = False,
    words: Sequence[str] = (),
) -> None:
    """Refuse what is not a number from ``least`` to ``most``; bools and NaN are refused, numpy's numbers are not."""
    if optional and value is None:
        return
    if not _is_number(value) or (least is not None and value < least) or (most is not None and value > most):
        allowed = "".join([_range(least, most), *(f" or {word!r}" for word in words), _or_none(optional)])
        raise InvalidInputError(f"{name}: expected a number{allowed}, got {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[str], *, optional: bool = False) -> None:
    """Refuse what is not one of ``allowed``."""
    if not (optional and value is None) and value not in allowed:
        raise InvalidInputError(f"{name}: expected one of {', '.join(allowed)}; got {value!r}")


def check_key(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what is not a metadata key or a dotted path of them."""
    if not (optional and value is None) and (not isinstance(value, str) or not value):
        found = "an empty str" if value == "" else type(value).__name__
        raise InvalidInputError(f"{name}: expected a metadata key{_or_none(optional)}, got {found}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is not a bool."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}: expected True or False, got {value!r}")


def check_known(verb: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse the first of some keyword arguments that ``verb`` does not take: one that is dropped would be missed.

    Example:
        >>> check_known("search", {"filter": {}}, ["top_k", "filter"])
    """
    known = list(dict.fromkeys(allowed))
    if unknown := sorted(set(given) - set(known)):
        raise UnknownOptionError(f"{verb}: unknown argument {unknown[0]!r}; allowed are {', '.join(known) or 'none'}")


def builtin_of(value: Any) -> Any:
    """Return numpy's numbers and booleans, as pandas hands them out, as Python's; anything else as it is.

    Example:
        >>> builtin_of("3")
        '3'
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind not in tuple("biuf") or getattr(value, "shape", None) != ():
        return value
    return float(value) if kind == "f" else value.item()  # item() of a longdouble is a longdouble


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> TypeGuard[float]:
    return not isinstance(value, bool) and isinstance(value, Real) and not math.isnan(value)


def _range(least: float | None, most: float | None) -> str:
    if most is not None:
        return f" from {least:g} to {most:g}"
    return "" if least is None else f" of at least {least:g}"


def _or_none(optional: bool) -> str:
    return " or None" if optional else ""
